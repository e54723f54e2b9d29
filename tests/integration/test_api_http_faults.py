"""Clients that break HTTP, or take their time: each is cut off, and the node goes on serving."""

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from hookline.http_api.connection_limits import ConnectionLimits
from tests.certificates import Authority
from tests.integration.broken_requests import CHUNKED, HEAD, JOB, LARGE_HEADS, LARGE_TRAILERS, SMUGGLED
from tests.integration.conftest import StartNode
from tests.integration.node_under_test import NodeUnderTest, node_config, read_all

CUT_S = 1.0
GONE = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError)  # as sockets, and TLS, say that nobody takes any more


@pytest.fixture(scope="module", params=["http", "https"])
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All of this holds with TLS as well."""
    return {} if request.param == "http" else {"tls": Authority(tmp_path_factory.mktemp("tls")).files()}


@pytest.fixture(scope="module")
def hasty_node(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    """A node with little patience."""
    limits = ConnectionLimits(request_s=CUT_S, discarded_bytes=100_000, idle_s=3, connections=20)
    with NodeUnderTest(node_config(tmp_path_factory.mktemp("node"), **settings), limits).running() as running:
        yield running


@pytest.mark.parametrize("request_bytes", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_what_could_be_read_in_two_ways_is_400_and_closed(hasty_node: NodeUnderTest, request_bytes: bytes) -> None:
    before = hasty_node.stored()
    answer = hasty_node.raw(request_bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), answer
    assert b"connection: close" in head
    assert b"application/problem+json" in head
    assert b"hookline-node: n1" in head
    assert b'"code":"invalid_request"' in body
    assert answer.count(b"HTTP/1.1 ") == 1
    assert hasty_node.stored() == before


@pytest.mark.parametrize("head", LARGE_HEADS.values(), ids=LARGE_HEADS.keys())
def test_a_head_over_64_kib_is_431(hasty_node: NodeUnderTest, head: bytes) -> None:
    assert hasty_node.raw(head).startswith(b"HTTP/1.1 431 ")


def test_a_head_of_almost_64_kib_is_fine(hasty_node: NodeUnderTest) -> None:
    head = b"GET /cluster HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: " + b"a" * 65_000 + b"\r\n\r\n"
    assert hasty_node.raw(head).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "start",
    [b"", b"GET /jobs HTTP/1.1\r\n", HEAD + b"Content-Length: 34\r\n\r\n", HEAD + b"Content-Length: 34\r\n\r\n{"],
    ids=["nothing", "half a head", "no body", "half a body"],
)
def test_a_client_that_stops_is_cut(hasty_node: NodeUnderTest, start: bytes) -> None:
    before = hasty_node.stored()
    started = time.monotonic()
    assert hasty_node.raw(start) == b""
    assert time.monotonic() - started > CUT_S * 0.9
    assert hasty_node.stored() == before


@pytest.mark.parametrize(
    "start",
    [b"GET /jobs HTTP/1.1\r\nX: ", HEAD + b"Content-Length: 100000\r\n\r\n"],
    ids=["head", "body"],
)
def test_a_client_that_drips_is_cut_as_well(hasty_node: NodeUnderTest, start: bytes) -> None:
    with hasty_node.connection() as connection:
        connection.sendall(start)
        connection.settimeout(CUT_S / 6)
        assert _dripping(connection) == b""


def test_a_second_request_on_a_kept_connection_has_its_own_time(hasty_node: NodeUnderTest) -> None:
    request = b"GET /cluster HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with hasty_node.connection() as connection:
        connection.sendall(request)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        started = time.monotonic()
        connection.sendall(request[:10])
        assert read_all(connection) == b""
        assert time.monotonic() - started > CUT_S * 0.9


def test_an_idle_connection_is_kept_and_then_closed(hasty_node: NodeUnderTest) -> None:
    with hasty_node.connection() as connection:
        started = time.monotonic()
        connection.sendall(b"GET /cluster HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        assert read_all(connection) == b""
        assert time.monotonic() - started > 2 * CUT_S, "longer than a request may take"


def test_other_clients_are_served_beside_a_hundred_slow_ones(tmp_path: Path, settings: dict[str, Any]) -> None:
    limits = ConnectionLimits(request_s=5)
    with NodeUnderTest(node_config(tmp_path / "node", **settings), limits).running() as node, ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(node.connection()).sendall(b"POST /jobs HT")
        assert node.post("/jobs", JOB).status == 201


def test_more_connections_than_allowed_are_told_so(start_node: StartNode, settings: dict[str, Any]) -> None:
    with start_node(ConnectionLimits(connections=3), **settings) as node, ExitStack() as stack:
        held = [stack.enter_context(node.connection()) for _ in range(3)]
        for connection in held:
            assert _cluster(connection).startswith(b"HTTP/1.1 200 ")
        refused = node.raw(b"")
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in refused
        assert _cluster(held[0]).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_before_it_is_read(hasty_node: NodeUnderTest, chunked: bool) -> None:
    framing = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 1000000000\r\n\r\n"
    with hasty_node.connection() as connection:
        connection.sendall(HEAD + framing)
        if chunked:
            for _ in range(24):
                connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"code":"payload_too_large"' in answer


def test_who_goes_on_sending_after_413_is_cut(hasty_node: NodeUnderTest) -> None:
    with hasty_node.connection() as connection:
        connection.sendall(HEAD + b"Content-Length: 1000000000\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")
        with pytest.raises(GONE):
            connection.sendall(b" " * 65_536_000)


def test_who_sends_far_too_much_and_looks_only_then_sees_the_answer(
    start_node: StartNode, settings: dict[str, Any]
) -> None:
    head = b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    body = b" " * 30_000_000  # more than fits into the buffers of a connection
    with start_node(**settings) as node, node.connection() as connection:
        connection.sendall(head % len(body) + body)
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_a_connection_is_usable_after_413_when_the_rest_is_small(hasty_node: NodeUnderTest) -> None:
    size = 1_500_000
    with hasty_node.connection() as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % size)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")
        connection.sendall(b" " * 90_000)
    assert hasty_node.post("/jobs", JOB).status == 201


@pytest.mark.parametrize("request_bytes", LARGE_TRAILERS.values(), ids=LARGE_TRAILERS.keys())
def test_trailers_are_bounded(hasty_node: NodeUnderTest, request_bytes: bytes) -> None:
    before = hasty_node.stored()
    answer = hasty_node.raw(request_bytes)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert hasty_node.stored() == before


def test_a_trailer_is_no_header(hasty_node: NodeUnderTest) -> None:
    ids = set()
    for _ in range(2):
        answer = hasty_node.raw(
            CHUNKED.replace(b"Host: a\r\n", b"Host: a\r\nConnection: close\r\n") + b"Idempotency-Key: k\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 201 ")
        ids.add(json.loads(answer.partition(b"\r\n\r\n")[2])["id"])
    assert len(ids) == 2


def test_a_body_of_tiny_chunks_is_cut_before_it_costs(hasty_node: NodeUnderTest) -> None:
    before = hasty_node.stored()
    sent = 0
    with hasty_node.connection() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with suppress(*GONE):
            while sent < 8 * 2**20:
                connection.sendall(b"1\r\n \r\n" * 1_000)
                sent += 6_000
    assert sent < 8 * 2**20
    assert hasty_node.stored() == before


def test_chunks_of_a_usual_size_are_taken(hasty_node: NodeUnderTest) -> None:
    body = b'{"url":"https://example.com/","payload":"%b"}' % (b"x" * 200_000)
    chunks = b"".join(b"40\r\n%b\r\n" % body[at : at + 64].ljust(64) for at in range(0, len(body), 64))
    answer = hasty_node.raw(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 201 "), answer[:300]


BATCH = b"POST /jobs/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def test_of_large_bodies_that_do_not_end_the_oldest_is_refused_and_a_whole_one_is_taken(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    limits = ConnectionLimits(requests_bytes=2**20)
    with NodeUnderTest(node_config(tmp_path, **settings), limits).running() as node, ExitStack() as stack:
        first, second = (stack.enter_context(node.connection()) for _ in range(2))
        for connection in (first, second):  # one after the other: the second is seen when 600 KB of it are parsed
            connection.sendall(BATCH + b"Content-Length: 10000000\r\n\r\n" + b" " * 600_000)
            wait_until(lambda: node.held_bytes() > 500_000)
        answer = read_all(first)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "overloaded"
        jobs = [{"url": "https://example.com/", "payload": "x" * 200_000}] * 4
        assert node.post("/jobs/batch", {"jobs": jobs}).status == 200
        assert read_all(second).startswith(b"HTTP/1.1 503 "), "it made room"
        wait_until(lambda: node.held_bytes() == 0)


def test_of_many_heads_that_do_not_end_the_oldest_are_refused_and_a_whole_one_is_taken(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    limits = ConnectionLimits(requests_bytes=2**20)
    with NodeUnderTest(node_config(tmp_path, **settings), limits).running() as node, ExitStack() as stack:
        first = stack.enter_context(node.connection())
        first.sendall(b"GET /jobs HTTP/1.1\r\nX: " + b"x" * 60_000)
        wait_until(lambda: node.held_bytes() > 50_000)
        for _ in range(20):
            stack.enter_context(node.connection()).sendall(b"GET /jobs HTTP/1.1\r\nX: " + b"x" * 60_000)
        answer = read_all(first)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "overloaded"
        assert node.held_bytes() <= 2**20
        assert node.get("/jobs").status == 200


@pytest.fixture(scope="module")
def full_node(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    """A node whose pages are large, and that keeps no more than 8 MiB for clients that do not read."""
    limits = ConnectionLimits(request_s=CUT_S, unsent_bytes=8 * 2**20)
    with NodeUnderTest(node_config(tmp_path_factory.mktemp("node"), **settings), limits).running() as node:
        job = {"url": "https://example.com/", "headers": {"X-Long": "x" * 12_000}, "delay": "1h"}
        for _ in range(3):
            assert node.post("/jobs/batch", {"jobs": [job] * 100}).status == 200
        yield node


PAGE = b"GET /jobs?limit=300 HTTP/1.1\r\nHost: localhost\r\n\r\n"  # some 2 MiB


def test_a_client_that_does_not_read_its_answer_is_cut(full_node: NodeUnderTest) -> None:
    with unread(full_node) as connection:
        wait_until(lambda: full_node.open_connections() == 1)
        wait_until(lambda: full_node.open_connections() == 0)
        answer = b"".join(iter(lambda: received(connection), b""))
    head, _, _ = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert len(answer) < 3 * length, "only what was in the socket's buffers"


def test_who_reads_slowly_but_goes_on_gets_all(full_node: NodeUnderTest) -> None:
    with full_node.connection() as connection:
        connection.sendall(PAGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = b"".join(iter(lambda: connection.recv(30_000), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head


@pytest.mark.parametrize("value", [b"key-1 ", b"key-1\t", b"\t key-1 \t"], ids=ascii)
def test_white_space_around_a_value_is_no_part_of_it(hasty_node: NodeUnderTest, value: bytes) -> None:
    ids = set()
    for text in (b"key-1", value):
        head = HEAD + b"Connection: close\r\nContent-Length: %d\r\nIdempotency-Key: " % len(JOB)
        answer = hasty_node.raw(head + text + b"\r\n\r\n" + JOB)
        assert answer[:12] in (b"HTTP/1.1 201", b"HTTP/1.1 200"), answer
        ids.add(json.loads(answer.partition(b"\r\n\r\n")[2])["id"])
    assert len(ids) == 1


def test_a_client_that_leaves_in_the_middle_stores_nothing(hasty_node: NodeUnderTest) -> None:
    before = hasty_node.stored()
    for _ in range(5):
        with hasty_node.connection() as connection:
            connection.sendall(HEAD + b"Content-Length: 34\r\n\r\n" + JOB[:20])
    assert hasty_node.get("/cluster").status == 200
    assert hasty_node.stored() == before


def test_a_job_is_stored_also_when_the_client_does_not_wait(hasty_node: NodeUnderTest) -> None:
    body = b'{"url":"https://example.com/","id":"left-early"}'
    with hasty_node.connection() as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    wait_until(lambda: hasty_node.get("/jobs/left-early").status == 200)


def test_pipelined_requests_are_answered_in_order(hasty_node: NodeUnderTest) -> None:
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(JOB) + JOB
    last = b"GET /cluster HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = hasty_node.raw(request * 3 + last)
    assert answer.rindex(b"HTTP/1.1 201 ") < answer.index(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 201 ") == 3
    assert answer.count(b"HTTP/1.1 200 ") == 1


def test_few_of_many_pipelined_requests_are_taken_up_while_the_first_is_not_read(full_node: NodeUnderTest) -> None:
    with full_node.connection() as connection:
        connection.sendall(PAGE * 2_000)
        wait_until(lambda: full_node.queued_requests() > 0)
        assert full_node.queued_requests() < 200


def test_a_wish_for_http2_is_ignored(hasty_node: NodeUnderTest) -> None:
    head = HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(JOB)
    with hasty_node.connection() as connection:
        connection.sendall((head + JOB) * 2 + b"GET /cluster HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = read_all(connection)
    assert answer.count(b"HTTP/1.1 201 ") == 2
    assert answer.count(b"HTTP/1.1 200 ") == 1


def test_expect_100_continue(hasty_node: NodeUnderTest) -> None:
    with hasty_node.connection() as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(JOB))
        assert connection.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(JOB)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 201 ")


def unread(node: NodeUnderTest) -> socket.socket:
    """A connection with three answers under way, more than Linux buffers, that it does not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    connection.connect(("127.0.0.1", node.port))
    connection = node.over(connection)
    connection.sendall(PAGE * 3)
    return connection


def received(connection: socket.socket) -> bytes:
    """Gives what came; nothing when the other side has cut the connection."""
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.01)


def _cluster(connection: socket.socket) -> bytes:
    """A small request on a connection that stays open, and its whole answer."""
    connection.sendall(b"GET /cluster HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def _dripping(connection: socket.socket) -> bytes:
    """Sends a byte now and then, until something comes."""
    while True:
        try:
            connection.sendall(b"a")
            return connection.recv(65_536)
        except TimeoutError:
            continue
        except OSError:
            return b""


def test_every_answer_says_when_it_was_given(hasty_node: NodeUnderTest) -> None:
    answer = hasty_node.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert b"\r\ndate: " in answer.partition(b"\r\n\r\n")[0]


def test_half_a_head_behind_a_whole_request_is_cut(hasty_node: NodeUnderTest) -> None:
    whole = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    padded = whole.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 3_000 + b"\r\n\r\n")  # parsed in pieces
    with hasty_node.connection() as connection:
        connection.sendall(padded + whole[:-4])
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1
