"""One node of a simulated cluster: a place where processes run one after the other, and what it is on the network."""

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

from hookline.errors import (
    Compacted,
    ConnectionFailed,
    ForeignState,
    NodeFault,
    StateDamaged,
    leaves,
)
from hookline.node.config import NodeConfig
from hookline.node.database import Database
from hookline.node.history.cluster import own_of
from hookline.node.identity import check_own
from hookline.node.membership.joining import Peers
from hookline.node.state_machine.contents import check_contents
from hookline.node.state_machine.machine import open_state
from hookline.node.storage import snapshots
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.commands import SetTopology
from hookline.protocol.internal_http import ClusterMoves
from tests.simulation.cluster.loop import Process, ProcessLoop
from tests.simulation.cluster.machine import Machine
from tests.simulation.cluster.process import NodeProcess

if TYPE_CHECKING:
    from tests.simulation.cluster.cluster import Cluster


class SimulatedNode(Machine):
    """A place where processes run one after the other.

    Attributes:
        now: the process that runs, None while the node is down.
        needs: the node waits for another one's state; whether its own is to be kept aside.
        ended: why the last process ended by itself.
        loses: with its next end: "memory", what is not on the disk, or "disk", that too.
        is_down: nothing of it runs, so its files may be changed; while ``is_held`` it stays so.
    """

    def __init__(self, cluster: "Cluster", number: int, seed: int) -> None:
        super().__init__(cluster, f"n{number}", number, seed)
        directory = cluster.directory / self.name
        directory.mkdir()
        self.config = NodeConfig(
            data_dir=directory,
            cluster=cluster.name,
            shard=cluster.shard,
            node=self.name,
            port=7000 + 10 * cluster.shard + number,
            allow_private_destinations=True,
            slots=cluster.slots,
            **{"shutdown_grace_ms": 5_000} | cluster.settings,
        )
        self.now: NodeProcess | None = None
        self.down_since_s = 0.0
        self.needs: bool | None = None
        self.ended: BaseException | None = None
        self.is_over = False
        self.is_down = True
        self.is_held = False
        self.loses = ""
        self.copied = 0  # the newest entry in the copy

    @property
    def state_file(self) -> Path:
        return self.config.data_dir / "state.db"

    @property
    def copy_file(self) -> Path:
        """The state as of the last checkpoint. It is on the disk for sure."""
        return self.state_file.with_suffix(".copy")

    def is_leading(self) -> bool:
        """It serves, and has the proof that it may."""
        return self.now is not None and self.now.assembly.member.is_leading

    @property
    def topology(self) -> SetTopology | None:
        """The topology in its state; None: there is none, or the node is down."""
        return self.now.assembly.machine.tables.topology if self.now is not None else None

    def moves(self) -> ClusterMoves | None:
        """How far it is with what has to move; None: it does not lead, or is down."""
        return self.now.assembly.services.moves() if self.now is not None else None

    # --- lives ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """One process after the other, until its world is over."""
        while not self.is_over:
            self.is_down = False
            await self._live()
            self._lose()
            self.down_since_s = asyncio.get_running_loop().time()
            self.is_down = True
            if not self.is_over:
                await asyncio.sleep(self.random.choice(self.cluster.rests_s) * self.random.random())
            while self.is_held:  # noqa: ASYNC110 - its world says so, now and then
                await asyncio.sleep(0.05)
            self.cluster.starts(self)

    async def _live(self) -> None:
        if self.needs is not None and not self.cluster.install(self, keeps=self.needs):
            await asyncio.sleep(1)
            return
        self.needs = None
        self.lives += 1
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop)
        process = Process(loop, f"{self.name}.{self.lives}")
        database = self._open(process.name)
        if database is None:
            return
        now = process.context.run(NodeProcess, self, process, database)
        if (wrong := check_own(own_of(self.config, now.assembly.machine))) is not None:
            self.ended = ForeignState(wrong)
            self.cluster.history.note(f"{process.name} ends: {wrong}")
            database.close()
            return
        self.now = now
        self.cluster.opened(self, now)
        self.cluster.history.note(f"{process.name} starts at {now.assembly.machine.applied}")
        async with asyncio.TaskGroup() as tasks:
            main = tasks.create_task(self._main(now), context=process.context)
            crashed = tasks.create_task(process.killed.wait())
            await asyncio.wait({main, crashed}, return_when=asyncio.FIRST_COMPLETED)
            self.cluster.ends(self, now, is_crash=process.killed.is_set())
            self.now = None
            for child in now.children:  # the kernel sees to that
                child.kill()
            crashed.cancel()
            await self.bury(process, main)
        database.close()

    def _open(self, process: str) -> Database | None:
        """The state, sound and whole; None when another node's is needed."""
        snapshots.finish_install(self.config.data_dir)
        database = None
        try:
            database = open_state(self.state_file, durable=False)
            database.quick_check()
            check_contents(database.reader)
        except StateDamaged as error:
            self.cluster.history.note(f"{process} needs another node's state: {error!r}")
            self.needs = True
            if database is not None:
                database.close()
            return None
        return database

    async def _main(self, now: NodeProcess) -> None:
        self.ended = None
        try:
            await now.run()
        except* (Compacted, StateDamaged) as errors:
            if not now.process.is_dead:
                found = list(leaves(errors))
                self.cluster.history.note(f"{now.process.name} needs another node's state: {found[0]!r}")
                self.needs = not all(isinstance(error, Compacted) for error in found)
                self.cluster.gives_up(self, now, found[0])
        except* NodeFault as errors:
            self.cluster.history.note(f"{now.process.name} ends: {errors.exceptions[0]!r}")
            self.ended = next(leaves(errors))
            if not now.process.is_dead:
                self.cluster.halts(self, self.ended)
        except* Exception as errors:  # noqa: BLE001 - whatever it is, the run has failed
            # A crash cancels the tasks in some order, and what one says then of another is heard by nobody.
            if not now.process.is_dead:
                self.cluster.history.complaints.append(f"{now.process.name} broke down: {errors.exceptions[0]!r}")

    def crash(self, loses: str = "") -> None:
        """The process is gone at once, and with it what is not on the disk ("memory"), or the disk as well."""
        if self.now is not None:
            self.loses = loses
            self._crashed(self.now.process)

    def stop(self) -> None:
        """SIGTERM."""
        if self.now is not None and not self.now.is_allowed:
            self.now.process.killed.set()  # it waits for a person, and nothing of it has begun
        elif self.now is not None:
            self.now.assembly.member.stop()

    def pause(self, seconds: float) -> None:
        """SIGSTOP and, later, SIGCONT."""
        if self.now is not None:
            self.hold_up(self.now.process, seconds)

    def _lose(self) -> None:
        """The state file falls back to what was surely written, or is gone, if that is the node's fate."""
        lost, self.loses = self.loses, ""
        if not lost or (lost == "disk" and not self.cluster.is_safe_without(self)):
            return
        self.remove_state()
        if lost == "disk":
            self.copy_file.unlink(missing_ok=True)
            self.copied = 0
        elif self.copy_file.exists():
            shutil.copy(self.copy_file, self.state_file)
        self.cluster.history.note(f"{self.name} has lost its {lost}, it has {self.copied} entries")

    def remove_state(self) -> None:
        """The node has none any more."""
        for suffix in (".db", ".db-wal", ".db-shm"):
            self.state_file.with_suffix(suffix).unlink(missing_ok=True)

    def take_state(self, other: "SimulatedNode", peers: Peers, *, keeps: bool) -> bool:
        """Install what is committed on another node; False while that is not possible, or would not help."""
        if other.now is None or other.now.process.is_paused or other.now.halted() is not None:
            return False
        fresh = self.config.data_dir / "incoming.db"
        fresh.unlink(missing_ok=True)
        connection = apsw.Connection(str(other.state_file))
        connection.execute("VACUUM INTO ?", (str(fresh),))
        connection.close()
        info = snapshots.describe(fresh, 0)
        if info.index < peers.at_least or not peers.wants(info):
            return False
        try:
            snapshots.verify(fresh, info)
        except StateDamaged as error:
            self.cluster.history.note(f"{self.name} does not take the state of {other.name}: {error}")
            return False
        self.cluster.installs(self, other, fresh)
        self.cluster.installed(self, snapshots.install(self.config.data_dir, fresh, keeps=keeps))
        shutil.copy(self.state_file, self.copy_file)
        self.copied = info.index
        return True

    # --- what its parts ask of the machine -----------------------------------------------------------------------

    async def commit(self, commit: Any) -> None:
        """Commits, notes the digest, and keeps what a checkpoint has brought to the disk."""

        def noting() -> None:
            machine = commit.__self__
            durable = machine.durable
            commit()
            self.cluster.note_digest(self.name, machine.applied, machine.digest)
            if machine.durable != durable:
                shutil.copy(self.state_file, self.copy_file)
                self.copied = machine.applied

        await self.faults.commit(noting)

    # --- what others ask of it -----------------------------------------------------------------------------------

    async def ask(self, call: NodeCall) -> NodeAnswer:
        """Carry a request to the node, and its answer back. Raises as ``Listener.ask``."""
        now = self.now
        if now is None or now.is_closed:
            raise ConnectionFailed("connection refused")
        return await now.listener.ask(call)
