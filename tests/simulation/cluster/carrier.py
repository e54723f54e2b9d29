"""The network between nodes, as the caller that a node asks the others with: requests go to other nodes at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import unquote

from hookline.errors import ConnectionFailed, HooklineError
from hookline.http_client.answer import Answer, Header
from hookline.http_client.client import NoAnswer, NoConnection

Message = dict[str, Any]
Ask = Callable[[str, Message, bytes], Awaitable[list[Message]]]
"""Asks the node at a url: (url, ASGI scope, body) -> the ASGI messages of its answer."""


class Carrier:
    """Stands in for ``Caller``, as far as nodes use it to ask each other."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def call(
        self,
        method: str,
        url: str,
        path: str,
        *,
        headers: Sequence[Header] = (),
        body: bytes = b"",
        timeout_s: float,
    ) -> Answer:
        """Ask the node there."""
        raw_path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(raw_path),
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower(), value) for name, value in headers],
        }
        try:
            async with asyncio.timeout(timeout_s):
                start, *rest = await self._ask(url, scope, body)
        except ConnectionFailed as error:
            raise NoConnection("refused") from error
        except (HooklineError, TimeoutError) as error:
            raise NoAnswer("no answer") from error
        whole = b"".join(message.get("body", b"") for message in rest)
        return Answer(start["status"], list(start["headers"]), whole, is_whole=True)
