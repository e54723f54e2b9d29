"""Swaps, empties, sets back and edits data directories, as people do at 3 a.m. Nothing may run on them."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

from tests.chaos.cluster import Cluster, ClusterNode

_PAGE_BYTES = 4_096
DAMAGED_BYTES = 3 * _PAGE_BYTES  # up to the end of the page that is spoiled, one of a table
_STATE = ("state.db", "state.db-wal", "state.db-shm")


def copy_state(node: ClusterNode, to: Path) -> None:
    """Keep what the node has."""
    to.mkdir(parents=True, exist_ok=True)
    for name in _STATE:
        if (node.data_dir / name).exists():
            shutil.copy(node.data_dir / name, to / name)


def put_state(source: Path, node: ClusterNode) -> None:
    """Another state in the place of what the node had."""
    lose_disk(node)
    node.data_dir.mkdir(exist_ok=True)
    for name in _STATE:
        if (source / name).exists():
            shutil.copy(source / name, node.data_dir / name)


def lose_disk(node: ClusterNode) -> None:
    """Its directory is gone."""
    shutil.rmtree(node.data_dir, ignore_errors=True)


def empty_etcd(cluster: Cluster) -> None:
    """All members lose their data, and start anew."""
    cluster.etcd.close()
    for member in cluster.etcd.members:
        shutil.rmtree(_etcd_dir(cluster, member.name))
    cluster.etcd.start()


def copy_etcd(cluster: Cluster, to: Path) -> None:
    """Stop etcd for a moment and keep what it has."""
    cluster.etcd.close()
    for member in cluster.etcd.members:
        shutil.copytree(_etcd_dir(cluster, member.name), to / member.name)
    cluster.etcd.start()


def set_etcd_back(cluster: Cluster, source: Path) -> None:
    """All members go on with what they had then."""
    cluster.etcd.close()
    for member in cluster.etcd.members:
        shutil.rmtree(_etcd_dir(cluster, member.name))
        shutil.copytree(source / member.name, _etcd_dir(cluster, member.name))
    cluster.etcd.start()


def _etcd_dir(cluster: Cluster, name: str) -> Path:
    return cluster.directory / "etcd" / name


def damage(state: Path) -> None:
    """Spoil a page of a state that is not open."""
    with state.open("r+b") as file:
        file.seek(DAMAGED_BYTES - _PAGE_BYTES + 3)  # the number of cells of the page
        file.write(b"\xff\xff")


def edit(state: Path, statement: str, *values: Any) -> int:
    """Change a state with a tool that knows nothing of Hookline; how many rows that changed."""
    connection = sqlite3.connect(state)
    with connection:
        changed = connection.execute(statement, values).rowcount
    connection.close()
    return changed


def flip(state: Path, before: bytes, after: bytes) -> None:
    """Change bytes of the file itself, wherever they are."""
    data = state.read_bytes()
    assert before in data
    state.write_bytes(data.replace(before, after))
