"""The etcd members of a cluster: how they are called, and when they are ready."""

import asyncio
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from hookline.cli.stack.children import Child
from hookline.cli.stack.layout import Layout
from hookline.errors import InvalidConfig
from hookline.http_client.caller import Caller
from hookline.http_client.client import NoAnswer, NoConnection

_POLL_S = 0.05
_ASK_S = 1.0
# A failed leader is noticed within half a second. Compaction is the nodes' work: they know what all have durably.
_FLAGS = (
    "--heartbeat-interval=100",
    "--election-timeout=500",
    "--pre-vote",
    "--snapshot-count=5000",
    "--auto-compaction-retention=0",
)


def program() -> str:
    """The path of etcd. Raises InvalidConfig when it is not installed."""
    path = shutil.which("etcd")
    if path is None:
        raise InvalidConfig(
            "Three nodes need etcd, and there is none on PATH. Debian and Ubuntu: apt-get install etcd-server; "
            "macOS: brew install etcd; or see https://etcd.io/docs/latest/install/",
            field="nodes",
        )
    return path


def members(layout: Layout, directory: Path, logs: Path, quota_bytes: int) -> list[Child]:
    """The processes, not started; they listen on 127.0.0.1 only."""
    etcd = program()
    peers = {name: f"http://127.0.0.1:{ports.peer}" for name, ports in layout.etcd.items()}
    cluster = ",".join(f"{name}={url}" for name, url in peers.items())
    # Variables that begin with ETCD_ would be options of all members.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    return [
        Child(
            name,
            [
                etcd,
                f"--name={name}",
                f"--data-dir={directory / name}",
                f"--listen-client-urls={url}",
                f"--advertise-client-urls={url}",
                f"--listen-peer-urls={peers[name]}",
                f"--initial-advertise-peer-urls={peers[name]}",
                f"--initial-cluster={cluster}",
                f"--initial-cluster-token={layout.token}",
                f"--quota-backend-bytes={quota_bytes}",
                *_FLAGS,
            ],
            logs / f"{name}.log",
            environment,
        )
        for name, url in layout.etcd_urls().items()
    ]


async def wait_until_healthy(children: Iterable[Child], urls: dict[str, str]) -> None:
    """Until each member answers a read that a majority confirmed; marks it as ready."""
    caller = Caller()
    try:
        for child in children:
            while not await _is_healthy(caller, urls[child.name]):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(_POLL_S)
            child.is_ready.set()
    finally:
        await caller.close()


async def _is_healthy(caller: Caller, url: str) -> bool:
    try:
        answer = await caller.call("GET", url, "/health", timeout_s=_ASK_S)
        found: object = msgspec.json.decode(answer.body)
    except (NoConnection, NoAnswer, msgspec.DecodeError):
        return False
    return isinstance(found, dict) and found.get("health") == "true"
