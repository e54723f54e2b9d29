"""A cluster takes ids by the newest topology in its state, whose decisions are prepared once."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from hookline.errors import InvalidTopology, Misdirected
from hookline.http_api.callers import admit_ours
from hookline.http_api.messages import ApiRequest
from hookline.node.api import ownership
from hookline.node.api.ownership import Ownership
from hookline.node.config import NodeConfig
from hookline.protocol.calls import CALLS
from hookline.protocol.commands import SetTopology
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry, Placement, Strategy, Topology, encode_topology

ENTRIES = tuple(ClusterEntry(name=f"c{n}", shard=n, nodes=(f"http://c{n}:1",)) for n in range(3))
IDS = [f"order-{n}" for n in range(60)]


@dataclass
class FakeReplica:
    """Has the topology that the test sets."""

    topology: SetTopology | None = None


def command(epoch: int, *, strategy: Strategy = "modulo", previous: Placement | None = None) -> SetTopology:
    clusters = ENTRIES if previous is None else ENTRIES[:2]
    topology = Topology(epoch=epoch, strategy=strategy, clusters=clusters, previous=previous)
    return SetTopology(epoch, encode_topology(topology))


def request(**headers: str) -> ApiRequest:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    caller, admitted = admit_ours(pairs)
    return ApiRequest({}, lambda: None, CALLS["createJob"], caller, admitted)


def ownership_of(replica: FakeReplica, shard: int) -> Ownership:
    config = NodeConfig(data_dir=Path(), cluster=f"c{shard}", shard=shard)
    return Ownership(config, replica)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["modulo", "ring"])
def test_every_id_and_key_has_one_cluster_that_takes_it(strategy: Strategy) -> None:
    replica = FakeReplica(command(1, strategy=strategy))
    clusters = [ownership_of(replica, shard) for shard in range(3)]
    for name in IDS:
        assert [each.stray(name) for each in clusters].count(None) == 1
        assert [each.stray(None, name) for each in clusters].count(None) == 1
        assert all(each.stray(None) is None for each in clusters), "what is minted is at home where it was minted"


def test_a_cluster_that_is_on_its_way_out_takes_no_id_with_its_hint() -> None:
    replica = FakeReplica(command(1, previous=Placement(strategy="modulo", clusters=ENTRIES)))
    minted = "01890000-0000-7000-8000-000000000000-2"
    assert ownership_of(replica, 2).stray(minted) is not None
    assert [ownership_of(replica, shard).stray(minted) for shard in range(2)].count(None) == 1


def test_without_a_topology_all_is_taken() -> None:
    ours = ownership_of(FakeReplica(), 0)
    assert (ours.epoch, ours.router()) == (0, None)
    for name in IDS:
        ours.check_home(request(), name, name)


def test_the_decisions_are_prepared_again_only_for_another_document(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []

    def build(topology: Topology) -> Router:
        built.append(topology.epoch)
        return Router(topology)

    monkeypatch.setattr(ownership, "Router", build)
    replica = FakeReplica(command(1))
    ours = ownership_of(replica, 0)
    ours.stray("a")
    ours.stray("b")
    replica.topology = command(1)  # read again from the database, as after a rollback
    ours.stray("a")
    assert built == [1]
    replica.topology = command(2)
    ours.stray("a")
    ours.stray("b")
    assert built == [1, 2]
    replica.topology = None
    assert ours.router() is None
    replica.topology = command(3)
    ours.stray("a")
    assert built == [1, 2, 3]


def test_the_home_is_checked_under_the_callers_epoch() -> None:
    """The topology may have changed while the body was read: then the caller's choice counts for nothing."""
    replica = FakeReplica(command(2))
    ours = ownership_of(replica, 0)
    with pytest.raises(Misdirected) as caught:
        ours.check_home(request(hookline_epoch="1", hookline_fallback="allow"), "a")
    assert caught.value.figures["epoch"] == 2


@pytest.mark.parametrize(
    ("name", "shard", "url", "why"),
    [
        ("c1", 1, "http://10.0.0.7:7070", None),
        ("c1", 1, "http://elsewhere:1", None),
        ("zz", 5, "http://elsewhere:1", None),
        ("zz", 5, "http://10.0.0.7:7070", "calls itself c1"),
        ("zz", 5, "http://127.0.0.1:7070", "calls itself c1"),
        ("c1", 5, "http://10.0.0.7:7070", "has shard 5"),
        ("zz", 1, "http://elsewhere:1", "has shard 1"),
    ],
)
def test_a_document_that_calls_this_node_something_else_is_refused(
    name: str, shard: int, url: str, why: str | None
) -> None:
    config = NodeConfig(data_dir=Path(), cluster="c1", shard=1, advertise="http://10.0.0.7:7070/")
    own = Ownership(config, FakeReplica())  # type: ignore[arg-type]
    topology = Topology(epoch=1, strategy="modulo", clusters=(ClusterEntry(name=name, shard=shard, nodes=(url,)),))
    if why is None:
        own.check_own(topology)
    else:
        with pytest.raises(InvalidTopology, match=why):
            own.check_own(topology)
