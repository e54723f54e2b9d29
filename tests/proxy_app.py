"""A proxy's app over a scripted sender, on virtual time: one request at a time, without a socket."""

import asyncio
from typing import Any

import msgspec

from hookline.protocol.topology import Topology
from hookline.proxy.assembly import ProxyParts, build
from hookline.proxy.config import ProxyConfig
from hookline.proxy.known_topology import KnownTopology
from hookline.testing import virtual_time
from tests.proxy_parts import LoopClock, Script, ScriptedSender


class ScriptedProxy:
    """A proxy whose nodes answer by the script."""

    def __init__(self, script: Script, topology: Topology) -> None:
        self.sender = ScriptedSender(script)
        config = ProxyConfig(seeds=("http://c0:1",))
        proxy = build(ProxyParts(config, LoopClock(), self.sender, KnownTopology(topology)))
        self.known, self.health, self._app = proxy.known, proxy.health, proxy.app
        self.now_s = 0.0  # when the last call was answered; each begins at 0

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON that is answered."""
        return virtual_time.run(self._call(method, path, b"" if body is None else msgspec.json.encode(body)))

    async def _call(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        path, _, query = path.partition("?")
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": []}
        await self._app({**scope, "query_string": query.encode(), "root_path": ""}, receive, send)
        self.now_s = asyncio.get_running_loop().time()
        body = sent[1]["body"]
        return sent[0]["status"], msgspec.json.decode(body) if body else None
