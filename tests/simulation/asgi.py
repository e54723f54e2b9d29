"""Requests and answers between the simulated processes, as ASGI messages: what a server and a socket would carry."""

from typing import Any
from urllib.parse import unquote

from hookline.http_api.messages import HeaderPair
from hookline.peers.sender import NodeAnswer
from hookline.testing.client import App


def scope_of(method: str, target: str, headers: tuple[HeaderPair, ...]) -> dict[str, Any]:
    """The request as an ASGI server gives it."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "root_path": "",
        "query_string": query.encode("ascii"),
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7070),
    }


async def exchange(app: App, scope: dict[str, Any], body: bytes) -> NodeAnswer:
    """The application's answer."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return answer_of(messages)


def answer_of(messages: list[dict[str, Any]]) -> NodeAnswer:
    """What a proxy makes of an answer's messages."""
    start, *rest = messages
    headers = tuple(pair for pair in start["headers"] if pair[0] not in (b"content-type", b"content-length"))
    content_type = next((value for name, value in start["headers"] if name == b"content-type"), b"")
    return NodeAnswer(start["status"], b"".join(message.get("body", b"") for message in rest), content_type, headers)
