"""One node's view of the history: it waits for a person, and what it has says nothing about the log meanwhile."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hookline.node.config import NodeConfig
from hookline.node.etcd.client import EtcdDenied, EtcdUnclear
from hookline.node.history import cluster as cluster_history
from hookline.node.history.cluster import ClusterHistory
from hookline.node.identity import Charter, Log
from hookline.node.state_machine.machine import StateMachine, open_state
from tests.node_parts import ManualClock

CHARTER = Charter(cluster_id="c" * 32, cluster="c0", shard=0)


class Charters:
    """Holds what etcd would, as the test says."""

    def __init__(self) -> None:
        self.charter: Charter | None = None

    async def read(self, _applied: int) -> tuple[Charter | None, Log]:
        return self.charter, Log()


class Statuses:
    """A node without others; counts how often it told about itself."""

    def __init__(self) -> None:
        self.told: list[str | None] = []
        self.history: ClusterHistory | None = None

    def others(self) -> list[Any]:
        return []

    async def exchange(self) -> None:
        assert self.history is not None
        self.told.append(self.history.halted)


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ClusterHistory, Charters, Statuses]]:
    monkeypatch.setattr(cluster_history, "_HALTED_POLL_S", 0)
    database = open_state(tmp_path / "state.db", durable=False)
    charters: Any = Charters()
    statuses: Any = Statuses()
    history = ClusterHistory(
        charters,
        statuses,
        StateMachine(database),
        NodeConfig(data_dir=tmp_path),
        ManualClock(),
        digest_at=lambda _index: None,
        leader=lambda: None,
        ask=lambda _url: asyncio.sleep(0, None),
    )
    statuses.history = history
    yield history, charters, statuses
    database.close()


async def test_a_node_halts_tells_so_at_once_and_goes_on_by_itself(
    parts: tuple[ClusterHistory, Charters, Statuses],
) -> None:
    history, charters, statuses = parts
    said: list[str] = []

    def told(why: str) -> None:
        said.append(why)
        assert statuses.told[-1] == why, "it was published first"
        assert not history.is_clear, "nothing may be made of what this node has"
        charters.charter = CHARTER

    assert not history.is_clear
    await history.until_allowed(told, lambda: None)
    assert len(said) == 1
    assert statuses.told[-1] is None
    assert history.is_clear


async def test_a_node_in_a_dispute_is_not_clear(parts: tuple[ClusterHistory, Charters, Statuses]) -> None:
    history, charters, _ = parts
    charters.charter = CHARTER
    await history.until_allowed(lambda _why: None, lambda: None)
    history.disputed[7] = "d"
    assert not history.is_clear
    assert "entry 7" in (history.why_halted() or "")


async def test_a_node_that_etcd_does_not_let_in_says_why_once_and_goes_on_when_it_does(
    parts: tuple[ClusterHistory, Charters, Statuses],
) -> None:
    history, charters, _ = parts
    charters.charter = CHARTER
    answers: list[Any] = [EtcdUnclear("away"), EtcdDenied("who are you?"), EtcdDenied("who are you?"), None]

    async def answer(_applied: int) -> tuple[Charter | None, Log]:
        if (error := answers.pop(0)) is not None:
            raise error
        return CHARTER, Log()

    charters.read = answer  # type: ignore[method-assign]
    said: list[str] = []
    await history.until_allowed(said.append, lambda: None)
    assert said == ["who are you?"]
    assert history.is_clear
