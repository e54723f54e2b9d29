"""TLS over real sockets: who is let in and who is told why not, and certificates that change while calls go on."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

import hookline
from hookline import AsyncClient, Client
from hookline.http_api import rare_lines
from hookline.http_api.connection_limits import ConnectionLimits
from hookline.tls import live
from hookline.tls.files import TlsFiles
from tests.certificates import Authority
from tests.integration.conftest import StartNode
from tests.integration.node_under_test import NodeUnderTest, node_config, read_all
from tests.integration.proxy_under_test import JOB, Clusters

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSING = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def secure_node(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    with NodeUnderTest(node_config(tmp_path_factory.mktemp("node"), tls=authority.files()), None).running() as node:
        yield node


@pytest.fixture(scope="module")
def mutual_node(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    """It lets in whoever has a certificate of its authority."""
    files = authority.files("mutual", mutual=True)
    with NodeUnderTest(node_config(tmp_path_factory.mktemp("node"), tls=files), None).running() as node:
        yield node


Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Collects what is logged."""
    structlog.reset_defaults()
    for module in (live, rare_lines):
        monkeypatch.setattr(module, "_log", structlog.get_logger())
    with capture_logs() as found:
        yield found


def of(lines: Lines, event: str) -> Lines:
    return [line for line in lines if line["event"] == event]


def https(node: NodeUnderTest) -> str:
    return f"https://127.0.0.1:{node.port}"


def asked(url: str, **options: Any) -> str:
    """Asks by both clients; gives the error that both say, or nothing."""

    async def ask() -> str:
        async with AsyncClient(url, retries=0, **options) as client:
            return await failure(client)

    async def failure(client: AsyncClient) -> str:
        try:
            await client.health()
        except hookline.HooklineError as error:
            return f"{error.code}: {error.detail}"
        return ""

    with Client(url, retries=0, **options) as client:
        try:
            client.health()
        except hookline.HooklineError as error:
            said = f"{error.code}: {error.detail}"
        else:
            said = ""
    assert asyncio.run(ask()) == said
    return said


# --- who is let in --------------------------------------------------------------------------------------------------


def test_both_clients_call_by_a_file_of_authorities(secure_node: NodeUnderTest, authority: Authority) -> None:
    assert asked(https(secure_node), ca_file=authority.ca) == ""
    assert asked(f"https://localhost:{secure_node.port}", verify=str(authority.ca)) == ""


