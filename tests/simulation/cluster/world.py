"""One simulated cluster: three nodes, an etcd that misbehaves, receivers and clients, all from one seed."""

import asyncio
import random
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hookline.errors import NotLeader
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.keys import Keys, prefix_end
from hookline.node.etcd.statuses import decode_status
from hookline.node.identity import Charter
from hookline.node.membership.joining import Peers
from hookline.testing.client import InProcessClient
from hookline.testing.clock import START_MS, SimulatedClock
from tests.simulation.clients import Clients
from tests.simulation.cluster.clocks import Clocks
from tests.simulation.cluster.etcd import CUTS, QUOTA_BYTES, SimulatedEtcd
from tests.simulation.cluster.incarnation import Incarnation
from tests.simulation.cluster.loop import PROCESS, Process, outside, run
from tests.simulation.cluster.node import SimulatedNode
from tests.simulation.cluster.patches import patched
from tests.simulation.history import History, Serving
from tests.simulation.logs import complaints_kept
from tests.simulation.world import ENTRIES_MAX

NODES = 3
_LATE_NETWORK_S = 0.001
_NOTICE_S = 22
_PATIENCE_S = 900  # after everything is healed, by when all work must be done
_LOOK_S, _OFF_S = 0.5, 5.0  # how often it is looked who leads; how long a leader may take to notice its clock
_WORK_S = 900  # by when the clients have long made all their calls


class ClusterClients(Clients):
    """The same wishes within a shorter time: three nodes and their clockwork cost more than one."""

    hurries_s = (0.1, 0.4, 1.2)
    delay_s = 6
    run_at_ms = (-20_000, 30_000)
    rounds = (4, 9)
    is_enough: Callable[[], bool]

    @property
    def ticks_s(self) -> float:  # type: ignore[override]
        """Over the next full minute, and as long as it may take to notice it."""
        return 60 - self._clock.wall_ms() / 1_000 % 60 + _NOTICE_S

    async def _work(self) -> None:
        """At least as many calls as anywhere, and then a few more for as long as there is trouble."""
        await super()._work()
        actions, weights = zip(*self._actions, strict=True)
        while not self.is_enough():
            await asyncio.sleep(self._random.expovariate(1 / (0.6 + 4 * self._hurry_s)))
            if any(weights):
                await self._random.choices(actions, weights)[0]()


