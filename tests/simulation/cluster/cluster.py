"""One simulated cluster: its nodes, what is noted of them, and how clients reach them."""

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hookline.clock import Clock
from hookline.node.assembly import Membership
from hookline.node.state_machine.machine import StateMachine
from hookline.peers.sender import NodeAnswer, NodeCall, Sender
from hookline.testing.clock import START_MS, SimulatedClock
from tests.simulation.cluster.elsewhere import Elsewhere
from tests.simulation.cluster.etcd import SimulatedEtcd
from tests.simulation.cluster.loop import Process
from tests.simulation.cluster.machine import Machine
from tests.simulation.cluster.node import SimulatedNode
from tests.simulation.cluster.process import NodeProcess
from tests.simulation.history import History
from tests.simulation.network import Network
from tests.simulation.promises import OF_WORK_AND_CALLS, PROMISES, broken
from tests.simulation.promises.facts import Facts
from tests.simulation.replay import Replay, replay

_LATE_NETWORK_S = 0.001
ENTRIES_MAX = 20_000  # more is a node that runs in circles


class Cluster:
    """Lives inside a ``ProcessLoop``. ``directory`` is for the state files of its nodes.

    Args:
        settings: of its nodes, beside what every node needs.

    Attributes:
        etcd: None: one node is the whole cluster.
        network: between its nodes.
        outer: between clusters; that of its nodes where there are no others.
        kind: of trouble.
        deaths: of processes, by name: when they ended.
        elsewhere: where attempts are made beside the leader's process; None: nowhere.
    """

    size = 1
    etcd: SimulatedEtcd | None = None
    kind = "alone"
    jumped_ms = 0
    slack_ms, early_ms = 3_000, 1_001  # how late an entry is stamped; how early a request may be
    rests_s: tuple[float, ...] = (0.0, 0.3, 2.0, 15.0)  # until a process follows the one before
    nodes: list[SimulatedNode]

    def __init__(
        self, history: History, seed: int, directory: Path, *, shard: int = 0, settings: Mapping[str, Any] | None = None
    ) -> None:
        self.name, self.shard = f"c{shard}", shard
        self.random = random.Random(f"cluster {seed}")
        self.directory = directory
        self.history = history
        self.settings = dict(settings or {})
        self.violations: list[str] = []
        self.digests: dict[int, tuple[bytes, str]] = {}
        self.healed = asyncio.Event()
        self.elsewhere = Elsewhere.chosen(self, seed)
        self.deaths: dict[str, int] = {}
        self.slots = 0
        self.start_ms = START_MS
        self.outer = self.network = Network(f"of nodes {seed}", (0.0,))

    def _begin(self, seed: int) -> None:
        """Once it is chosen how they are: make the nodes, which run later."""
        if self.elsewhere is not None:
            self.slots = self.elsewhere.slots
            self.settings["attempt_processes"] = self.elsewhere.processes
        self.nodes = [SimulatedNode(self, number, seed) for number in range(1, self.size + 1)]
        self.network.places = {node.config.advertised_url: node.ask for node in self.nodes}
        self.clock: Clock = SimulatedClock(asyncio.get_running_loop().time, seed=seed, start_ms=self.start_ms)

    def membership(self, node: SimulatedNode, now: NodeProcess, machine: StateMachine, sender: Sender) -> Membership:
        """How a process of a node takes part."""
        raise NotImplementedError

    async def serve(self, now: NodeProcess) -> None:
        """Beside a process, while it runs."""

    async def make_trouble(self) -> None:
        """Until there was enough of it."""
        raise NotImplementedError

    async def watch(self) -> None:
        """For as long as it runs, whether a rule is broken."""

    def heal(self) -> None:
        """Nothing is wrong from now on."""
        self.healed.set()
        self.network.heal()
        for machine in self.machines:
            machine.heal()
        for node in self.nodes:
            node.is_held = False
        self.wake_all()

    def wake_all(self) -> None:
        """Let paused processes go on."""
        processes = [node.now.process for node in self.nodes if node.now is not None]
        processes += [] if self.elsewhere is None else self.elsewhere.processes_now()
        for process in processes:
            if process.is_paused:
                process.resume()

    async def until(self, holds: Callable[[], bool], patience_s: int, complaint: str) -> None:
        """Wait until something holds; it is wrong if it never does."""
        for _ in range(patience_s):
            if holds():
                return
            if len(self.history.entries) > ENTRIES_MAX:
                break
            await asyncio.sleep(1)
        states = [(node.name, node.now and node.now.assembly.member.replica.counters) for node in self.nodes]
        self.violations.append(f"{complaint} {patience_s} s after everything was healed: {states}")

    def seen(self) -> list[str]:
        """All that was seen to be wrong while it ran."""
        return [*self.violations, *self.history.complaints]

    def violated(self) -> list[str]:
        """All that is wrong now that it has ended."""
        wrong = self.seen()
        promises = [it for it in PROMISES if self.kind != "fleet" or it not in OF_WORK_AND_CALLS]
        return wrong or [*broken(self.facts(replay(self.history, self.directory)), promises)]

    def facts(self, found: Replay) -> Facts:
        """The facts that its promises are checked against."""
        return Facts(
            history=self.history,
            found=found,
            shard=self.shard,
            slots=self.slots,
            is_alone=self.etcd is None,
            kind=self.kind,
            slack_ms=self.slack_ms + self.jumped_ms,
            jumped_ms=self.jumped_ms,
            now_ms=self.known_ms,
            early_ms=self.early_ms,
            deaths=self.deaths,
            state_files={node.name: node.state_file for node in self.nodes},
        )

    def known_ms(self, true_s: float) -> float:
        """The time as nodes knew it at most, at a moment since the run began."""
        raise NotImplementedError

    def stop(self) -> None:
        """All nodes and workers, for good."""
        if self.elsewhere is not None:
            self.elsewhere.stop()
        for node in self.nodes:
            node.is_over = True
            node.stop()

    @property
    def machines(self) -> list[Machine]:
        """All that send to receivers."""
        return [*self.nodes, *(self.elsewhere.workers if self.elsewhere is not None else ())]

    # --- who is where --------------------------------------------------------------------------------------------

    def node_at(self, url: str) -> SimulatedNode:
        """The node that listens there."""
        return next(node for node in self.nodes if node.config.advertised_url == url)

    def leader(self) -> SimulatedNode | None:
        """The node that serves now; None: no node does."""
        return next((node for node in self.nodes if node.is_leading()), None)

    async def ask_any(self, call: NodeCall) -> NodeAnswer:
        """As a load balancer: any node, and its answer, if both get through."""
        node = self.random.choice(self.nodes)
        await asyncio.sleep(_LATE_NETWORK_S * self.random.random())
        answer = await node.ask(call)
        await asyncio.sleep(_LATE_NETWORK_S * self.random.random())
        return answer

    # --- what is noted -------------------------------------------------------------------------------------------

    def trouble(self, text: str) -> None:
        """Something is done to the cluster."""
        self.history.note(text)

    def note_digest(self, node: str, index: int, digest: bytes) -> None:
        """A node has committed an entry."""
        known = self.digests.setdefault(index, (digest, node))
        if known[0] != digest:
            stamp = self.history.note("the digests differ")
            self.violations.append(f"after entry {index} the state of {node} is not that of {known[1]} (at {stamp})")

    def is_quiet(self) -> bool:
        """Nothing is pending or running."""
        leader = self.leader()
        if leader is None or leader.now is None:
            return False
        counters = leader.now.assembly.member.replica.counters
        return counters["pending"] + counters["running"] == 0

    def all_know_all(self) -> bool:
        """Every node has applied every entry."""
        last = self.history.entries[-1][1].index if self.history.entries else 0
        return all(node.now and node.now.assembly.member.replica.applied == last for node in self.nodes)

    # --- for clusters that look closer -----------------------------------------------------------------------------

    def ends(self, node: SimulatedNode, now: NodeProcess, *, is_crash: bool) -> None:
        """A process has ended. Every slot that is taken belongs to a claim or an attempt."""
        leader = now.assembly.member.leader
        if is_crash and leader is not None and leader.plan.running != leader.dispatcher.claims:
            taken = f"{leader.plan.running} slots are taken by {leader.dispatcher.claims} attempts"
            self.violations.append(f"{taken}, at {self.history.note('check')}")

    def sends(self, process: Process, term: int) -> None:
        """A process sends a request."""

    def is_safe_without(self, lost: SimulatedNode) -> bool:
        """All that this node has on its disk is elsewhere too."""
        return True

    def install(self, node: SimulatedNode, *, keeps: bool) -> bool:
        """Give a node the state of another one; False while none can."""
        return False

    def starts(self, node: SimulatedNode) -> None:
        """A node is about to start again."""

    def opened(self, node: SimulatedNode, now: NodeProcess) -> None:
        """A process has opened its state."""

    def gives_up(self, node: SimulatedNode, now: NodeProcess, why: BaseException) -> None:
        """A node finds that it needs another node's state."""

    def halts(self, node: SimulatedNode, why: BaseException) -> None:
        """A process has ended by itself."""

    def installs(self, node: SimulatedNode, other: SimulatedNode, fresh: Path) -> None:
        """A node is about to put the state of another one, which is in ``fresh``, in the place of its own."""

    def installed(self, node: SimulatedNode, kept: Path | None) -> None:
        """It has done so, and keeps its old state there."""
