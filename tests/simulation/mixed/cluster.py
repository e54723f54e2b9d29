"""A cluster whose directories, etcd or rows get mixed up, under load, and an operator who puts that right."""

import asyncio
import random
import shutil
from pathlib import Path

import apsw

from hookline.errors import Halted, StateDamaged, StateDiffers
from hookline.node.identity import Charter
from hookline.node.state_machine.contents import check_contents
from hookline.node.storage import snapshots
from hookline.protocol.codec import Entry
from tests.simulation.cluster.etcd_cluster import EtcdCluster
from tests.simulation.cluster.loop import Process
from tests.simulation.cluster.node import SimulatedNode
from tests.simulation.cluster.process import NodeProcess
from tests.simulation.history import History
from tests.simulation.mixed.aside import Loss, doubt_what_the_odd_one_answered, drop_requests_in_vain, set_aside
from tests.simulation.mixed.etcd import Backup, MixedEtcd
from tests.simulation.mixed.lineages import State
from tests.simulation.mixed.mixups import MIXUPS
from tests.simulation.mixed.person import Person
from tests.simulation.promises.facts import Facts
from tests.simulation.replay import Replay

_WELL_S = 150  # by when all is well again
_NOTICE_S = 4.0  # so soon a node knows what the others have
_TOLD_S = 2.0  # so soon it is in etcd what a node tells about itself
_LEAD_S = 1.25  # so long the proof that a node leads is good
_NOT_OF_THE_ODD = (
    "a runner has a claim for each slot and few ahead",
    "nobody sends what another has claimed",
    "what was acknowledged can be read",
    "a list misses nothing without a word",
)


