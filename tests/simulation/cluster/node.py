"""One node of a simulated cluster: the real parts as in ``node.quorum``, over a simulated etcd, in its own process."""

import asyncio
import random
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hookline.errors import (
    Compacted,
    ConnectionFailed,
    DeadlineExceeded,
    HooklineError,
    LogFault,
    NodeFault,
    NotLeader,
    StateDamaged,
)
from hookline.http_api.hops import FORWARDED
from hookline.node.config import NodeConfig
from hookline.node.database import Database
from hookline.node.etcd.client import EtcdClient
from hookline.node.etcd.fence import Fence
from hookline.node.etcd.hints import Hints
from hookline.node.executor.transport import Answer, SendFailed
from hookline.node.leadership.etcd import RENEWAL_STEP_S, RENEWAL_TRY_S, EtcdLeadership, Renewal
from hookline.node.replicated_log.etcd import EtcdLog
from hookline.node.state_machine.machine import open_state
from hookline.node.successor import MAC_HEADER, PATH, Propose, Teller
from hookline.node.vault import KEY_BYTES, Vault
from hookline.protocol.commands import AnyCommand
from hookline.protocol.urls import Target
from hookline.testing.assembly import Assembly, Parts, assemble
from hookline.testing.client import App
from hookline.testing.clock import SimulatedClock
from tests.simulation.cluster.etcd import SimulatedClient
from tests.simulation.cluster.faults import NodeFaults
from tests.simulation.cluster.loop import PROCESS, ClusterLoop, Process, outside
from tests.simulation.receivers import Receivers

if TYPE_CHECKING:
    from tests.simulation.cluster.world import ClusterWorld

_LOOK_S = 0.2
_ANSWER_S = 15.0  # how long a caller waits for an answer


class Incarnation:
    """One process of a node and what it holds."""

    def __init__(self, node: "SimulatedNode", process: Process, database: Database) -> None:
        world = node.world
        client: Any = SimulatedClient(world.etcd, node.name)
        self._client: EtcdClient = client
        self.process = process
        self.fence = Fence(node.clock)
        self.hints = Hints(client, world.keys)
        self.log = EtcdLog(client, world.keys, self.fence, node.clock, self.hints)
        self.leadership = EtcdLeadership(
            client,
            world.keys,
            self.fence,
            node.clock,
            node=node.name,
            url=node.config.advertised_url,
            leader_is_gone=world.is_gone,
            hints=self.hints,
        )
        self._renewal = Renewal(_nobody_asks, world.keys, self.fence, node.clock)
        self.teller = InProcessTeller(node, self)
        self.assembly: Assembly = assemble(
            Parts(
                config=node.config,
                clock=node.clock,
                database=database,
                log=self.log,
                leadership=self.leadership,
                commit=node.commit,
                transport=node,
                successor=self.teller,
            )
        )
        self.database = database
        self.asked: dict[asyncio.Future[Any], None] = {}
        self.tasks = asyncio.TaskGroup()

    async def run(self) -> None:
        """Until the member stops."""
        async with self.tasks:
            background = [
                self.tasks.create_task(part)
                for part in (self.hints.run(), self.teller.run(), self._look(), self._renew())
            ]
            await self.assembly.member.run()
            for task in background:
                task.cancel()

    async def _look(self) -> None:
        while True:
            if self.fence.revision is None:
                await self.leadership.look()
            await asyncio.sleep(_LOOK_S)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_STEP_S)
            beat = self._renewal.due()
            if beat is None:
                continue
            try:
                response = await self._client.txn(beat.request, RENEWAL_TRY_S)
            except HooklineError:
                continue
            self._renewal.heard(beat, response)

    def leader_url(self) -> str | None:
        """Who leads, if it is another node."""
        leader = self.leadership.leader
        return leader.url if leader and leader.url and leader.url != self.assembly_url else None

    def own_propose(self) -> Propose | None:
        """As the quorum of a real node."""
        member = self.assembly.member
        return member.replica.propose if member.is_leading else None

    @property
    def assembly_url(self) -> str:
        """This node's own."""
        return self.leadership._url

    async def truncate(self, upto: int) -> None:
        """As upkeep does on the leader."""
        with suppress(LogFault):
            await self.log.truncate(upto)


def _nobody_asks(_request: Any, _timeout_s: float) -> Any:
    raise AssertionError("the thread does not run here")


