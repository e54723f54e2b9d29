"""The server ends with whoever runs it, however that ends."""

import asyncio
import socket

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from hookline.http_api.server import make_server


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
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
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
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
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
