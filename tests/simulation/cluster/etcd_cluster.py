"""A cluster of three nodes over an etcd that misbehaves, and what befalls them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from hookline.node.clocks.others import Others
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.fence import ELECTION_TIMEOUT_MS
from hookline.node.etcd.keys import Keys, prefix_end
from hookline.node.etcd.statuses import decode_status
from hookline.node.identity import Charter
from hookline.node.membership.etcd import EtcdMembership, EtcdParts, OtherLeader
from hookline.node.membership.joining import Peers
from hookline.node.state_machine.machine import StateMachine
from hookline.peers.sender import Sender
from hookline.testing.clock import START_MS
from tests.simulation.cluster.clocks import Clocks, EtcdClocks
from tests.simulation.cluster.cluster import Cluster
from tests.simulation.cluster.elsewhere import SLEEPERS
from tests.simulation.cluster.etcd import CUTS, QUOTA_BYTES, SimulatedClient, SimulatedEtcd
from tests.simulation.cluster.loop import Process, outside
from tests.simulation.cluster.node import SimulatedNode
from tests.simulation.cluster.process import NodeProcess
from tests.simulation.history import History

KINDS = ("calm", "hand-over", "hand-over", "clocks", *9 * ("rough",))
_ROUGHNESS = (0.0, 0.0, 0.03, 0.1)  # of the network between nodes
_ETCD_MEMBERS = tuple(f"http://etcd{number}:2379" for number in range(1, 4))
_SLEEPERS_S = 30
_LOOK_S, _OFF_S = 0.5, 5.0  # how often it is looked who leads; how long a leader may take to notice its clock


class EtcdCluster(Cluster):
    """As ``Cluster``.

    Args:
        kind: of trouble; None: the seed chooses.
        hour_ms: a full hour, soon after which it begins; ``start_ms``: or at which time exactly.

    Attributes:
        jumped_ms: by how much wall clocks were set, in all.
    """

    size = 3
    slack_ms, early_ms = 10_000, 1_000 + 60  # a call may take long, and a reading of another clock may be wrong
    etcd: SimulatedEtcd
    etcd_type: type[SimulatedEtcd] = SimulatedEtcd

    def __init__(
        self,
        history: History,
        seed: int,
        directory: Path,
        *,
        shard: int = 0,
        settings: Mapping[str, Any] | None = None,
        kind: str | None = None,
        hour_ms: int = START_MS,
        start_ms: int | None = None,
    ) -> None:
        super().__init__(history, seed, directory, shard=shard, settings=settings)
        self.keys = Keys(self.name)
        self.etcd = self.etcd_type(history, self.keys, seed)
        charter = Charter(cluster_id=f"{shard:x}".rjust(32, "c"), cluster=self.name, shard=shard)
        self.etcd.store.txn(transactions.begin_cluster(self.keys, msgspec.json.encode(charter)))
        self.slots = self.random.choice((3, 5, 10, 20))
        # Otherwise a minute is soon full.
        self.start_ms = start_ms or hour_ms + self.random.randint(15_000, 58_000)
        if kind is not None:
            self.elsewhere = None
        self.kind = kind or self.random.choice(KINDS)
        if self.elsewhere is not None and self.elsewhere.sleeps:
            self.kind = SLEEPERS
        if self.kind in ("rough", "fleet"):
            self.network.roughness = self.network.random.choice(_ROUGHNESS)
        else:
            self.etcd.heal()
        self._begin(seed)
        self.clocks = Clocks(self, seed)
        if self.kind == "clocks" or (self.kind == "rough" and self.random.random() < 0.2):
            self.clocks.start_wrong()
        self._gone_after_s = self.random.choice((0.05, 0.3, 5.0))

    def membership(
        self, node: SimulatedNode, now: NodeProcess, machine: StateMachine, sender: Sender
    ) -> EtcdMembership:
        client: Any = SimulatedClient(self.etcd, node.name, node.faults.point)
        members: Any = EtcdClocks(self, node.name)
        parts = EtcdParts(
            client=client,
            sender=sender,
            renewing=partial(now.renewing, client),
            watch=partial(_Watch, self),
            ask_clocks=lambda nodes: Others(nodes, sender, _ETCD_MEMBERS, members, now.clock.boot_ms).ask,
            kernel_agrees=None,
            home=node.name,
            start=now.process.name,
        )
        return EtcdMembership(node.config, now.clock, machine, parts)

    def is_gone(self, url: str) -> bool:
        """The node at this URL has been down for some time. A real ``LeaderWatch`` finds that out late, too."""
        if not url:
            return False  # nobody leads
        node = self.node_at(url)
        return node.now is None and asyncio.get_running_loop().time() - node.down_since_s > self._gone_after_s

    def sends(self, process: Process, term: int) -> None:
        """No request leaves in a term while another one has begun.

        But of a leader that handed over, for as long as its word was valid: whoever has a claim of it is alive, so the
        next one does not make the attempt.
        """
        leader = self.etcd.leader
        released_s = self.etcd.released_s.get(term, -inf)
        is_valid_yet = asyncio.get_running_loop().time() - released_s <= ELECTION_TIMEOUT_MS / 1_000
        if leader is not None and leader.term != term and not is_valid_yet:
            stamp = self.history.note(f"{process.name} sends in term {term}")
            self.violations.append(f"{process.name} sent in term {term} during term {leader.term} (at {stamp})")

    async def watch(self) -> None:
        """A node that is off does not lead for long while two others are right and know it."""
        off_s = 0.0
        while True:
            await asyncio.sleep(_LOOK_S)
            leader = self.leader()
            off_s = off_s + _LOOK_S if leader is not None and self.clocks.is_outvoted(leader) else 0.0
            if off_s > _OFF_S:
                stamp = self.history.note("the clock of the leader is wrong")
                self.violations.append(
                    f"{leader and leader.name} has led for {off_s} s with a wrong clock (at {stamp})"
                )
                off_s = 0.0

    # --- trouble -------------------------------------------------------------------------------------------------

    async def make_trouble(self) -> None:
        """Until there was enough of it."""
        if self.kind == "calm":
            return
        if self.kind == SLEEPERS:
            await asyncio.sleep(_SLEEPERS_S)
            return
        count, seconds = self.random.choice((2, 4, 8, 12)), self.random.choice((4, 12, 25))
        if self.kind == "clocks":
            count, seconds = 3, 30  # a wrong clock is to stay for a while
        troubles = self._troubles()
        for _ in range(count):
            await asyncio.sleep(self.random.expovariate(count / seconds))
            self.random.choice(troubles)()
        await asyncio.sleep(self.random.choice((0, 3, 8)))  # for what it leads to

    def _troubles(self) -> tuple[Callable[[], None], ...]:
        """Some kinds of trouble more than others, by the seed."""
        if self.kind == "hand-over":
            return (self._hand_over,)
        if self.kind == "clocks":
            return (self.clocks.jump, self.clocks.jump, self.clocks.blip, self._hand_over)
        often = (
            self._plan_pause,
            self._plan_crash,
            self._pause,
            self._crash,
            self._hand_over,
            self._cut_off_from_etcd,
            self._plan_election,
            self._plan_late_requests,
            self._hand_over_and_crash,
            self._lose_all,
        )
        some = (
            self._cut_off_from_receivers,
            self._cut_way,
            self._restart,
            self.clocks.jump,
            self.clocks.blip,
            self._compact,
        )
        etcd = (self._etcd_away, self._etcd_without_leader, self._etcd_full)
        return (*self.random.choices(often, k=4), *self.random.choices(some, k=2), *often, *some, *etcd)

    def befall(self) -> None:
        """One trouble of those that proxies can notice."""
        often = (self._crash, self._plan_crash, self._hand_over, self._hand_over_and_crash, self._hold_down)
        some = (self._pause, self._plan_pause, self._cut_off_from_etcd, self._lose_all, self._restart, self._node_down)
        self.random.choice((*often, *often, *some, self._cut_way))()

    def _hold_down(self) -> None:
        """All nodes at once, for a while."""
        self._hold(self.nodes, self.random.choice((0.3, 2.0, 8.0)) * self.random.random())

    def _node_down(self) -> None:
        self._hold([self.target()], self._some_s())

    def _hold(self, nodes: Sequence[SimulatedNode], seconds: float) -> None:
        for node in nodes:
            node.is_held = True
            node.crash()
        names = " ".join(node.name for node in nodes)

        def let_go() -> None:
            for node in nodes:
                node.is_held = False

        self._for_a_while(seconds, f"held down: {names}", let_go)

    def make_room(self, jobs: int) -> None:
        """So many may be pending from now on; a node learns of that when it starts."""
        for node in self.nodes:
            if node.config.pending_jobs_max < jobs:
                node.config = replace(node.config, pending_jobs_max=jobs)
                node.stop()

    def target(self) -> SimulatedNode:
        """Rather the leader."""
        leader = self.leader()
        return leader if leader is not None and self.random.random() < 0.7 else self.random.choice(self.nodes)

    def _for_a_while(self, seconds: float, what: str, undo: Callable[[], object]) -> None:
        self.trouble(f"{what} for {seconds:.1f} s")

        def end() -> None:
            self.history.note(f"over: {what}")
            undo()

        outside(seconds, end)

    def _some_s(self) -> float:
        return self.random.choice((1.0, 3.0, 6.0, 50.0)) * self.random.random()

    def _hand_over(self) -> None:
        leader = self.leader()
        if leader is not None and leader.now is not None:
            self.trouble(f"{leader.now.process.name} is to hand over")
            leader.now.assembly.member.hand_over()

    def _hand_over_and_crash(self) -> None:
        """The next leader is lost while the one before still makes the attempts that it has not handed over."""
        self._hand_over()
        outside(0.1 + 2 * self.random.random(), self._crash_leader)

    def _crash_leader(self) -> None:
        leader = self.leader()
        if leader is not None and not self.healed.is_set():
            leader.crash()

    def _pause(self) -> None:
        self.target().pause(self._some_s())

    def _crash(self) -> None:
        self.target().crash(self.random.choice(("", "", "memory", "disk")))

    def _lose_all(self) -> None:
        """Power loss of all three."""
        kept = self.random.choice(("", "memory", "memory"))
        for node in self.nodes:
            node.crash(self.random.choice((kept, "memory")))

    def _plan_pause(self) -> None:
        self.target().faults.plan(self._some_s())

    def _plan_crash(self) -> None:
        self.target().faults.plan(None)

    def _plan_late_requests(self) -> None:
        """The leader sleeps until another one leads, with requests to send when it wakes."""
        self.target().faults.plan_late_requests(1.8 + 2 * self.random.random())

    def _plan_election(self) -> None:
        """The leader is silent for so long that another is elected, which is struck in the middle of that."""
        for node in self.nodes:
            node.faults.plan_at_election(self.random.choice((None, 1.0, 3.0)))
        leader = self.leader()
        if leader is not None:
            seconds = 1.5 + 2 * self.random.random()
            self.random.choice((leader.pause, lambda seconds: self._cut_off(leader, seconds)))(seconds)

    def _restart(self) -> None:
        node = self.target()
        self.trouble(f"{node.name} is stopped")
        node.stop()

    def _cut_off_from_etcd(self) -> None:
        self._cut_off(self.target(), self._some_s())

    def _cut_off(self, node: SimulatedNode, seconds: float) -> None:
        what = self.etcd.cut_off[node.name] = self.random.choice(CUTS)
        if self.random.random() < 0.5:
            self.etcd.break_watches(node.name)
        self._for_a_while(seconds, f"{node.name} is cut off from etcd ({what})", lambda: self.etcd.reach(node.name))

    def _cut_off_from_receivers(self) -> None:
        node = self.target()
        node.is_cut_off = True
        self._for_a_while(
            self._some_s(), f"{node.name} is cut off from the receivers", lambda: setattr(node, "is_cut_off", False)
        )

    def _cut_way(self) -> None:
        """One way from a node to another."""
        node, other = self.random.sample(self.nodes, 2)
        ways = [(node.name, other.config.advertised_url)]
        cut = self.network.cut(ways)
        self._for_a_while(self._some_s(), f"{cut}: {node.name} to {other.name}", lambda: self.network.mend(ways))

    def _etcd_away(self) -> None:
        self.etcd.is_away = True
        self.etcd.break_watches()
        self._for_a_while(self._some_s() / 3, "etcd is away", lambda: setattr(self.etcd, "is_away", False))

    def _etcd_without_leader(self) -> None:
        self.etcd.has_no_leader = True
        self._for_a_while(self._some_s() / 3, "etcd has no leader", lambda: setattr(self.etcd, "has_no_leader", False))

    def _etcd_full(self) -> None:
        self.etcd.is_full, self.etcd.file_bytes = True, QUOTA_BYTES
        self._for_a_while(self._some_s() / 3, "etcd is full", lambda: setattr(self.etcd, "is_full", False))

    def _compact(self) -> None:
        self.history.note("etcd is compacted")
        self.etcd.store.compact(self.etcd.store.revision)
        self.etcd.break_watches()

    def is_safe_without(self, lost: SimulatedNode) -> bool:
        """Another node has on its disk what the log no longer has."""
        first = self.etcd.first_index()
        return any(node.copied >= first - 1 for node in self.nodes if node is not lost)

    def install(self, node: SimulatedNode, *, keeps: bool) -> bool:
        """Give a node the state of another one; False while none can."""
        peers = self._peers(node)
        for other in self.nodes:
            is_asked = other is not node and other.config.advertised_url in peers.urls
            if is_asked and node.take_state(other, peers, keeps=keeps):
                self.history.note(f"{node.name} gets the state of {other.name}")
                return True
        return False

    def _peers(self, node: SimulatedNode) -> Peers:
        """As ``joining.find_peers``, by what etcd holds."""
        keys, store = self.keys, self.etcd.store
        kvs = store.range(rpc.RangeRequest(key=keys.charter)).kvs
        charter = msgspec.json.decode(kvs[0].value, type=Charter) if kvs else None
        told = store.range(rpc.RangeRequest(key=keys.nodes, range_end=prefix_end(keys.nodes))).kvs
        statuses = [decode_status(kv.value) for kv in told]
        at_least = max(self.etcd.first_index() - 1, charter.begins_after if charter is not None else 0)
        return Peers([it.url for it in statuses if it.name != node.name], at_least, charter)

    def seen(self) -> list[str]:
        return [*super().seen(), *self.etcd.wrong]

    def known_ms(self, true_s: float) -> float:
        return self.start_ms + true_s * 1_000 + self.clocks.ahead_ms(true_s)

    def heal(self) -> None:
        self.etcd.heal()
        self.clocks.heal()
        super().heal()


class _Watch:
    """Stands in for a ``LeaderWatch``: it asks the cluster whether the leader is gone."""

    def __init__(self, cluster: EtcdCluster, _leader: OtherLeader) -> None:
        self.is_gone = cluster.is_gone

    async def run(self) -> None:
        """The cluster knows it."""
