"""How calls travel: one bound for all of a try, whose client it is, what goes along, and what failures mean."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import trustme

import hookline
from hookline import AsyncClient, Client, errors
from hookline.client import carriers
from hookline.clock import SystemClock
from tests import scripted_server as served
from tests.dripping_server import Behave, drip, dripping_server, flood, silent
from tests.scripted_server import Answer, ScriptedServer, scripted_server

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.answers = [Answer(200, served.job())]
        yield server


# --- one bound ------------------------------------------------------------------------------------------------

ENDLESS: dict[str, Behave] = {
    "nothing": silent,
    "status line": drip(b"HTTP/1.1 2", b"0"),
    "header": drip(OK + b"x: ", b"y"),
    "headers": drip(OK, b"x: y\r\n"),
    "early hints": drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": drip(OK + b"content-length: 100000\r\n\r\n", b"x"),
    "chunks": drip(OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "chunk length": drip(OK + b"transfer-encoding: chunked\r\n\r\n", b"0"),
    "body without end": drip(OK + b"\r\n", b" "),
    "body as fast as it can": flood(OK + b"\r\n", b" " * 1_000),
}


@pytest.mark.parametrize("behave", ENDLESS.values(), ids=ENDLESS.keys())
async def test_an_answer_that_does_not_end_ends_at_the_timeout(behave: Behave) -> None:
    with dripping_server(behave) as server:
        with (
            Client(server.url, timeout=0.3, retries=0) as client,
            pytest.raises((errors.DeadlineExceeded, errors.ForeignAnswer)),
        ):
            client.get_job("j1")
        async with AsyncClient(server.url, timeout=0.3, retries=0) as awaiting:
            with pytest.raises((errors.DeadlineExceeded, errors.ForeignAnswer)):
                await awaiting.get_job("j1")


@pytest.mark.parametrize("behave", ENDLESS.values(), ids=ENDLESS.keys())
async def test_so_it_does_for_a_client_of_the_callers_own_on_asyncio(behave: Behave) -> None:
    with dripping_server(behave) as server:
        async with (
            httpx2.AsyncClient() as own,
            AsyncClient(server.url, timeout=0.3, retries=0, http_client=own) as client,
        ):
            with pytest.raises((errors.DeadlineExceeded, errors.ForeignAnswer)):
                await client.get_job("j1")


@pytest.mark.parametrize("name", ["body", "chunks", "body without end", "body as fast as it can", "nothing"])
def test_so_does_the_body_for_a_blocking_client_of_the_callers_own(name: str) -> None:
    with (
        dripping_server(ENDLESS[name]) as server,
        httpx2.Client() as own,
        Client(server.url, timeout=0.3, retries=0, http_client=own) as client,
        pytest.raises((errors.DeadlineExceeded, errors.ForeignAnswer)),
    ):
        client.get_job("j1")


async def test_a_request_that_nobody_reads_ends_at_the_timeout() -> None:
    payload = "x" * 12_000_000
    with dripping_server(silent, reads=False) as server:
        with Client(server.url, timeout=0.5, retries=0) as client, pytest.raises(errors.DeadlineExceeded):
            client.create_job("https://e.example/", payload=payload)
        async with AsyncClient(server.url, timeout=0.5, retries=0) as awaiting:
            with pytest.raises(errors.DeadlineExceeded):
                await awaiting.create_job("https://e.example/", payload=payload)


async def test_a_tls_handshake_that_nobody_answers_is_a_failed_connection() -> None:
    with dripping_server(silent) as server:
        url = server.url.replace("http:", "https:")
        with Client(url, timeout=0.3, retries=0) as client, pytest.raises(errors.ConnectionFailed):
            client.get_job("j1")
        async with AsyncClient(url, timeout=0.3, retries=0) as awaiting:
            with pytest.raises(errors.ConnectionFailed):
                await awaiting.get_job("j1")


def test_a_name_that_nobody_looks_up_ends_at_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: [release.wait(20)][:0])
    too_long = r"looking up slow\.example took too long"
    with (
        Client("http://slow.example", timeout=0.2, retries=0) as client,
        pytest.raises(errors.HooklineError, match=too_long),
    ):
        client.get_job("j1")
    release.set()


def test_the_next_address_is_tried_when_one_refuses(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(server.url.rpartition(":")[2])
    two = [(socket.AF_INET6, 1, 6, "", ("::1", port, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: two)
    with Client(f"http://both.example:{port}") as client:
        assert client.get_job("j1").id == "j1"


async def test_an_answer_is_bounded_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriers, "ANSWER_BYTES_MAX", 200_000)
    with dripping_server(ENDLESS["body as fast as it can"]) as server:
        with Client(server.url, timeout=60) as client, pytest.raises(errors.ForeignAnswer, match="64 MiB"):
            client.get_job("j1")
        async with AsyncClient(server.url, timeout=60) as awaiting:
            with pytest.raises(errors.ForeignAnswer, match="64 MiB"):
                await awaiting.get_job("j1")


# --- what goes along ------------------------------------------------------------------------------------------


def test_headers_and_the_version_go_with_every_call(server: ScriptedServer) -> None:
    with Client(server.url, headers={"X-Gateway-Token": "secret"}) as client:
        client.get_job("j1")
    assert server.asked[0].headers["x-gateway-token"] == "secret"
    assert server.asked[0].headers["user-agent"] == f"hookline-python/{hookline.__version__}"
    with Client(server.url, headers={"User-Agent": "shop/1"}) as client:
        client.get_job("j1")
    assert server.asked[1].headers["user-agent"] == "shop/1"


@pytest.mark.parametrize("headers", [{"a b": "c"}, {"": "c"}, {"a": "geheim\r\nx: y"}, {"a": "geheimß"}, {"a": 1}])
def test_a_header_that_cannot_be_sent_is_refused_without_showing_it(headers: Any) -> None:
    with pytest.raises(errors.InvalidHeader) as caught:
        Client(headers=headers)
    assert "geheim" not in str(caught.value)


async def test_cookies_are_not_kept(server: ScriptedServer) -> None:
    server.answers = [Answer(200, served.job(), {"Set-Cookie": "session=1; Path=/"})]
    with Client(server.url) as client:
        client.get_job("j1")
        client.get_job("j1")
    async with AsyncClient(server.url) as awaiting:
        await awaiting.get_job("j1")
        await awaiting.get_job("j1")
    assert not any("cookie" in asked.headers for asked in server.asked)


def test_proxies_of_the_environment_are_not_used(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Client(server.url) as client:
        assert client.get_job("j1").id == "j1"


async def test_a_proxy_that_is_named_is_used(server: ScriptedServer) -> None:
    with Client("http://hookline.example", proxy=server.url) as client:
        assert client.get_job("j1").id == "j1"
    async with AsyncClient("http://hookline.example", proxy=server.url) as awaiting:
        assert (await awaiting.get_job("j1")).id == "j1"
    assert [asked.path for asked in server.asked] == ["http://hookline.example/jobs/j1"] * 2


@pytest.mark.parametrize(
    "options", [{"proxy": "127.0.0.1:1"}, {"proxy": "socks5://h:1"}, {"proxy": "http://"}, {"verify": "/no/such/file"}]
)
def test_settings_that_cannot_work_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidConfig) as caught:
        Client(**options)
    assert caught.value.field == next(iter(options))


def test_the_address_comes_from_the_environment(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOKLINE_URL", server.url)
    with Client() as client:
        assert client.get_job("j1").id == "j1"
    monkeypatch.setenv("HOOKLINE_URL", "localhost:7070")
    with pytest.raises(errors.InvalidConfig, match=r"HOOKLINE_URL 'localhost:7070' is not the address"):
        Client()


@pytest.mark.parametrize("kept", ["file", "context", "nothing"])
def test_an_own_authority_is_trusted_and_another_is_not(kept: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def behave(connection: socket.socket, _stop: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65_536)
            secured.sendall(OK + b"content-length: 2\r\n\r\n{}")

    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    verify: Any = {"file": file, "context": ssl.create_default_context(cafile=file), "nothing": True}[kept]
    with dripping_server(behave, reads=False) as server:
        url = server.url.replace("http:", "https:")
        with Client(url, verify=verify, retries=0) as client:
            expected = errors.ConnectionFailed if kept == "nothing" else errors.HooklineError
            with pytest.raises(
                expected, match=r'ca_file="ca\.pem"' if kept == "nothing" else "not what this call gives"
            ):
                client.get_job("j1")


def test_tls_to_a_port_without_it_says_so(server: ScriptedServer) -> None:
    url = server.url.replace("http:", "https:")
    with Client(url, retries=0) as client, pytest.raises(errors.ConnectionFailed, match="begins with http://"):
        client.get_job("j1")


# --- whose client ---------------------------------------------------------------------------------------------


async def test_a_closed_client_says_so_and_tries_nothing(server: ScriptedServer) -> None:
    client, awaiting = Client(server.url), AsyncClient(server.url)
    client.get_job("j1")
    client.close()
    client.close()
    await awaiting.close()
    with pytest.raises(errors.ClientClosed, match="This client is closed"):
        client.get_job("j1")
    with pytest.raises(errors.ClientClosed, match="This client is closed"):
        await awaiting.get_job("j1")
    assert len(server.asked) == 1


async def test_a_client_of_the_callers_own_is_used_and_stays_open(server: ScriptedServer) -> None:
    with httpx2.Client(headers={"x-mine": "1"}, follow_redirects=True) as own:
        with Client(server.url, http_client=own) as client:
            client.get_job("j1")
        assert not own.is_closed
        own.close()
        with pytest.raises(errors.ClientClosed, match="http_client"):
            Client(server.url, http_client=own).get_job("j1")
    async with httpx2.AsyncClient(headers={"x-mine": "1"}) as awaited:
        async with AsyncClient(server.url, http_client=awaited) as awaiting:
            await awaiting.get_job("j1")
        assert not awaited.is_closed
    assert [asked.headers["x-mine"] for asked in server.asked] == ["1", "1"]


def test_what_makes_a_client_is_asked_once_and_its_client_closed(server: ScriptedServer) -> None:
    made = []

    def make() -> httpx2.Client:
        made.append(httpx2.Client())
        return made[-1]

    with Client(server.url, http_client=make) as client:
        client.get_job("j1")
        client.get_job("j1")
    assert [one.is_closed for one in made] == [True]


def test_a_client_of_another_kind_is_refused() -> None:
    for wrong in (httpx2.AsyncClient(), httpx.Client(), "http"):
        with pytest.raises(errors.InvalidConfig, match=r"give an httpx2\.Client"):
            Client(http_client=wrong)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidConfig, match=r"give an httpx2\.AsyncClient"):
        AsyncClient(http_client=httpx2.Client())  # type: ignore[arg-type]
    with httpx2.Client() as own, pytest.raises(errors.InvalidConfig, match="give them to it"):
        Client(http_client=own, verify=False)


def test_a_client_for_asyncio_works_on_one_loop_after_another(server: ScriptedServer) -> None:
    client = AsyncClient(server.url)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        for runner in (first, second, first):
            assert runner.run(call(client)) == "j1"
        for runner in (first, second):
            runner.run(client.close())


async def call(client: AsyncClient) -> str:
    return (await client.get_job("j1")).id


def test_threads_share_a_client(server: ScriptedServer) -> None:
    with Client(server.url) as client, ThreadPoolExecutor(20) as threads:
        assert set(threads.map(lambda _: client.get_job("j1").id, range(100))) == {"j1"}


# --- forks ----------------------------------------------------------------------------------------------------


def in_child(act: Any) -> str:
    """Gives the result of ``act`` in a child of this process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, str(act()).encode())
        except Exception as error:  # noqa: BLE001  # it is what the test compares
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    return said