def test_the_authority_can_be_in_the_environment(
    secure_node: NodeUnderTest, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOKLINE_CA_FILE", str(authority.ca))
    assert asked(https(secure_node)) == ""


def test_a_certificate_of_nobody_known_is_not_trusted(secure_node: NodeUnderTest, stranger: Authority) -> None:
    for options in ({}, {"ca_file": stranger.ca}):
        said = asked(https(secure_node), **options)
        assert said.startswith("connection_failed: ")
        assert "the server's certificate is not trusted" in said
        assert 'ca_file="ca.pem"' in said


def test_a_certificate_of_another_name_is_refused(start_node: StartNode, authority: Authority) -> None:
    with start_node(tls=authority.files("other", "n1.internal", "10.0.0.1")) as node:
        said = asked(https(node), ca_file=authority.ca)
        assert "the server's certificate is for another name" in said
        assert "Is the address right?" in said


def test_an_expired_certificate_is_refused(start_node: StartNode, authority: Authority) -> None:
    with start_node(tls=authority.files("expired", days=-2)) as node:
        assert "the server's certificate has expired" in asked(https(node), ca_file=authority.ca)


def test_without_a_certificate_of_its_own_a_client_is_not_let_in(
    mutual_node: NodeUnderTest, authority: Authority, stranger: Authority, lines: Lines
) -> None:
    said = asked(https(mutual_node), ca_file=authority.ca)
    assert said.startswith("connection_failed: "), "the call was surely not taken"
    assert "asks for a client certificate" in said
    assert "HOOKLINE_CLIENT_CERT" in said
    assert {line["reason"] for line in of(lines, "tls_handshake_failed")} <= {"it shows no certificate"}
    assert asked(https(mutual_node), ca_file=authority.ca, cert=authority.pair("client")) == ""
    unknown = asked(https(mutual_node), ca_file=authority.ca, cert=stranger.pair("client"))
    assert unknown.startswith("connection_failed: ")
    assert "client certificate that was shown" in unknown
    old = asked(https(mutual_node), ca_file=authority.ca, cert=authority.pair("old", days=-2))
    assert "the client certificate that was shown has expired" in old


def test_the_certificate_to_show_can_be_in_the_environment(
    mutual_node: NodeUnderTest, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = authority.pair("client")
    for name, path in (("CA_FILE", authority.ca), ("CLIENT_CERT", cert), ("CLIENT_KEY", key)):
        monkeypatch.setenv(f"HOOKLINE_{name}", str(path))
    assert asked(https(mutual_node)) == ""


def test_tls_to_a_port_without_it_says_so(node: NodeUnderTest) -> None:
    said = asked(https(node))
    assert said.startswith("connection_failed: ")
    assert "what answers there does not speak TLS" in said
    assert "begins with http://" in said


def test_plain_http_to_a_port_with_tls_is_answered_in_plain_http(secure_node: NodeUnderTest, lines: Lines) -> None:
    said = asked(f"http://127.0.0.1:{secure_node.port}")
    assert said == "tls_required: This address speaks TLS; let it begin with https://."
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", secure_node.port), timeout=60) as plain:
            plain.sendall(GET * 100)
            answer = read_all(plain)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1 ") == 1
    assert len(of(lines, "plain_http_refused")) <= 1, "one line in ten seconds, however many there are"


def test_what_is_neither_gets_the_same(secure_node: NodeUnderTest) -> None:
    for data in (b"\x00", b"SSH-2.0-x\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", secure_node.port), timeout=60) as odd:
            odd.sendall(data)
            assert b'"code":"tls_required"' in read_all(odd)


def test_the_connection_is_of_today(secure_node: NodeUnderTest, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.ca)
    context.set_alpn_protocols(["h2", "http/1.1"])
    for most, version in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        context.maximum_version = most
        with connected(secure_node.port, context) as connection:
            assert (connection.version(), connection.selected_alpn_protocol()) == (version, "http/1.1")
            connection.sendall(CLOSING)
            assert read_all(connection).startswith(b"HTTP/1.1 200 ")


# --- how long, how many ---------------------------------------------------------------------------------------------


def test_who_connects_and_shakes_no_hands_is_cut(start_node: StartNode, authority: Authority) -> None:
    limits = ConnectionLimits(handshake_s=0.5, request_s=60)
    with start_node(limits, tls=authority.files()) as node:
        with socket.create_connection(("127.0.0.1", node.port), timeout=60) as silent:
            assert read_all(silent) == b""
        with socket.create_connection(("127.0.0.1", node.port), timeout=60) as half:
            half.sendall(hello()[:50])
            assert read_all(half) == b""
        with socket.create_connection(("127.0.0.1", node.port), timeout=60) as greeted:
            greeted.sendall(hello())
            read_all(greeted)  # the server's part of the handshake, and then the end
        wait_until(lambda: node.open_connections() == 0)


def test_of_many_handshakes_the_one_that_takes_longest_makes_room(start_node: StartNode, authority: Authority) -> None:
    limits = ConnectionLimits(handshakes=5, handshake_s=600)
    with start_node(limits, tls=authority.files()) as node, ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(("127.0.0.1", node.port), timeout=60)) for _ in range(8)]
        for longest in held[:3]:
            assert read_all(longest) == b""
        assert node.get("/livez").status == 200, "it took the place of the fourth"
        assert read_all(held[3]) == b""
        wait_until(lambda: node.open_connections() == 4)