class MixedCluster(EtcdCluster):
    """As ``EtcdCluster``.

    Attributes:
        foreign: the nodes that have another cluster's directory, and where their own is.
        stale: the nodes that somebody gave an old directory.
        odd: the nodes whose state was changed by something else than the log.
        has_lost_rows: one of them while it ran.
        losses: of etcd.
        was_unfounded: etcd held no charter for a while.
    """

    etcd_type = MixedEtcd
    etcd: MixedEtcd

    def __init__(self, history: History, seed: int, directory: Path) -> None:
        super().__init__(history, seed, directory, kind="mixed up")
        self.foreign: dict[str, Path] = {}
        self.stale: set[str] = set()
        self.odd: set[str] = set()
        self.has_lost_rows = False
        self.losses: list[Loss] = []
        self.was_unfounded = False
        self.person = Person(self)
        self._replaced: dict[str, tuple[State, bool]] = {}
        self._to_give_back: set[str] = set()
        self._up_since_s: dict[str, float] = {}
        self._known: dict[tuple[int, bytes], tuple[bytes, str]] = {}
        chance = random.Random(f"network {seed}")
        if chance.random() < 0.3:  # else all is well but what is mixed up
            self.etcd.lossy, self.etcd.slow = chance.choice((0.03, 0.15)), chance.choice((0.0, 0.05, 0.2))
        self.etcd.began_again = self._decided
        self.etcd.noted = self._entry_noted
        self.etcd.founded = self._founded

    @property
    def is_lost(self) -> bool:
        """Etcd was emptied or set back, and nobody has decided yet."""
        return bool(self.losses) and not self.losses[-1].decided

    def wrong(self, text: str) -> None:
        """A promise is broken."""
        self.violations.append(f"{text} (at {self.history.note('wrong: ' + text)})")

    # --- the run -------------------------------------------------------------------------------------------------

    async def make_trouble(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            others = [tasks.create_task(self.person.run()), tasks.create_task(self._watch_leaders())]
            for _ in range(self.random.choice((1, 1, 2))):
                await asyncio.sleep(2 + self.random.expovariate(0.2))
                await self._mix_up()
                if not await self._is_well_again():
                    break
            for node in self.nodes:
                if node.name in self.odd and node.now is not None:  # what was never touched shows at a start
                    node.crash()
            await self._is_well_again()
            for task in others:
                task.cancel()

    async def _mix_up(self) -> None:
        mixup = self.random.choice(MIXUPS)
        self.trouble(f"mix-up: {mixup.__name__}")
        await mixup(self)
        await asyncio.sleep(self.random.choice((1.0, 5.0, 15.0)))

    async def _is_well_again(self) -> bool:
        for _ in range(_WELL_S):
            await asyncio.sleep(1)
            if self.foreign or self.leader() is None or not all(map(_is_well, self.nodes)):
                continue
            if self.is_lost and not any(map(self._has_lost, self.nodes)):
                self.losses[-1].decided = self.history.note("what is lost was in no state")
            if not self.is_lost:
                return True
        self.wrong(f"not well after {_WELL_S} s: {[_how_it_is(node) for node in self.nodes]}")
        return False

    def _has_lost(self, node: SimulatedNode) -> bool:
        """The node has an entry that etcd has lost."""
        lineages, state = self.etcd.lineages, _state_in(node.state_file)
        return not lineages.knows(state) or any(
            entry.nonce in self.losses[-1].missing for _, entry in lineages.back_from(state)
        )

    async def _watch_leaders(self) -> None:
        """Nobody leads on an etcd that has not what he wrote, for longer than he cannot know it."""
        while True:
            await asyncio.sleep(0.2)
            leader, now_s = self.leader(), asyncio.get_running_loop().time()
            if not self.is_lost or leader is None or leader.now is None or now_s - self.losses[-1].at_s < _LEAD_S:
                continue
            index = leader.now.replica.applied
            if not leader.now.process.is_paused and not self.etcd.holds(index):
                self.wrong(f"{leader.name} leads, and etcd has lost its entry {index}")
                return

    # --- what is done to it --------------------------------------------------------------------------------------

    def lose(self, backup: Backup, what: str) -> None:
        """Etcd is what it was at the time of a backup."""
        main = [entry.nonce for _, entry in self.history.entries]
        self.trouble(what)
        self.etcd.put_back(backup)
        self.was_unfounded |= not self.etcd.is_founded
        kept = {entry.nonce for _, entry in self.history.entries}
        if set(main) - kept:
            now_s = asyncio.get_running_loop().time()
            self.losses.append(Loss(self.history.note("entries are lost"), now_s, not kept, main, set(main) - kept))

    async def down(self, node: SimulatedNode, loses: str = "") -> None:
        """Until the node's process is gone; it comes back by itself, some time later."""
        node.is_held = True
        node.crash(loses)
        while node.now is not None or not node.is_down:  # noqa: ASYNC110 - a process ends in many ways
            await asyncio.sleep(0.01)

    def keep_copy(self, node: SimulatedNode, to: Path) -> bool:
        """Copy the directory of a node, as of now."""
        if not node.state_file.exists():
            return False
        to.unlink(missing_ok=True)
        connection = apsw.Connection(str(node.state_file))
        connection.execute("VACUUM INTO ?", (str(to),))
        connection.close()
        return True

    def put_copy(self, node: SimulatedNode, copy: Path) -> None:
        """Put a copy in the place of a node's state, which is down."""
        node.remove_state()
        shutil.copy(copy, node.state_file)
        shutil.copy(copy, node.copy_file)
        self.odd.discard(node.name)

    def give_back(self, node: SimulatedNode) -> None:
        """A node gets its own directory again, before it starts the next time."""
        self._to_give_back.add(node.name)
        node.crash()

    def starts(self, node: SimulatedNode) -> None:
        if node.name in self._to_give_back:
            self._to_give_back.discard(node.name)
            own = self.foreign.pop(node.name)
            self.history.note(f"{node.name} gets its own directory back")
            node.remove_state()
            own.rename(node.state_file)
            node.needs = node.ended = None

    # --- what is seen --------------------------------------------------------------------------------------------

    def opened(self, node: SimulatedNode, now: NodeProcess) -> None:
        machine = now.assembly.machine
        self._up_since_s[node.name] = asyncio.get_running_loop().time()
        if node.name in self.odd:
            self._look_into(node, now)
        apply = machine.apply

        def noting(entry: Entry, *, is_overruled: bool = False) -> object:
            done = apply(entry, is_overruled=is_overruled)
            if node.name in self.foreign:
                self.wrong(f"{now.process.name} applies entry {entry.index} to another cluster's state")
            if node.name not in self.odd:  # where its state has come to is where no log leads
                self.etcd.lineages.applied((machine.applied, machine.digest), machine.last.nonce, machine.last.before)
            return done

        machine.apply = noting  # type: ignore[assignment, method-assign]

    def _look_into(self, node: SimulatedNode, now: NodeProcess) -> None:
        """It may have lost what was wrong with it; else a node must not start on it."""
        if _is_whole(now.database.reader):
            if self._is_on_line(now):
                self.odd.discard(node.name)
        else:
            self.wrong(f"{now.process.name} starts on a state whose rows were changed")

    def _is_on_line(self, now: NodeProcess) -> bool:
        machine = now.assembly.machine
        return self.etcd.lineages.knows((machine.applied, machine.digest))

    def note_digest(self, node: str, index: int, digest: bytes) -> None:
        if node in self.odd:
            return
        now = self.nodes[int(node[1:]) - 1].now
        assert now is not None
        key = (index, now.assembly.machine.last.nonce)
        known = self._known.setdefault(key, (digest, node))
        if known[0] != digest:
            self.wrong(f"after entry {index} the state of {node} is not that of {known[1]}")

    def sends(self, process: Process, term: int) -> None:
        """In an etcd that was emptied or set back somebody else may win an election; he cannot write. The leader of
        before does not know it for as long as the proof is good that he leads.
        """
        now_s = asyncio.get_running_loop().time()
        if not self.losses or now_s - self.losses[-1].at_s > _LEAD_S:
            super().sends(process, term)

    def gives_up(self, node: SimulatedNode, now: NodeProcess, why: BaseException) -> None:
        machine = now.assembly.machine
        state, generation = (machine.applied, machine.digest), machine.identity.generation if machine.identity else 0
        is_right = node.name not in self.odd and self._is_in_log(state) and generation == self.generation
        if is_right and isinstance(why, StateDiffers):
            self.wrong(f"{now.process.name} gives up its state, which is right: {why}")
        if node.name in self.foreign:
            self.wrong(f"{now.process.name} gives up another cluster's state")

    generation = 1

    def halts(self, node: SimulatedNode, why: BaseException) -> None:
        has_reason = self.losses or self.was_unfounded or self.odd or self.foreign or self.stale
        if isinstance(why, Halted) and not has_reason:
            self.wrong(f"{node.name} waits for a person, and nothing was lost: {why}")

    def _is_in_log(self, state: State) -> bool:
        entries = self.history.entries
        if not 0 < state[0] <= len(entries):
            return False
        return entries[state[0] - 1][1].nonce == self.etcd.lineages.newest_in(state)

    def installs(self, node: SimulatedNode, other: SimulatedNode, fresh: Path) -> None:
        if other.name in self.odd or other.name in self.foreign:
            self.wrong(f"{node.name} installs the state of {other.name}, which is not right")
        if other.now is not None and _has_waited(other.now):
            self.wrong(f"{node.name} installs the state of {other.name}, which waits for a person")
        old = _state_in(node.state_file) if node.state_file.exists() else (0, b"")
        is_in_it = self.etcd.lineages.holds(_state_in(fresh), old)
        self._replaced[node.name] = (old, is_in_it)
        if node.name in self.foreign:
            self.wrong(f"{node.name} installs over another cluster's state")
        self.odd.discard(node.name)
        self.stale.discard(node.name)

    def installed(self, node: SimulatedNode, kept: Path | None) -> None:
        old, is_in_new = self._replaced[node.name]
        if not is_in_new and (kept is None or _state_in(kept) != old):
            self.wrong(f"{node.name} has deleted a state at entry {old[0]} that is not in the one in its place")

    def _entry_noted(self, stamp: int, entry: Entry, author: str) -> None:
        if not self.is_lost:
            return
        loss, now_s = self.losses[-1], asyncio.get_running_loop().time()
        if entry.nonce in loss.missing:  # its leader did not know yet that it had been written, and wrote it again
            loss.missing.discard(entry.nonce)
            if not loss.missing:
                loss.decided = stamp
            return
        loss.is_continued = True
        if loss.is_all:
            self.wrong(f"{author} writes entry {entry.index} although etcd was emptied and nobody has decided")
        for node in self.nodes:
            if node.now is None or node.now.process.is_paused or author.startswith(node.name):
                continue
            since_s = max(loss.at_s, self._up_since_s[node.name])
            applied = node.now.replica.applied
            if node.name not in self.foreign and now_s - since_s > _NOTICE_S and applied >= entry.index:
                self.wrong(f"{author} writes entry {entry.index}, and {node.name}, which runs, is at {applied}")

    def _decided(self, charter: Charter) -> None:
        self.generation = charter.generation
        chosen = (charter.begins_after, bytes.fromhex(charter.digest))
        if not self.etcd.lineages.knows(chosen):
            self.wrong("the operator goes on from a state that no log has led to")
        if not self.is_lost:
            self.wrong("the operator decides, and nothing was lost")
            return
        loss = self.losses[-1]
        loss.decided = self.history.note("decided")
        kept = {entry.nonce for _, entry in self.history.entries}
        for node in self.nodes:
            if node.name in self.odd or node.name in self.foreign or not node.state_file.exists():
                continue
            state = _state_in(node.state_file)
            missing = [
                entry.index
                for _, entry in self.etcd.lineages.back_from(state)
                if entry.nonce in loss.main and entry.nonce not in kept
            ]
            if missing:
                self.wrong(f"the operator goes on from entry {chosen[0]}, and {node.name} has {missing} too")

    def _founded(self) -> None:
        for node in self.nodes:
            if node.state_file.exists() and self._has_entries(node):
                self.wrong(f"a new cluster is begun, and {node.name} has the state of the old one")
        if self.is_lost:
            self.losses[-1].decided = self.history.note("what is lost was in no state")

    def _has_entries(self, node: SimulatedNode) -> bool:
        return node.name not in self.foreign and _state_in(node.state_file)[0] > 0

    # --- when it is over -------------------------------------------------------------------------------------------

    def violated(self) -> list[str]:
        set_aside(self.history, self.etcd.lineages, self.losses)
        if self.has_lost_rows:
            doubt_what_the_odd_one_answered(self.history)
        wrong = super().violated()
        if self.has_lost_rows:  # what the odd one claimed in vain, the others have as claimed
            wrong = [text for text in wrong if not text.startswith(_NOT_OF_THE_ODD)]
        wrong += [f"the state of {name} is still another one" for name in sorted(self.odd)]
        sent = [arrival.job for arrival in self.history.arrivals if arrival.job.startswith("foreign")]
        return wrong + [f"{job} was sent" for job in sent]

    def facts(self, found: Replay) -> Facts:
        if self.has_lost_rows:
            drop_requests_in_vain(self.history, found)
        return super().facts(found)


def _is_well(node: SimulatedNode) -> bool:
    return node.now is not None and node.now.halted() is None and not node.now.process.is_paused and not node.is_held


def _how_it_is(node: SimulatedNode) -> str:
    now = node.now
    return f"{node.name} {'is down' if now is None else now.halted() or 'runs'}, needs a state: {node.needs}"


def _has_waited(now: NodeProcess) -> bool:
    """For a person, for so long that the others have been told."""
    return now.has_another_history() and asyncio.get_running_loop().time() - now.halted_at_s > _TOLD_S


def _is_whole(connection: apsw.Connection) -> bool:
    """The rows are the ones that were written."""
    try:
        check_contents(connection)
    except StateDamaged:
        return False
    return True


def _state_in(path: Path) -> State:
    found = snapshots.read_position(path)
    return found.index, bytes.fromhex(found.digest)
