"""Whole nodes, with leaders that move jobs and deliver, as clusters c0, c1, …; all in threads of this process."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import uvloop

from hookline.node.config import NodeConfig
from hookline.node.runtime import run_node
from tests.end_to_end.processes import until
from tests.integration.node_under_test import Answer, node_config
from tests.integration.proxy_under_test import FrontDoor, ProxyDoors


class LiveClusters(ProxyDoors):
    """Of one node each, which can be stopped one by one, and proxies before them."""

    def __init__(self, directory: Path, count: int, **settings: Any) -> None:
        super().__init__(directory)
        self.doors: dict[str, FrontDoor] = {}
        self._running: dict[str, ExitStack] = {}
        for shard in range(count):
            self.start(shard, **settings)

    def start(self, shard: int, **settings: Any) -> FrontDoor:
        """The only node of the cluster of that shard; one that was stopped gets another port."""
        name = f"c{shard}"
        config = node_config(self.directory / name, cluster=name, shard=shard, port=0, **settings)
        self._running[name] = stack = ExitStack()
        self.doors[name] = FrontDoor(stack.enter_context(_node_running(config)))
        return self.doors[name]

    def stop(self, name: str) -> None:
        """The cluster is down from now on."""
        self._running[name].close()

    def entry(self, name: str, **fields: Any) -> dict[str, Any]:
        """The cluster as the topology has it."""
        return {
            "name": name,
            "shard": int(name[1:]),
            "nodes": [f"http://127.0.0.1:{self.doors[name].port}"],
            **fields,
        }

    def topology(self, epoch: int, *names: str, **fields: Any) -> dict[str, Any]:
        """A topology of these clusters."""
        return {"epoch": epoch, "cluster": [self.entry(name) for name in names], **fields}

    def close(self) -> None:
        """All of them."""
        self.close_proxies()
        for stack in self._running.values():
            stack.close()


@contextmanager
def _node_running(config: NodeConfig) -> Iterator[int]:
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
        await run_node(config, ready=ready, stop=stop)

    thread = threading.Thread(target=lambda: uvloop.run(serve()), name=config.cluster)
    thread.start()
    try:
        assert up.wait(60)
        yield int(found[0].rpartition(":")[2])
    finally:
        inside[0][0].call_soon_threadsafe(inside[0][1].set)
        thread.join(60)
    assert not thread.is_alive()


def status(door: FrontDoor, **headers: str) -> Any:
    """``GET /topology/status``."""
    answer: Answer = door.get("/topology/status", **headers)
    assert answer.status == 200, answer
    return answer.json


def until_stable(door: FrontDoor, epoch: int, **headers: str) -> None:
    """Wait until the change has ended with that epoch."""

    def is_stable() -> bool:
        told = status(door, **headers)
        return (told["state"], told["epoch"]) == ("stable", epoch)

    until(is_stable, f"epoch {epoch} is there")
