"""The server ends with whoever runs it, however that ends."""

import asyncio
import errno
import select
import socket
import sys
from contextlib import ExitStack

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from hookline.http_api.server import drop_newcomers, make_server

_ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def _answer(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("here")


def _listener(port: int = 0) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(10)
    listener.setblocking(False)
    return listener


async def _cancelled_server_leaves_nothing() -> None:
    app = Starlette(routes=[Route("/", _answer)])
    app.state.identity = []
    with _listener() as listener:
        port = listener.getsockname()[1]
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(make_server(app, listener).serve(sockets=[listener]))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_ASK)
            assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")
            serving.cancel()
    assert await reader.read() == b"", "the connection is closed"
    writer.close()
    with _listener(port):  # raises OSError if somebody still listens
        pass


def test_a_cancelled_server_frees_its_port_and_its_connections() -> None:
    uvloop.run(asyncio.wait_for(_cancelled_server_leaves_nothing(), 60))


async def _a_request_under_way_is_answered() -> bytes:
    asked, failed = asyncio.Event(), asyncio.Event()

    async def wait(_request: Request) -> PlainTextResponse:
        asked.set()
        await failed.wait()
        for _ in range(20):  # what is told has a way to go
            await asyncio.sleep(0)
        return PlainTextResponse("it is not known", 504)

    app = Starlette(routes=[Route("/", wait)])
    app.state.identity = []
    with _listener() as listener:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(make_server(app, listener).serve(sockets=[listener]))
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
            writer.write(_ASK)
            await asked.wait()
            failed.set()
            serving.cancel()
            answer = await reader.read()
    writer.close()
    return answer


def test_what_is_under_way_when_a_server_is_cancelled_is_answered() -> None:
    answer = uvloop.run(asyncio.wait_for(_a_request_under_way_is_answered(), 60))
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert answer.endswith(b"it is not known")


async def _what_nobody_has_read_is_answered(*, is_kept: bool, count: int) -> list[bytes]:
    app = Starlette(routes=[Route("/", _answer)])
    app.state.identity = []
    with _listener() as listener, ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(count)]
        server = make_server(app, listener)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[listener]))
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0)
            for client in clients:
                client.connect(listener.getsockname())
                if is_kept:
                    client.sendall(_ASK)
                    await asyncio.to_thread(client.recv, 65_536)
            reading = [tasks.create_task(asyncio.to_thread(_answer_of, client)) for client in clients]
            await asyncio.sleep(0)
            for client in clients:
                client.sendall(_ASK)  # from here to the end of the server its loop has no chance to read
            await server.shutdown([listener])
            serving.cancel()
    return [one.result() for one in reading]


def _answer_of(client: socket.socket) -> bytes:
    try:
        return client.recv(65_536)
    finally:
        client.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("is_kept", [False, True], ids=["a connection nobody has taken", "a kept connection"])
def test_what_came_before_the_end_and_was_not_read_is_answered(is_kept: bool) -> None:
    """A process that is kept from running; a load balancer would answer its client 502."""
    answers = uvloop.run(asyncio.wait_for(_what_nobody_has_read_is_answered(is_kept=is_kept, count=8), 60))
    assert [answer[:12] for answer in answers] == 8 * [b"HTTP/1.1 200"]
    assert all(answer.endswith(b"here") for answer in answers)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can")
def test_who_comes_at_the_end_is_refused_and_not_reset() -> None:
    with _listener() as listener, socket.socket() as before, socket.socket() as after:
        before.connect(listener.getsockname())
        drop_newcomers(listener)
        after.setblocking(False)
        assert after.connect_ex(listener.getsockname()) == errno.EINPROGRESS
        before.sendall(_ASK)
        taken, _ = listener.accept()
        with taken:
            assert taken.recv(65_536) == _ASK, "who came before is heard"
        with pytest.raises(BlockingIOError):
            listener.accept()
        listener.close()
        select.select([], [after], [], 60)  # the system tries again after a second
        assert after.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
