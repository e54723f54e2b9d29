"""One table of hostile requests, for nodes and proxies, with and without TLS, with and without keys."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hookline.clock import SystemClock
from hookline.tls.live import LiveTls
from tests.certificates import Authority
from tests.integration.broken_requests import CHUNKED, HEAD, JOB, LARGE_HEADS, LARGE_TRAILERS, SMUGGLED
from tests.integration.keyed_servers import ROOT
from tests.integration.node_under_test import NodeUnderTest, read_all
from tests.integration.proxy_under_test import Clusters

HOST = b"Host: localhost\r\n"
SHOWN = b"Authorization: Bearer " + ROOT.encode() + b"\r\n"
SERVERS = [
    f"{server}, {scheme}, {keys}"
    for server in ("node", "proxy")
    for scheme in ("http", "https")
    for keys in ("no keys", "keys")
]


class HardenedServer(NamedTuple):
    """One of ``SERVERS``; calls show the root key if it asks for keys."""

    port: int
    tls: ssl.SSLContext | None
    asks_for_keys: bool
    node: NodeUnderTest

    def raw(self, data: bytes) -> bytes:
        """All that comes back for these bytes, until the connection is closed."""
        if self.asks_for_keys:
            data = data.replace(HOST, HOST + SHOWN, 1)
        connected = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        with self.tls.wrap_socket(connected, server_hostname="127.0.0.1") if self.tls else connected as connection:
            connection.sendall(data)
            return read_all(connection)

    def post(self, body: bytes, *headers: bytes, path: bytes = b"/jobs") -> tuple[int, Any]:
        """(status, body)."""
        lines = b"".join(line + b"\r\n" for line in (b"Connection: close", *headers))
        head = HEAD.replace(b"/jobs", path, 1) + lines + b"Content-Length: %d\r\n\r\n" % len(body)
        return answer_in(self.raw(head + body))


def answer_in(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HardenedServer]:
    kind, scheme, keys = request.param.split(", ")
    folder: Path = tmp_path_factory.mktemp("server")
    settings: dict[str, Any] = {} if keys == "no keys" else {"root_key": ROOT}
    tls = None
    if scheme == "https":
        files = Authority(folder / "authority").files()
        settings["tls"], tls = files, LiveTls(files, SystemClock()).client_context()
    with closing(Clusters(folder, 1, **settings)) as clusters:
        node = clusters.nodes["c0"]
        port = node.port if kind == "node" else clusters.start_proxy(**settings).port
        yield HardenedServer(port, tls, "root_key" in settings, node)


def check_refused(server: HardenedServer, request_bytes: bytes, status: int, code: str) -> None:
    before = server.node.stored()
    answer = server.raw(request_bytes)
    assert answer.count(b"HTTP/1.1 ") == 1, "what follows is not taken for a request"
    found, problem = answer_in(answer)
    assert (found, problem["code"]) == (status, code)
    assert b"\r\nconnection: close\r\n" in answer
    assert server.node.stored() == before


@pytest.mark.parametrize("request_bytes", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_what_could_be_read_in_two_ways_is_refused(server: HardenedServer, request_bytes: bytes) -> None:
    check_refused(server, request_bytes, 400, "invalid_request")


LARGE = LARGE_HEADS | LARGE_TRAILERS


@pytest.mark.parametrize("request_bytes", LARGE.values(), ids=LARGE.keys())
def test_what_has_no_end_is_refused(server: HardenedServer, request_bytes: bytes) -> None:
    before = server.node.stored()
    assert server.raw(request_bytes).startswith(b"HTTP/1.1 431 ")
    assert server.node.stored() == before


def test_a_trailer_is_not_a_header(server: HardenedServer) -> None:
    request = CHUNKED.replace(HOST, HOST + b"Connection: close\r\n") + b"Idempotency-Key: k\r\n\r\n"
    made = [answer_in(server.raw(request)) for _ in range(2)]
    assert [status for status, _ in made] == [201, 201]
    assert made[0][1]["id"] != made[1][1]["id"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([b"Host: evil.example"], 400, "invalid_request"),
        ([b"Connection: idempotency-key", b"Idempotency-Key: k"], 400, "invalid_request"),
        ([b"Content-Encoding: gzip"], 415, "unsupported_media"),
        ([b"Origin: https://evil.example", b"Content-Type: text/plain"], 415, "unsupported_media"),
        ([b"Idempotency-Key: \xff"], 400, "invalid_id"),
    ],
)
def test_headers_that_would_deceive_are_refused(
    server: HardenedServer, headers: list[bytes], status: int, code: str
) -> None:
    before = server.node.stored()
    found, problem = server.post(JOB, *headers)
    assert (found, problem["code"]) == (status, code)
    assert server.node.stored() == before


def test_a_server_on_loopback_answers_to_its_own_names(server: HardenedServer) -> None:
    for method in (b"GET /jobs", b"POST /jobs"):
        request = method + b" HTTP/1.1\r\nHost: evil.example\r\n" + SHOWN + b"Connection: close\r\n\r\n"
        found, problem = answer_in(server.raw(request))
        assert (found, problem["code"]) == (403, "host_not_allowed")


ADDRESSES = {
    "http://127.0.0.1/": "forbidden_destination",
    "http://localhost/": "forbidden_destination",
    "http://10.0.0.1/": "forbidden_destination",
    "http://169.254.169.254/latest": "forbidden_destination",
    "http://0.0.0.0/": "forbidden_destination",
    "http://[::1]/": "forbidden_destination",
    "http://[::ffff:7f00:1]/": "forbidden_destination",
    "http://[64:ff9b::7f00:1]/": "forbidden_destination",
    "http://[fd00::1]/": "forbidden_destination",
    "http://2130706433/": "invalid_url",
    "http://0x7f000001/": "invalid_url",
    "http://127.1/": "invalid_url",
    "http://\uff11\uff12\uff17.0.0.1/": "invalid_url",
    "https://example.com\\@evil.example/": "invalid_url",
    "https://user:pass@example.com/": "invalid_url",
    "file:///etc/passwd": "invalid_url",
}


@pytest.mark.parametrize("way", ["job", "batch", "schedule"])
def test_addresses_that_no_job_may_call_are_refused(server: HardenedServer, way: str) -> None:
    before, found = server.node.stored(), {}
    for url in ADDRESSES:
        if way == "batch":
            _, answer = server.post(json.dumps({"jobs": [{"url": url}]}).encode(), path=b"/jobs/batch")
            answer = answer["results"][0]["error"]
        elif way == "schedule":
            body = {"cron": "0 3 * * *", "job": {"url": url}}
            _, answer = server.post(json.dumps(body).encode(), path=b"/schedules")
        else:
            _, answer = server.post(json.dumps({"url": url}).encode())
        found[url] = answer["code"]
    assert found == ADDRESSES
    assert server.node.stored() == before


def test_a_key_is_asked_for_before_anything_is_looked_at(server: HardenedServer) -> None:
    """A caller without one is not told what else is wrong."""
    stranger, before = server._replace(asks_for_keys=False), server.node.stored()
    wanted = 401 if server.asks_for_keys else 400
    for url in ADDRESSES:
        assert stranger.post(json.dumps({"url": url}).encode())[0] == wanted
    assert server.node.stored() == before


def test_headers_that_only_our_processes_send_change_nothing(server: HardenedServer) -> None:
    """A node that asks nobody for a key cannot tell who is a proxy, and believes them."""
    forged = (b"Hookline-Forwarded: 1", b"Hookline-Epoch: 99", b"Hookline-For-Cluster: another")
    status, made = server.post(JOB, *forged)
    is_open_node = not server.asks_for_keys and server.port == server.node.port
    assert (status, made.get("code")) == ((421, "wrong_cluster") if is_open_node else (201, None))