class SimulatedNode:
    """A place where processes run one after the other; the ``Transport`` of all of them.

    Attributes:
        is_cut_off: from the receivers.
        now: the process that runs, None while the node is down.
    """

    def __init__(self, world: "ClusterWorld", number: int, seed: int) -> None:
        self.name = f"n{number}"
        self.world = world
        self.random = random.Random(f"node {number} {seed}")
        self.clock = SimulatedClock(asyncio.get_running_loop().time, seed=seed * 10 + number)
        directory = world.directory / self.name
        directory.mkdir()
        self.config = NodeConfig(
            data_dir=directory,
            node=self.name,
            port=7000 + number,
            allow_private_destinations=True,
            slots=world.slots,
            shutdown_grace_ms=5_000,
        )
        self.faults = NodeFaults(self.clock, f"{number} {seed}", self._crashed)
        self.faults.paused = self._paused
        self.receivers = Receivers(world.history, self.faults, seed)
        self.receivers._random = random.Random(f"receivers {number} {seed}")
        self.is_cut_off = False
        self.now: Incarnation | None = None
        self.down_since_s = 0.0
        self.lives = 0
        self._ended = asyncio.Event()
        self.needs_state = False
        self.is_over = False

    @property
    def state_file(self) -> Path:
        return self.config.data_dir / "state.db"

    @property
    def _copy(self) -> Path:
        """What is on the disk for sure."""
        return self.state_file.with_suffix(".copy")

    def is_leading(self) -> bool:
        """It serves, and has the proof that it may."""
        return self.now is not None and self.now.assembly.member.is_leading

    # --- lives ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """One process after the other, until the world is over."""
        while not self.is_over:
            await self._live()
            self.down_since_s = asyncio.get_running_loop().time()
            if not self.is_over:
                await asyncio.sleep(self.random.choice((0.0, 0.3, 2.0, 15.0)) * self.random.random())

    async def _live(self) -> None:
        if self.needs_state and not self.world.install(self):
            await asyncio.sleep(1)
            return
        self.needs_state = False
        self.lives += 1
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ClusterLoop)
        process = Process(loop, f"{self.name}.{self.lives}")
        self._ended = asyncio.Event()
        database = open_state(self.state_file, durable=False)
        now = process.context.run(Incarnation, self, process, database)
        self.world.history.note(f"{process.name} starts at {now.assembly.machine.applied}")
        async with asyncio.TaskGroup() as tasks:
            main = tasks.create_task(self._main(now), context=process.context)
            crashed = tasks.create_task(self._ended.wait())
            self.now = now
            await asyncio.wait({main, crashed}, return_when=asyncio.FIRST_COMPLETED)
            self.now = None
            process.die()
            self.world.deaths[process.name] = self.world.history.note(f"{process.name} has ended")
            main.cancel()
            crashed.cancel()
        for answer in now.asked:
            if not answer.done():
                answer.set_exception(DeadlineExceeded("the connection broke"))
        database.close()

    async def _main(self, now: Incarnation) -> None:
        try:
            await now.run()
        except* (Compacted, StateDamaged) as errors:
            if not now.process.is_dead:
                self.world.history.note(f"{now.process.name} needs another node's state: {errors.exceptions[0]!r}")
                self.needs_state = True
        except* NodeFault as errors:
            self.world.history.note(f"{now.process.name} ends: {errors.exceptions[0]!r}")
        except* Exception as errors:  # noqa: BLE001 - whatever it is, the run has failed
            # A crash cancels the tasks in some order, and what one says then of another is heard by nobody.
            if not now.process.is_dead:
                self.world.history.complaints.append(f"{now.process.name} broke down: {errors.exceptions[0]!r}")

    def _crashed(self, process: Process) -> None:
        process.is_dead = True
        self.world.trouble(f"{process.name} crashes")
        self._ended.set()

    def crash(self) -> None:
        """The process is gone at once."""
        if self.now is not None:
            self._crashed(self.now.process)

    def stop(self) -> None:
        """SIGTERM."""
        if self.now is not None:
            self.now.assembly.member.stop()

    def _paused(self, process: Process, seconds: float) -> None:
        self.world.trouble(f"{process.name} is paused for {seconds:.2f} s")
        process.pause()

        def go_on() -> None:
            if process.is_paused:
                self.world.history.note(f"{process.name} goes on")
                process.resume()

        outside(seconds, go_on)

    def pause(self, seconds: float) -> None:
        """SIGSTOP and, later, SIGCONT."""
        if self.now is not None and not self.now.process.is_paused:
            self._paused(self.now.process, seconds)

    def lose_power(self, *, disk_too: bool = False) -> None:
        """Of a node that is down: the state file falls back to what was surely written, or is gone."""
        if self.now is not None:
            return
        self.world.history.note(f"the state of {self.name} is {'gone' if disk_too else 'behind'}")
        for suffix in (".db", ".db-wal", ".db-shm"):
            self.state_file.with_suffix(suffix).unlink(missing_ok=True)
        if disk_too:
            self._copy.unlink(missing_ok=True)
        elif self._copy.exists():
            shutil.copy(self._copy, self.state_file)

    def give_state(self, target: Path) -> bool:
        """Write what is committed here to a new file; False while that is not possible."""
        if self.now is None or self.now.process.is_paused:
            return False
        self.now.database.reader.execute("VACUUM INTO ?", (str(target),))
        return True

    # --- what its parts ask of the machine -----------------------------------------------------------------------

    async def commit(self, commit: Any) -> None:
        """Commits, notes the digest, and checkpoints now and then."""

        def noting() -> None:
            commit()
            machine = commit.__self__
            self.world.note_digest(self.name, machine.applied, machine.digest)
            if self.random.random() < 0.03 and machine.database.checkpoint():
                shutil.copy(self.state_file, self._copy)
                machine.durable = machine.applied

        await self.faults.commit(noting)

    async def send(
        self,
        target: Target,
        address: str,
        method: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        timeout_ms: int,
        fresh_connection: bool,
    ) -> Answer:
        """Carry a request to the receivers."""
        process = PROCESS.get()
        assert process is not None
        await process.alive()
        self.world.check_send(process, int(dict(headers)["hookline-term"]))
        if self.is_cut_off:
            await asyncio.sleep(self.random.choice((0.01, min(timeout_ms / 1_000, 3.0))))
            raise SendFailed("connect", "no route to the receivers")
        return await self.receivers.send(
            target, address, method, headers, body, timeout_ms=timeout_ms, fresh_connection=fresh_connection
        )

    async def close(self) -> None:
        """Nothing to close."""

    # --- what others ask of it -----------------------------------------------------------------------------------

    async def ask(self, scope: dict[str, Any], body: bytes) -> list[dict[str, Any]]:
        """Carry a request to the node, and its answer's messages back. Raises what the SDK or a forwarder would."""
        now = self.now
        if now is None:
            raise ConnectionFailed("connection refused")
        answer: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        now.asked[answer] = None
        serving = self._serve(now, scope, body, answer)
        try:
            now.tasks.create_task(serving, context=now.process.context.copy())
        except RuntimeError:
            serving.close()
            raise ConnectionFailed("connection refused") from None
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await answer
        except TimeoutError:
            raise DeadlineExceeded from None
        finally:
            now.asked.pop(answer, None)

    async def _serve(
        self, now: Incarnation, scope: dict[str, Any], body: bytes, answer: asyncio.Future[list[dict[str, Any]]]
    ) -> None:
        try:
            messages = await self._answer(now, scope, body)
        except HooklineError as error:
            if not answer.done():
                answer.set_exception(error)
            return
        await now.process.alive()
        if not answer.done():
            answer.set_result(messages)

    async def _answer(self, now: Incarnation, scope: dict[str, Any], body: bytes) -> list[dict[str, Any]]:
        """By itself when it leads; else by the leader, as it sees it."""
        is_forwarded = (FORWARDED, b"1") in scope["headers"]
        if not now.assembly.member.is_leading and not is_forwarded:
            url = now.leader_url()
            if url is None:
                raise NotLeader
            try:
                return await self.world.node_at(url).ask(
                    {**scope, "headers": [*scope["headers"], (FORWARDED, b"1")]}, body
                )
            except ConnectionFailed:
                raise NotLeader from None
        messages: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            messages.append(message)

        app: App = now.assembly.app
        await app(scope, receive, send)
        return messages


class InProcessTeller(Teller):
    """The real queue of outcomes; only the connection is replaced."""

    def __init__(self, node: SimulatedNode, now: Incarnation) -> None:
        self._leader_url = now.leader_url
        self._own = now.own_propose
        self._vault = Vault([bytes(KEY_BYTES)])
        self._clock = node.clock
        self._queue = asyncio.Queue()
        self._world = node.world

    async def _send(self, url: str, outcomes: Sequence[AnyCommand]) -> bool:
        body = msgspec.msgpack.encode(outcomes)
        mac = (MAC_HEADER.encode(), self._vault.mac(body).encode())
        scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "headers": [mac, (FORWARDED, b"1")],
        }
        try:
            messages = await self._world.node_at(url).ask(scope, body)
        except HooklineError:
            return False
        return bool(messages[0]["status"] == 200)