def test_handshakes_leave_half_of_the_places_to_others(start_node: StartNode, authority: Authority) -> None:
    limits = ConnectionLimits(connections=10, handshake_s=600)
    with start_node(limits, tls=authority.files()) as node, ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", node.port), timeout=60))
        assert node.get("/livez").status == 200


def test_what_comes_in_many_tiny_records_is_read(secure_node: NodeUnderTest, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.ca)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", secure_node.port), timeout=60) as wire:
        shaken = False
        while not shaken:
            try:
                tls.do_handshake()
                shaken = True
            except ssl.SSLWantReadError:
                wire.sendall(outgoing.read())
                incoming.write(wire.recv(65_536))
        padded = CLOSING.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 3_000 + b"\r\n\r\n")
        for byte in padded:
            tls.write(bytes([byte]))
        wire.sendall(outgoing.read())
        answer = b""
        while not answer.endswith(b"}"):
            incoming.write(wire.recv(65_536))
            with suppress(ssl.SSLWantReadError):
                answer += tls.read(65_536)
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_record_that_was_changed_on_its_way_ends_the_connection(
    secure_node: NodeUnderTest, authority: Authority
) -> None:
    before = secure_node.stored()
    context = ssl.create_default_context(cafile=authority.ca)
    with connected(secure_node.port, context) as connection:
        connection.sendall(GET)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        raw = socket.socket(fileno=os.dup(connection.fileno()))
        with raw:
            raw.sendall(b"\x17\x03\x03\x00\x40" + b"x" * 64)
            wait_until(lambda: secure_node.open_connections() == 0)
    assert secure_node.stored() == before


# --- certificates that change ---------------------------------------------------------------------------------------


