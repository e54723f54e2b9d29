"""Real clusters of one node each and real proxies before them, all in threads of this process."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import uvloop

from hookline.clock import SystemClock
from hookline.http_api.page_host import NO_ROUTES, Routes
from hookline.protocol.topology import encode_topology, parse_topology
from hookline.proxy.config import ProxyConfig
from hookline.proxy.runtime import run_proxy
from hookline.tls.live import LiveTls
from tests.integration.node_under_test import Answer, NodeUnderTest, RunLoop, http_connection, node_config

JOB = {"url": "https://example.com/hook", "delay": "1h"}


class FrontDoor:
    """A client of one proxy."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls = tls

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """One request; ``body`` bytes as they are, anything else as JSON; ``_`` in names of headers is ``-``."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if data is not None else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http_connection(self.port, self._tls)
        try:
            connection.request(method, path, data, given)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        return self.call("POST", path, body, **headers)


class ProxyDoors:
    """Proxies that end with the test."""

    def __init__(self, directory: Path, run_loop: RunLoop = uvloop.run) -> None:
        self.directory = directory
        self._run_loop = run_loop
        self._proxies = ExitStack()

    def open_proxy(self, topology: dict[str, Any], routes: Routes = NO_ROUTES, **settings: Any) -> FrontDoor:
        """One more proxy, which ends with the test."""
        path = self.directory / "topology.toml"
        path.write_text(_toml(topology))
        settings = {"request_timeout_ms": 3_000, "try_timeout_ms": 1_000} | settings
        config = ProxyConfig(port=0, topology=path, **settings)
        port = self._proxies.enter_context(_proxy_running(config, self._run_loop, routes))
        is_secure = config.tls.is_server
        return FrontDoor(port, LiveTls(config.tls, SystemClock()).client_context() if is_secure else None)

    def close_proxies(self) -> None:
        """All of them."""
        self._proxies.close()


class Clusters(ProxyDoors):
    """Clusters c0, c1, …, which can be stopped one by one, and proxies before them."""

    def __init__(self, directory: Path, count: int, run_loop: RunLoop = uvloop.run, **settings: Any) -> None:
        self.names = [f"c{shard}" for shard in range(count)]
        self.nodes: dict[str, NodeUnderTest] = {}
        self._running: dict[str, ExitStack] = {}
        super().__init__(directory, run_loop)
        for shard, name in enumerate(self.names):
            config = node_config(directory / name, cluster=name, shard=shard, **settings)
            self._running[name] = stack = ExitStack()
            node = NodeUnderTest(config, None)
            node.run_loop = run_loop
            self.nodes[name] = stack.enter_context(node.running())

    def entry(self, name: str) -> dict[str, Any]:
        """The cluster as the topology has it."""
        return {
            "name": name,
            "shard": self.names.index(name),
            "nodes": [f"{self.nodes[name].config.tls.scheme}://127.0.0.1:{self.nodes[name].port}"],
        }

    def topology(self, epoch: int, names: list[str] | None = None, **fields: Any) -> dict[str, Any]:
        """A topology of these clusters."""
        return {"epoch": epoch, "cluster": [self.entry(name) for name in names or self.names], **fields}

    def start_proxy(self, topology: dict[str, Any] | None = None, **settings: Any) -> FrontDoor:
        """One more proxy, which ends with the test."""
        return self.open_proxy(topology or self.topology(1), **settings)

    def stop(self, *names: str) -> None:
        """Those clusters are down from now on."""
        for name in names:
            self._running[name].close()

    def close(self) -> None:
        self.close_proxies()
        self.stop(*self.names)


@contextmanager
def _proxy_running(config: ProxyConfig, run_loop: RunLoop, routes: Routes) -> Iterator[int]:
    """Yields its port."""
    up = threading.Event()
    found: list[str] = []
    inside: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def ready(url: str) -> None:
        found.append(url)
        up.set()

    async def serve() -> None:
        stop = asyncio.Event()
        inside.append((asyncio.get_running_loop(), stop))
        await run_proxy(config, ready=ready, stop=stop, routes=routes)

    thread = threading.Thread(target=lambda: run_loop(serve()), name="proxy")
    thread.start()
    try:
        assert up.wait(60)
        yield int(found[0].rpartition(":")[2])
    finally:
        inside[0][0].call_soon_threadsafe(inside[0][1].set)
        thread.join(60)
    assert not thread.is_alive()


def _toml(topology: dict[str, Any]) -> str:
    """The file; strings and numbers are written as in JSON."""
    parse_topology(json.dumps(topology).encode())
    lines = [f"{name} = {json.dumps(topology[name])}" for name in ("epoch", "strategy") if name in topology]
    groups = [("cluster", topology["cluster"])]
    if previous := topology.get("previous"):
        lines += ["[previous]", f"strategy = {json.dumps(previous['strategy'])}"]
        groups.insert(0, ("previous.cluster", previous["cluster"]))
    for heading, entries in groups:
        for entry in entries:
            lines += [f"[[{heading}]]", *(f"{name} = {json.dumps(value)}" for name, value in entry.items())]
    return "\n".join(lines)


def same(topology: dict[str, Any], document: bytes) -> bool:
    """The document says the same."""
    return encode_topology(parse_topology(json.dumps(topology).encode())) == encode_topology(parse_topology(document))
