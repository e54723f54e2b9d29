"""A simulated cluster: the real node over the memory log, which crashes and moves, behind the doors of all its nodes.

One node leads and is real. The others are followers as far as a proxy can tell: they answer ``GET /health`` for
themselves, a little behind, and pass everything else on to the leader as ``node.api.forwarding`` does.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hookline.errors import DeadlineExceeded, HooklineError, NotLeader
from hookline.http_api.forwarded_headers import FORWARDED, TIMEOUT
from hookline.http_api.messages import PROBLEM_JSON
from hookline.node.assembly import Node
from hookline.node.config import NodeConfig
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.state_machine.machine import open_state
from hookline.peers.sender import NodeAnswer, NodeCall, Unclear
from hookline.protocol.calls import SAFE_METHODS
from hookline.protocol.commands import SetTopology
from hookline.protocol.topology import ClusterEntry, digest_of
from hookline.testing.assembly import Parts, assemble
from hookline.testing.clock import START_MS, SimulatedClock
from hookline.testing.receiver import Receiver
from tests.simulation.faults import Faults, FaultyLog
from tests.simulation.proxies.asgi import exchange, scope_of

if TYPE_CHECKING:
    from tests.simulation.proxies.world import ProxyWorld

_WAIT_S = 3.0  # for a leader, as a follower does
_LOOK_S = 0.05
_ROOM = 10_000


class _NoLeader(Exception):
    """The leader surely did not take the call."""


class SimulatedCluster:
    """Lives until the world is over. Its log and its state outlive its crashes.

    Attributes:
        node: the leader that runs now, None while there is none.
        is_held_down: it does not start again.
        followers_down: the urls of those that do not answer.
    """

    def __init__(self, world: "ProxyWorld", name: str, shard: int, nodes: int, seed: int) -> None:
        self.world = world
        self.name = name
        self.random = random.Random(f"cluster {name} {seed}")
        skew_ms = self.random.choice((0, 0, -40, 700))
        self.clock = SimulatedClock(
            asyncio.get_running_loop().time, seed=seed * 10 + shard, start_ms=START_MS + skew_ms
        )
        self.entry = ClusterEntry(
            name=name, shard=shard, nodes=tuple(f"http://{name}-n{number}:7070" for number in range(1, nodes + 1))
        )
        self.directory = world.directory / name
        self.directory.mkdir()
        self.faults = Faults(self.clock, seed * 10 + shard)
        self.log = FaultyLog(self.faults, world.history)
        self.leadership = MemoryLeadership()
        self.receiver = Receiver(self.clock)
        self.room = self.random.choice((_ROOM, _ROOM, 6, 15))
        self.lead = self.random.randrange(nodes)
        self.node: Node | None = None
        self.is_held_down = False
        self.followers_down: set[str] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._handling: dict[asyncio.Future[NodeAnswer], asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._seen: SetTopology | None = None  # the topology as the followers have it

    @property
    def state_file(self) -> Path:
        return self.directory / "state.db"

    @property
    def lead_url(self) -> str:
        return self.entry.nodes[self.lead]

    @property
    def topology(self) -> SetTopology | None:
        """What is in its state; None: nothing, or it is down."""
        return self.node.machine.tables.topology if self.node is not None else None

    # --- its life ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """One leader after the other, until the world is over."""
        while not self.world.is_over:
            if self.is_held_down:
                await asyncio.sleep(_LOOK_S)
                continue
            await self._live()
            self._note("is down")
            self.lead = self.random.randrange(len(self.entry.nodes))
            if not self.world.is_over:
                await asyncio.sleep(self.random.choice((0.0, 0.1, 1.5)) * self.random.random())

    async def _live(self) -> None:
        self.faults.crashed = asyncio.Event()
        self._stop = asyncio.Event()
        database = open_state(self.state_file, durable=False)
        node = assemble(
            Parts(
                config=NodeConfig(
                    data_dir=self.directory,
                    cluster=self.name,
                    shard=self.entry.shard,
                    node=f"n{self.lead + 1}",
                    allow_private_destinations=True,
                    pending_jobs_max=self.room,
                    shutdown_grace_ms=1_000,
                ),
                clock=self.clock,
                database=database,
                log=self.log,
                leadership=self.leadership,
                commit=self.faults.commit,
                transport=self.receiver,
            )
        )
        async with node.resolver, asyncio.TaskGroup() as tasks:
            self._tasks, self.node = tasks, node
            self._note(f"starts, led by n{self.lead + 1}, at {node.machine.applied}")
            leading = tasks.create_task(self._lead(node))
            watch = [tasks.create_task(self.faults.crashed.wait()), tasks.create_task(self._stop.wait())]
            await asyncio.wait({leading, *watch}, return_when=asyncio.FIRST_COMPLETED)
            if not self.faults.crashed.is_set():
                node.member.stop()
                await asyncio.wait({leading, watch[0]}, return_when=asyncio.FIRST_COMPLETED)
            self.node, self._tasks = None, None
            self._hang_up()
            for task in (leading, *watch):
                task.cancel()
        database.close()

    async def _lead(self, node: Node) -> None:
        try:
            await node.member.run()
        except Exception:
            # A crash cancels the tasks in some order, and what one says then of another is heard by nobody.
            if not self.faults.crashed.is_set():
                raise

    def _hang_up(self) -> None:
        """All connections break."""
        for answer, handling in self._handling.items():
            handling.cancel()
            if not answer.done():
                answer.set_exception(Unclear(f"{self.name}: connection reset"))
        self._handling.clear()

    def crash(self) -> None:
        """The leader is gone at once."""
        if self.node is not None:
            self._note("crashes")
            self.faults.crashed.set()

    def stop(self) -> None:
        """The leader ends in good order, and another one begins."""
        self._note("is to hand over")
        self._stop.set()

    def heal(self) -> None:
        """Nothing goes wrong from now on, and there is room."""
        self.faults.heal()
        self.is_held_down = False
        self.followers_down.clear()
        if self.room < _ROOM:
            self.room = _ROOM
            self.stop()

    def _note(self, text: str) -> None:
        self.world.history.note(f"{self.name} {text}")

    # --- what proxies ask of it ----------------------------------------------------------------------------------

    def listens(self, url: str) -> bool:
        """A connection to that node is accepted."""
        return self.node is not None if url == self.lead_url else url not in self.followers_down

    async def ask(self, url: str, call: NodeCall) -> NodeAnswer:
        """What the node at that url answers; it listens. Raises Unclear."""
        self.world.saw(self.topology)
        if url == self.lead_url:
            return await self._ask_leader(call)
        if call.target == "/health":
            return self._follower_health(url)
        try:
            return await _in_time(call, lambda: self._forward(call))
        except (NotLeader, DeadlineExceeded) as error:
            return self._problem(url, error)

    async def _ask_leader(self, call: NodeCall) -> NodeAnswer:
        node, tasks = self.node, self._tasks
        if node is None or tasks is None:
            raise Unclear(f"{self.name}: connection reset")
        answer: asyncio.Future[NodeAnswer] = asyncio.get_running_loop().create_future()

        async def serve() -> None:
            found = await exchange(node.app, scope_of(call.method, call.target, call.headers), call.body)
            if not answer.done():
                answer.set_result(found)

        self._handling[answer] = tasks.create_task(serve())
        try:
            return await answer
        finally:
            self._handling.pop(answer, None)

    async def _forward(self, call: NodeCall) -> NodeAnswer:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _WAIT_S
        while True:
            try:
                return await self._forward_once(call)
            except _NoLeader:
                if loop.time() > until_s:
                    raise NotLeader(retry_after_s=1) from None
            await asyncio.sleep(_LOOK_S)

    async def _forward_once(self, call: NodeCall) -> NodeAnswer:
        if self.node is None:
            raise _NoLeader
        try:
            answer = await self._ask_leader(call.with_headers((FORWARDED, b"1")))
        except Unclear:
            if call.method in SAFE_METHODS:
                raise _NoLeader from None
            raise DeadlineExceeded("the leader did not answer; repeat the request with the same id or key") from None
        if answer.status == 503 and answer.code == NotLeader.code:
            raise _NoLeader
        return answer

    def _follower_health(self, url: str) -> NodeAnswer:
        if self.random.random() < 0.7:  # else it is behind
            self._seen = self.topology or self._seen
        is_ready = self.node is not None
        health = {
            "status": "ok" if is_ready else "unavailable",
            "role": "follower",
            "term": self.leadership.term,
            "epoch": self._seen.epoch if self._seen else 0,
            "topology": digest_of(self._seen.document) if self._seen else None,
            "decided_by": self._seen.decided_by if self._seen else None,
            "cluster": self.name,
            "shard": self.entry.shard,
        }
        return NodeAnswer(200 if is_ready else 503, msgspec.json.encode(health), headers=self._identity(url))

    def _problem(self, url: str, error: HooklineError) -> NodeAnswer:
        body = msgspec.json.encode(error.to_problem())
        return NodeAnswer(error.http_status, body, PROBLEM_JSON, self._identity(url))

    def _identity(self, url: str) -> tuple[tuple[bytes, bytes], ...]:
        name = f"n{self.entry.nodes.index(url) + 1}"
        return ((b"hookline-cluster", self.name.encode()), (b"hookline-node", name.encode()))


async def _in_time(call: NodeCall, work: Callable[[], Awaitable[NodeAnswer]]) -> NodeAnswer:
    """As ``node.api.deadline``."""
    allowed_ms = next((value for name, value in call.headers if name == TIMEOUT), None)
    try:
        async with asyncio.timeout(None if allowed_ms is None else int(allowed_ms) / 1_000):
            return await work()
    except TimeoutError:
        raise DeadlineExceeded from None