def test_certificates_change_under_load_and_no_call_fails(tmp_path: Path, authority: Authority) -> None:
    files = authority.files("changing", mutual=True)
    with NodeUnderTest(node_config(tmp_path / "node", tls=files), None).running() as node:
        stopped = threading.Event()
        failures: list[str] = []
        calls = [0, 0]

        def call(number: int, options: dict[str, Any]) -> None:
            with Client(https(node), retries=0, ca_file=authority.ca, cert=authority.pair(f"c{number}")) as kept:
                while not stopped.is_set():
                    try:
                        kept.health()  # over a connection that is kept
                        with Client(https(node), retries=0, **options) as fresh:
                            fresh.health()
                    except hookline.HooklineError as error:
                        failures.append(error.detail)
                    calls[number] += 1

        options = {"ca_file": authority.ca, "cert": authority.pair("fresh")}
        callers = [threading.Thread(target=call, args=(number, options)) for number in range(2)]
        for caller in callers:
            caller.start()
        seen = set()
        for turn in range(20):
            renewed = authority.make("changing")
            assert files.cert is not None
            assert files.key is not None
            files.cert.write_bytes(renewed.cert[: len(renewed.cert) // 2])  # as a slow copy has it for a while
            node.look_at_certificates()
            files.cert.write_bytes(renewed.cert)
            node.look_at_certificates()
            files.key.write_bytes(renewed.key)
            node.look_at_certificates()
            seen.add(shown(node.port, authority))
            wait_until(partial(_all_went_on, calls, list(calls)))
            assert len(seen) == turn + 1, "new connections see the new certificate"
        stopped.set()
        for caller in callers:
            caller.join()
    assert failures == []


def test_what_cannot_be_used_is_refused_once_and_the_old_one_stays(
    tmp_path: Path, authority: Authority, lines: Lines
) -> None:
    files = authority.files("steady")
    assert files.cert is not None
    assert files.key is not None
    with NodeUnderTest(node_config(tmp_path / "node", tls=files), None).running() as node:
        first = shown(node.port, authority)
        good = files.cert.read_bytes()
        expired = authority.make("steady", days=-2)
        for content, why in (
            (b"", "is not a PEM file with a certificate"),
            (authority.make("steady").cert, "is not that of the certificate"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is not a PEM file"),
            (None, "cannot be read: No such file"),
        ):
            lines.clear()
            if content is None:
                files.cert.unlink()
            else:
                files.cert.write_bytes(content)
            for _ in range(3):
                node.look_at_certificates()
            (said,) = of(lines, "tls_files_refused")
            assert why in said["error"]
            assert shown(node.port, authority) == first
        files.cert.write_bytes(expired.cert)
        files.key.write_bytes(expired.key)
        lines.clear()
        node.look_at_certificates()
        assert "has ended on" in of(lines, "tls_files_refused")[0]["error"]
        assert shown(node.port, authority) == first
        renewed = authority.make("steady")
        files.cert.write_bytes(renewed.cert)
        files.key.write_bytes(renewed.key)
        node.look_at_certificates()
        assert shown(node.port, authority) != first
        assert good != renewed.cert


# --- a fleet --------------------------------------------------------------------------------------------------------


@pytest.fixture
def closed_fleet(tmp_path: Path, authority: Authority) -> Iterator[Clusters]:
    """Three clusters that let in nobody without a certificate."""
    clusters = Clusters(tmp_path, 3, tls=authority.files("clusters", mutual=True))
    try:
        yield clusters
    finally:
        clusters.close()


def test_a_proxy_reaches_clusters_that_ask_for_certificates(closed_fleet: Clusters, authority: Authority) -> None:
    own = authority.files("proxy")
    door = closed_fleet.start_proxy(tls=own)
    made = [door.post("/jobs", JOB) for _ in range(60)]
    assert {answer.status for answer in made} == {201}
    assert len({answer.headers["hookline-cluster"] for answer in made}) == 3
    assert door.get("/health").status == 200
    assert "hookline_tls_certificate_expires_timestamp_seconds" in door.get("/metrics").body.decode()


def test_a_public_certificate_outside_and_another_one_to_the_nodes(
    closed_fleet: Clusters, authority: Authority, stranger: Authority
) -> None:
    cert, key = stranger.pair("public")
    client_cert, client_key = authority.pair("proxy")
    own = TlsFiles(cert=cert, key=key, ca=authority.ca, client_cert=client_cert, client_key=client_key)
    port = closed_fleet.start_proxy(tls=own).port
    with Client(f"https://127.0.0.1:{port}", ca_file=stranger.ca) as client:
        assert client.create_job("https://example.com/", delay="1h").state == "pending"


def test_a_proxy_without_a_certificate_is_not_let_in_by_the_nodes(closed_fleet: Clusters, authority: Authority) -> None:
    door = closed_fleet.start_proxy(tls=TlsFiles(ca=authority.ca))
    answer = door.post("/jobs", JOB)
    assert (answer.status, answer.code) == (503, "all_clusters_unavailable"), "nothing was sent that may have arrived"


def test_metrics_say_when_certificates_end(secure_node: NodeUnderTest, authority: Authority) -> None:
    end_s = authority.now_s + 90 * 86_400
    text = secure_node.get("/metrics").body.decode()
    line = next(line for line in text.splitlines() if 'expires_timestamp_seconds{certificate="server"}' in line)
    assert abs(float(line.rpartition(" ")[2]) - end_s) < 2


# --- help -----------------------------------------------------------------------------------------------------------


def connected(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=60), server_hostname="127.0.0.1")


def hello() -> bytes:
    """The first message of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def shown(port: int, authority: Authority) -> bytes:
    """The certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=authority.ca)
    context.load_cert_chain(*authority.pair("looker"))
    with connected(port, context) as connection:
        found = connection.getpeercert(binary_form=True)
        assert found is not None
        return found


def _all_went_on(now: list[int], before: list[int]) -> bool:
    return all(one > then for one, then in zip(now, before, strict=True))


def wait_until(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not is_so():
        pause.wait(0.01)
