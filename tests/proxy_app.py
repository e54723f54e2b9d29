"""A proxy's app over a scripted sender, on virtual time, without a socket."""

import asyncio
from typing import Any

import msgspec

from hookline.http_api.messages import HeaderPair
from hookline.protocol.topology import Topology
from hookline.proxy.assembly import ProxyParts, build
from hookline.proxy.config import ProxyConfig
from hookline.proxy.known_topology import KnownTopology
from hookline.testing import virtual_time
from tests.proxy_parts import LoopClock, Script, ScriptedSender

ScriptedRequest = tuple[str, str, object, list[HeaderPair]]
"""Method, path, what the body says, and headers."""


class ScriptedProxy:
    """A proxy whose nodes answer by the script."""

    def __init__(self, script: Script, topology: Topology) -> None:
        self.sender = ScriptedSender(script)
        config = ProxyConfig(seeds=("http://c0:1",))
        proxy = build(ProxyParts(config, LoopClock(), self.sender, KnownTopology(topology)))
        self.known, self.health, self._app = proxy.known, proxy.health, proxy.app
        self.now_s = 0.0  # when the last request was answered; each call begins at 0

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON that is answered."""
        return self.at_once((method, path, body, []))[0]

    def at_once(self, *requests: ScriptedRequest) -> list[tuple[int, Any]]:
        """The same of several that arrive at one moment."""

        async def main() -> list[tuple[int, Any]]:
            return await asyncio.gather(*(self._call(*request) for request in requests))

        return virtual_time.run(main())

    async def _call(self, method: str, path: str, given: object, headers: list[HeaderPair]) -> tuple[int, Any]:
        sent: list[Any] = []
        body = b"" if given is None else msgspec.json.encode(given)

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        path, _, query = path.partition("?")
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": headers}
        await self._app({**scope, "query_string": query.encode(), "root_path": ""}, receive, send)
        self.now_s = asyncio.get_running_loop().time()
        answer = sent[1]["body"]
        return sent[0]["status"], msgspec.json.decode(answer) if answer else None