class ClusterWorld:
    """Lives inside a ``ClusterLoop``. ``directory`` is for the state files, and empty."""

    etcd_type: type[SimulatedEtcd] = SimulatedEtcd
    clients_type: type[ClusterClients] = ClusterClients
    hour_ms = START_MS  # a full one, soon after which it begins

    def __init__(self, seed: int, directory: Path) -> None:
        loop = asyncio.get_running_loop()
        self.random = random.Random(f"cluster {seed}")
        self.directory = directory
        self.history = History(loop.time)
        self.keys = Keys("c0")
        self.etcd = self.etcd_type(self.history, self.keys, seed)
        charter = Charter(cluster_id="c" * 32, cluster="c0", shard=0)
        self.etcd.store.txn(transactions.begin_cluster(self.keys, msgspec.json.encode(charter)))
        self.slots = self.random.choice((3, 5, 10, 20))
        self.violations: list[str] = []
        self.fatal = ""  # why the run came to no end
        self.digests: dict[int, tuple[bytes, str]] = {}
        self.troubles: list[int] = []  # when, by the counter
        self.is_healed = False
        self.jumped_ms = 0  # by how much wall clocks were set, in all
        self.deaths: dict[str, int] = {}  # of processes, by name: when they ended
        self.start_ms = self.hour_ms + self.random.randint(15_000, 58_000)  # a minute is soon full
        self.kind = self._choose_kind()
        if self.kind != "rough":
            self.etcd.heal()
        self.nodes = [SimulatedNode(self, number, seed) for number in range(1, NODES + 1)]
        self.clock = SimulatedClock(loop.time, seed=seed, start_ms=self.start_ms)
        self.clocks = Clocks(self, seed)
        if self.kind == "clocks" or (self.kind == "rough" and self.random.random() < 0.2):
            self.clocks.start_wrong()
        self.client = InProcessClient(lambda: self._carry, self.clock, retries=0)
        self._gone_after_s = self.random.choice((0.05, 0.3, 5.0))

    def _choose_kind(self) -> str:
        return self.random.choice(("calm", "hand-over", "hand-over", "clocks", *9 * ("rough",)))

    @property
    def config(self) -> Any:
        return self.nodes[0].config

    # --- who is where --------------------------------------------------------------------------------------------

    def node_at(self, url: str) -> SimulatedNode:
        """The node that listens there."""
        return next(node for node in self.nodes if node.config.advertised_url == url)

    async def ask(self, url: str, scope: dict[str, Any], body: bytes) -> list[dict[str, Any]]:
        """What one node asks another. Raises as ``SimulatedNode.ask``."""
        return await self.node_at(url).ask(scope, body)

    def is_gone(self, url: str) -> bool:
        """What a ``LeaderWatch`` finds out, some time after it has become true."""
        if not url:
            return False  # nobody leads
        node = self.node_at(url)
        return node.now is None and asyncio.get_running_loop().time() - node.down_since_s > self._gone_after_s

    def leader(self) -> SimulatedNode | None:
        """Who serves now."""
        return next((node for node in self.nodes if node.is_leading()), None)

    async def _carry(self, scope: Any, receive: Any, send: Any) -> None:
        """A load balancer: any node, and its answer, if both get through."""
        message = await receive()
        node = self.random.choice(self.nodes)
        await asyncio.sleep(_LATE_NETWORK_S * self.random.random())
        messages = await node.ask(scope, message["body"])
        await asyncio.sleep(_LATE_NETWORK_S * self.random.random())
        for message in messages:
            await send(message)

    # --- what is noted -------------------------------------------------------------------------------------------

    def trouble(self, text: str) -> None:
        """Something is done to the cluster."""
        self.troubles.append(self.history.note(text))

    def note_digest(self, node: str, index: int, digest: bytes) -> None:
        """A node has committed an entry."""
        known = self.digests.setdefault(index, (digest, node))
        if known[0] != digest:
            stamp = self.history.note("the digests differ")
            self.violations.append(f"after entry {index} the state of {node} is not that of {known[1]} (at {stamp})")

    def check_send(self, process: Process, term: int) -> None:
        """No request leaves in a term while another one has begun."""
        leader = self.etcd.leader
        if leader is not None and leader.term != term:
            stamp = self.history.note(f"{process.name} sends in term {term}")
            self.violations.append(f"{process.name} sent in term {term} during term {leader.term} (at {stamp})")

    async def watch_who_leads(self) -> None:
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

    # --- the run -------------------------------------------------------------------------------------------------

    async def live(self, seed: int) -> None:
        """Trouble, then healing, then quiet, then all nodes know everything."""
        clients = self.clients_type(self.client, self.history, self.clock, seed)
        try:
            await self._live(clients)
        except* Exception as errors:  # noqa: BLE001 - what broke down is told with the journal
            error = errors.exceptions[0]
            self.fatal = "".join(traceback.format_exception(error)[-4:])

    async def _live(self, clients: ClusterClients) -> None:
        async with asyncio.TaskGroup() as tasks:
            for node in self.nodes:
                tasks.create_task(node.run())
            trouble = tasks.create_task(self._make_trouble())
            watching = tasks.create_task(self.watch_who_leads())
            clients.is_enough = trouble.done
            async with asyncio.timeout(_WORK_S):
                await clients.work()
                await trouble
            self._heal()
            await self._until(lambda: self.leader() is not None, 60, "nobody leads")
            if self.leader() is None:
                raise NotLeader
            await self._serve_calmly()
            await asyncio.sleep(
                1
            )  # calls that a paused node held back are on their way, and must not come after the next
            await clients.tidy()
            for node in self.nodes:
                node.receivers.is_healed = True
            await self._until(self._is_quiet, _PATIENCE_S, "not quiet")
            await self._until(self._all_know_all, 120, "not all nodes have all entries")
            watching.cancel()
            for node in self.nodes:
                node.is_over = True
                node.stop()

    async def _until(self, holds: Callable[[], bool], patience_s: int, complaint: str) -> None:
        for _ in range(patience_s):
            if holds():
                return
            if len(self.history.entries) > ENTRIES_MAX:
                break
            await asyncio.sleep(1)
        states = [(node.name, node.now and node.now.assembly.member.replica.counters) for node in self.nodes]
        self.violations.append(f"{complaint} {patience_s} s after everything was healed: {states}")

    async def _serve_calmly(self) -> None:
        """From now on nothing goes wrong, so ticks must be made."""
        leader = self.leader()
        stamp = self.history.note("serving")
        wall_ms = leader.clock.wall_ms() if leader else 0
        self.history.serving.append(Serving(stamp, wall_ms, 80_000 if self.jumped_ms else 20_000))

    def _is_quiet(self) -> bool:
        leader = self.leader()
        if leader is None or leader.now is None:
            return False
        counters = leader.now.assembly.member.replica.counters
        return counters["pending"] + counters["running"] == 0

    def _all_know_all(self) -> bool:
        last = self.history.entries[-1][1].index if self.history.entries else 0
        return all(node.now and node.now.assembly.member.replica.applied == last for node in self.nodes)

    # --- trouble -------------------------------------------------------------------------------------------------

    async def _make_trouble(self) -> None:
        if self.kind == "calm":
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
        some = (self._cut_off_from_receivers, self._restart, self.clocks.jump, self.clocks.blip, self._compact)
        etcd = (self._etcd_away, self._etcd_without_leader, self._etcd_full)
        return (*self.random.choices(often, k=4), *self.random.choices(some, k=2), *often, *some, *etcd)

    def _target(self) -> SimulatedNode:
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
        if leader is not None and not self.is_healed:
            leader.crash()

    def _pause(self) -> None:
        self._target().pause(self._some_s())

    def _crash(self) -> None:
        self._target().crash(self.random.choice(("", "", "memory", "disk")))

    def _lose_all(self) -> None:
        """Power loss of all three."""
        kept = self.random.choice(("", "memory", "memory"))
        for node in self.nodes:
            node.crash(self.random.choice((kept, "memory")))

    def _plan_pause(self) -> None:
        self._target().faults.plan(self._some_s())

    def _plan_crash(self) -> None:
        self._target().faults.plan(None)

    def _plan_late_requests(self) -> None:
        """The leader sleeps until another one leads, with requests to send when it wakes."""
        self._target().faults.plan_late_requests(1.8 + 2 * self.random.random())

    def _plan_election(self) -> None:
        """The leader is silent for so long that another is elected, which is struck in the middle of that."""
        for node in self.nodes:
            node.faults.plan_at_election(self.random.choice((None, 1.0, 3.0)))
        leader = self.leader()
        if leader is not None:
            seconds = 1.5 + 2 * self.random.random()
            self.random.choice((leader.pause, lambda seconds: self._cut_off(leader, seconds)))(seconds)

    def _restart(self) -> None:
        node = self._target()
        self.trouble(f"{node.name} is stopped")
        node.stop()

    def _cut_off_from_etcd(self) -> None:
        self._cut_off(self._target(), self._some_s())

    def _cut_off(self, node: SimulatedNode, seconds: float) -> None:
        what = self.etcd.cut_off[node.name] = self.random.choice(CUTS)
        if self.random.random() < 0.5:
            self.etcd.break_watches(node.name)
        self._for_a_while(seconds, f"{node.name} is cut off from etcd ({what})", lambda: self.etcd.reach(node.name))

    def _cut_off_from_receivers(self) -> None:
        node = self._target()
        node.is_cut_off = True
        self._for_a_while(
            self._some_s(), f"{node.name} is cut off from the receivers", lambda: setattr(node, "is_cut_off", False)
        )

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

    # --- for worlds that look closer -----------------------------------------------------------------------------

    def starts(self, node: SimulatedNode) -> None:
        """A node is about to start again."""

    def opened(self, node: SimulatedNode, now: Incarnation) -> None:
        """A process has opened its state."""

    def gives_up(self, node: SimulatedNode, now: Incarnation, why: BaseException) -> None:
        """A node finds that it needs another node's state."""

    def halts(self, node: SimulatedNode, why: BaseException) -> None:
        """A process has ended by itself."""

    def installs(self, node: SimulatedNode, other: SimulatedNode, fresh: Path) -> None:
        """A node is about to put the state of another one, which is in ``fresh``, in the place of its own."""

    def installed(self, node: SimulatedNode, kept: Path | None) -> None:
        """It has done so, and keeps its old state there."""

    def _heal(self) -> None:
        self.history.note("healing")
        self.is_healed = True
        self.etcd.heal()
        self.clocks.heal()
        for node in self.nodes:
            node.faults.heal()
            node.is_cut_off = False
            if node.now is not None and node.now.process.is_paused:
                node.now.process.resume()


def _a_living_process_logs() -> bool:
    process = PROCESS.get()
    return process is not None and not process.is_dead


W = TypeVar("W", bound=ClusterWorld)


def simulate(seed: int, directory: Path) -> ClusterWorld:
    """Run a world to its end."""
    return simulate_as(ClusterWorld, seed, directory)


def simulate_as(kind: type[W], seed: int, directory: Path) -> W:
    """The same for a world of another kind."""

    async def main() -> W:
        world = kind(seed, directory)
        with complaints_kept(world.history, counts=_a_living_process_logs), patched(world.random, world.kind):
            await world.live(seed)
        return world

    return run(main())
