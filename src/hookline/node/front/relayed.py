"""A call that a front relays, as the node's application sees it: an ASGI call whose client is at the front."""

import asyncio
from typing import Any

from hookline.http_api.endpoint import AsgiApp
from hookline.http_api.messages import AsgiMessage
from hookline.http_api.request_ids import request_ids
from hookline.node.front.messages import Begin, Body, Broken, FromNode, Gone, Part, Start, Taken, Want, encode
from hookline.processes.link import Link
from hookline.telemetry.area_log import log_of

_DISCONNECT = {"type": "http.disconnect"}
_log = log_of("api")


class Relayed:
    """One call.

    The front reads the client's body when the application asks for it, and takes the answer piece by piece: so both
    wait for the client as they would in one process.
    """

    def __init__(self, begin: Begin, link: Link) -> None:
        self._begin = begin
        self._link = link
        self._parts: asyncio.Queue[Part | Gone] = asyncio.Queue()
        self._is_gone = False
        self._is_taken = asyncio.Event()
        self._is_complete = False

    async def run(self, app: AsgiApp) -> None:
        """Have it answered."""
        begin = self._begin
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": begin.http_version,
            "method": begin.method,
            "scheme": "http",
            "root_path": "",
            "path": begin.path,
            "raw_path": begin.raw_path,
            "query_string": begin.query_string,
            "headers": begin.headers,
            "client": begin.client,
            "server": None,
            "state": {},
        }
        try:
            await app(scope, self._receive, self._send)
        except Exception:  # noqa: BLE001 - as a server does: this answer breaks off, the others go on
            ids = request_ids(begin.headers)
            _log.exception("request_crashed", path=begin.path, method=begin.method, **ids)
        if not self._is_complete:
            self._tell(Broken(begin.number))

    def received(self, message: Part | Gone | Taken) -> None:
        """From the front."""
        match message:
            case Taken():
                self._is_taken.set()
            case Gone():
                self.client_is_gone()
            case Part():
                self._parts.put_nowait(message)

    def client_is_gone(self) -> None:
        """Nobody waits for the answer any more."""
        self._is_gone = True
        self._is_taken.set()
        self._parts.put_nowait(Gone(self._begin.number))

    async def _receive(self) -> AsgiMessage:
        if self._is_gone:
            return dict(_DISCONNECT)
        self._tell(Want(self._begin.number))
        part = await self._parts.get()
        if isinstance(part, Gone):
            return dict(_DISCONNECT)
        return {"type": "http.request", "body": part.body, "more_body": part.has_more}

    async def _send(self, message: AsgiMessage) -> None:
        await self._link.room()
        number = self._begin.number
        if message["type"] == "http.response.start":
            self._tell(Start(number, message["status"], list(message["headers"])))
            return
        has_more = message.get("more_body", False)
        self._is_complete = not has_more
        self._is_taken.clear()
        self._tell(Body(number, message.get("body", b""), has_more))
        if has_more and not self._is_gone:
            await self._is_taken.wait()

    def _tell(self, message: FromNode) -> None:
        self._link.send(encode(message))
