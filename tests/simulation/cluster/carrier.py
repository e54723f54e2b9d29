"""The network between nodes, as the HTTP client that the real forwarder calls: requests go to other nodes at once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from pyreqwest.exceptions import ConnectError, PyreqwestError

from hookline.errors import ConnectionFailed, HooklineError

Message = dict[str, Any]
Ask = Callable[[str, Message, bytes], Awaitable[list[Message]]]
"""Asks the node at a url: (url, ASGI scope, body) -> the ASGI messages of its answer."""


class Carrier:
    """Stands in for ``pyreqwest``'s client, as far as ``node.api.forwarding`` uses it."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def request(self, method: str, url: str) -> "_Call":
        return _Call(self._ask, method, url)


class _Call:
    def __init__(self, ask: Ask, method: str, url: str) -> None:
        self._ask = ask
        self._method = method
        self._url = urlsplit(url)
        self._headers: Sequence[tuple[str, str]] = ()
        self._body = b""

    def headers(self, headers: Sequence[tuple[str, str]]) -> "_Call":
        self._headers = headers
        return self

    def body_bytes(self, body: bytes) -> "_Call":
        self._body = body
        return self

    def build(self) -> "_Call":
        return self

    async def send(self) -> "_Answer":
        url = self._url
        scope = {
            "type": "http",
            "method": self._method,
            "path": unquote(url.path),
            "raw_path": url.path.encode(),
            "query_string": url.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in self._headers],
        }
        try:
            return _Answer(await self._ask(f"{url.scheme}://{url.netloc}", scope, self._body))
        except ConnectionFailed as error:
            raise ConnectError("refused", {"causes": [{"message": "client error (Connect)"}]}) from error
        except HooklineError as error:
            raise PyreqwestError("no answer", {"causes": []}) from error


class _Answer:
    def __init__(self, messages: list[Message]) -> None:
        start, *rest = messages
        self.status: int = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self._body = b"".join(message.get("body", b"") for message in rest)

    def get_header(self, name: str) -> str | None:
        return self.headers.get(name)

    async def bytes(self) -> bytes:
        return self._body
