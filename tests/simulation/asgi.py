"""Requests and answers between the simulated processes, as ASGI messages: what a server and a socket would carry."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any
from urllib.parse import unquote

from hookline.client.in_process import App
from hookline.errors import ConnectionFailed, DeadlineExceeded, HooklineError
from hookline.peers.sender import NodeAnswer, NodeCall
from tests.simulation.cluster.loop import PROCESS

Ask = Callable[[NodeCall], Awaitable[NodeAnswer]]
"""Carries a request to a process, and its answer back. Raises what the SDK would."""


class Listener:
    """Takes requests for one process, in its own tasks and context. Callers that wait when it dies are told."""

    def __init__(self, app: App, tasks: asyncio.TaskGroup, context: Context) -> None:
        self._app, self._tasks, self._context = app, tasks, context

    async def ask(self, call: NodeCall) -> NodeAnswer:
        """The answer. Raises ConnectionFailed when it is down, DeadlineExceeded when it dies meanwhile."""
        answer: asyncio.Future[NodeAnswer] = asyncio.get_running_loop().create_future()
        serving = self._serve(call, answer)
        try:
            self._tasks.create_task(serving, context=self._context.copy())
        except RuntimeError:
            serving.close()
            raise ConnectionFailed("connection refused") from None
        return await answer

    async def _serve(self, call: NodeCall, answer: asyncio.Future[NodeAnswer]) -> None:
        try:
            found = await exchange(self._app, call)
            if (process := PROCESS.get()) is not None:
                await process.alive()
        except HooklineError as error:
            _fail(answer, error)
        except asyncio.CancelledError:
            _fail(answer, DeadlineExceeded("the connection broke"))
            raise
        else:
            if not answer.done():
                answer.set_result(found)


def _fail(answer: asyncio.Future[NodeAnswer], error: HooklineError) -> None:
    if not answer.done():
        answer.set_exception(error)
        answer.exception()  # who asked may be dead as well, and never look


async def exchange(app: App, call: NodeCall) -> NodeAnswer:
    """The application's answer."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": call.body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(_scope(call), receive, send)
    start, *rest = messages
    headers = tuple(pair for pair in start["headers"] if pair[0] not in (b"content-type", b"content-length"))
    content_type = next((value for name, value in start["headers"] if name == b"content-type"), b"")
    return NodeAnswer(start["status"], b"".join(message.get("body", b"") for message in rest), content_type, headers)


def _scope(call: NodeCall) -> dict[str, Any]:
    """The request as an ASGI server gives it."""
    path, _, query = call.target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "root_path": "",
        "query_string": query.encode("ascii"),
        "headers": list(call.headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7070),
    }