@pytest.mark.parametrize("used_before", [True, False])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_has_connections_of_its_own_and_the_parent_keeps_its(server: ScriptedServer, used_before: bool) -> None:
    with Client(server.url, timeout=60, retries=0) as client:
        if used_before:
            client.get_job("j1")
        for _ in range(3):
            assert in_child(lambda: client.get_job("j1").id) == "j1"
            assert in_child(client.close) == "None"
            assert client.get_job("j1").id == "j1"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_amid_calls_of_other_threads_does_not_hang(server: ScriptedServer) -> None:
    stop = threading.Event()
    with Client(server.url, timeout=60, retries=0) as client, ThreadPoolExecutor(4) as threads:

        def keep_calling() -> int:
            calls = 0
            while not stop.is_set():
                calls += client.get_job("j1").id == "j1"
            return calls

        running = [threads.submit(keep_calling) for _ in range(4)]
        try:
            assert [in_child(lambda: client.get_job("j1").id) for _ in range(20)] == ["j1"] * 20
        finally:
            stop.set()
        assert all(one.result() > 0 for one in running)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_client_of_the_callers_own_that_was_used_says_what_to_give_instead(server: ScriptedServer) -> None:
    with httpx2.Client() as own, Client(server.url, http_client=own, retries=0) as client:
        assert in_child(lambda: client.get_job("j1").id) == "j1", "not used before"
        client.get_job("j1")
        assert in_child(lambda: client.get_job("j1").id).startswith("InvalidConfig: your http_client was used before")
    with Client(server.url, http_client=httpx2.Client, retries=0) as client:
        client.get_job("j1")
        assert in_child(lambda: client.get_job("j1").id) == "j1"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_client_for_asyncio_works_in_a_child(server: ScriptedServer) -> None:
    client = AsyncClient(server.url, timeout=60, retries=0)
    with asyncio.Runner() as runner:
        assert runner.run(call(client)) == "j1"
        assert in_child(lambda: asyncio.run(call(client))) == "j1"
        assert runner.run(call(client)) == "j1"
        runner.run(client.close())


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_no_two_processes_and_no_two_threads_make_the_same_key() -> None:
    clock = SystemClock()
    clock.token(16)
    assert in_child(lambda: clock.token(16).hex()) != clock.token(16).hex()
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: clock.token(16), range(2_000)))
    assert len(set(made)) == len(made)
