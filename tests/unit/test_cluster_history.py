"""One node's view of the history: it waits for a person, and what it has says nothing about the log meanwhile."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hookline.errors import Halted, StateDiffers
from hookline.node.config import NodeConfig
from hookline.node.etcd.charters import OverruledRecord
from hookline.node.etcd.client import EtcdDenied, EtcdUnclear
from hookline.node.etcd.statuses import NodeStatus
from hookline.node.history import cluster as cluster_history
from hookline.node.history.cluster import ClusterHistory
from hookline.node.identity import Charter, Log, Position
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.protocol.codec import VERSION, Entry
from hookline.protocol.commands import BeginLog
from tests.node_parts import T0, ManualClock

CHARTER = Charter(cluster_id="c" * 32, cluster="c0", shard=0)


class Charters:
    """Holds what etcd would, as the test says."""

    def __init__(self) -> None:
        self.charter: Charter | None = None
        self.record: OverruledRecord | None = None

    async def overruled(self, _term: int) -> OverruledRecord | None:
        return self.record

    async def read(self, _applied: int) -> tuple[Charter | None, Log]:
        return self.charter, Log()


class Statuses:
    """A node without others, unless the test tells of some; counts how often it told about itself."""

    def __init__(self) -> None:
        self.told: list[str | None] = []
        self.history: ClusterHistory | None = None
        self.found: list[NodeStatus] = []
        self.exchanged: Callable[[], None] = lambda: None

    def others(self) -> list[NodeStatus]:
        return self.found

    def all(self) -> list[NodeStatus]:
        return [status("n1", 1), *self.found]

    async def exchange(self) -> None:
        assert self.history is not None
        self.told.append(self.history.halted)
        self.exchanged()


def status(node: str, applied: int, *, cluster_id: str = CHARTER.cluster_id, halted: str | None = None) -> NodeStatus:
    """Of a node that has started anew, so it knows the digests of no earlier entries."""
    position = Position(node=node, cluster_id=cluster_id, cluster="c0", generation=1, applied=applied)
    return NodeStatus(node, "", "follower", applied, applied, "", T0, position, halted)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[StateMachine]:
    database = open_state(tmp_path / "state.db", durable=False)
    yield StateMachine(database)
    database.close()


@pytest.fixture
def parts(
    tmp_path: Path, machine: StateMachine, monkeypatch: pytest.MonkeyPatch
) -> tuple[ClusterHistory, Charters, Statuses]:
    monkeypatch.setattr(cluster_history, "_HALTED_POLL_S", 0)
    charters: Any = Charters()
    statuses: Any = Statuses()
    history = ClusterHistory(
        charters,
        statuses,
        machine,
        NodeConfig(data_dir=tmp_path),
        ManualClock(),
        digest_at=lambda _index: None,
        leader=lambda: None,
        ask=lambda _url: asyncio.sleep(0, None),
    )
    statuses.history = history
    return history, charters, statuses


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


@pytest.fixture
def disputed(
    parts: tuple[ClusterHistory, Charters, Statuses], machine: StateMachine, monkeypatch: pytest.MonkeyPatch
) -> tuple[ClusterHistory, Charters, Statuses, Entry]:
    """The node has one entry, and the next one was written for another state. Nobody leads in its term any more."""
    history, charters, statuses = parts
    monkeypatch.setattr(cluster_history, "_UNDECIDED_MS", -1)  # one look
    beginning = BeginLog(CHARTER.cluster_id, 1, "c0", 0)
    machine.apply(Entry(VERSION, 1, 1, T0, b"first", b"", (beginning,)))
    return history, charters, statuses, Entry(VERSION, 1, 2, T0, b"second", b"another state", ())


async def test_nodes_that_applied_an_entry_had_the_state_it_was_written_for(
    disputed: tuple[ClusterHistory, Charters, Statuses, Entry],
) -> None:
    """They have started since, and so has their leader, so nobody knows the digest any more."""
    history, _, statuses, entry = disputed
    statuses.found = [status("n2", 2), status("n3", 30)]
    with pytest.raises(StateDiffers):
        await history.settle(entry)


@pytest.mark.parametrize(
    "other",
    [status("n3", 1), status("n3", 30, halted="it waits"), status("n3", 30, cluster_id="f" * 32)],
    ids=["not so far", "halted", "of another cluster"],
)
async def test_one_node_of_three_is_not_most(
    disputed: tuple[ClusterHistory, Charters, Statuses, Entry], other: NodeStatus
) -> None:
    history, _, statuses, entry = disputed
    statuses.found = [status("n2", 30), other]
    with pytest.raises(Halted):
        await history.settle(entry)


async def test_nodes_that_applied_an_entry_of_an_overruled_term_say_nothing_for_its_leader(
    disputed: tuple[ClusterHistory, Charters, Statuses, Entry], machine: StateMachine
) -> None:
    """They overrule it and apply the entry just when this node looks."""
    history, charters, statuses, entry = disputed

    def overrule() -> None:
        charters.record = OverruledRecord(term=1, index=2, digest=machine.digest.hex(), by="n2")
        statuses.found = [status("n2", 2), status("n3", 2)]

    statuses.exchanged = overrule
    assert await history.settle(entry)
