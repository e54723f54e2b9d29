"""The one place where the circle closes: propose, append, apply in order, answer the waiter.

Nothing else calls ``apply``; nothing else writes state. Group commit: while one entry is being made durable, the
next one gathers. There are no timers, so an idle node answers after one commit and a busy one fills its entries.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple, Protocol

from hookline.clock import Clock
from hookline.errors import (
    Compacted,
    DeadlineExceeded,
    EntryDamaged,
    EntryTooLarge,
    Fenced,
    HooklineError,
    LogFault,
    NotLeader,
    PayloadTooLarge,
    ShuttingDown,
)
from hookline.node.history.interface import History, LonelyHistory, require
from hookline.node.identity import Verdict
from hookline.node.replicated_log.interface import ReplicatedLog
from hookline.node.state_machine.api_keys import ApiKeys
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.machine import StateMachine
from hookline.node.state_machine.tables import KeptArrival, KeptDeparture
from hookline.node.state_machine.tenant_table import TenantTable
from hookline.protocol.codec import VERSION, Entry, command_size
from hookline.protocol.commands import AnyCommand, BeginTerm, Result, Results, SetTopology
from hookline.protocol.limits import ENTRY_BYTES_GATHER, ENTRY_BYTES_MAX, ENTRY_COMMANDS_MAX
from hookline.protocol.modes import Mode
from hookline.telemetry.area_log import log_of

PROPOSAL_MS_MAX = 10_000  # how long a proposal is waited for
_PAUSE_S = 0.03  # before a log that did not answer is asked again
_POLL_S = 1.0  # a follower looks at the log at least this often, whatever it is told
_CATCH_UP_COMMANDS = 1_000  # applied by a follower in one go; about 15 ms
_JUDGE_EVERY_MS = 2_000  # so often a follower that has nothing to apply looks whether the log still is the one it knows
_DIGESTS_KEPT = 4_096  # of the newest entries, for other nodes that dispute one
_PROPOSAL_BYTES_MAX = ENTRY_BYTES_MAX - 128  # the rest is the entry's own: checksum, numbers, nonce

_log = log_of("log")


class Commit(Protocol):
    """How the open transaction is made durable: off the loop on a real machine, inline in the simulation."""

    async def __call__(self, commit: Callable[[], None]) -> None:
        """Run ``commit`` and return when it has."""


class _Proposal(NamedTuple):
    """Commands that go into one entry together; ``size``: their bytes at most."""

    commands: Sequence[AnyCommand]
    size: int
    future: asyncio.Future[list[Result]]
    since_ms: float  # infinite: it may wait for ever


class ThreadCommit:
    """Commits in one thread of its own, so that the loop goes on gathering while the disk works.

    A thread of a pool would do it, too, and costs half as much CPU again for each commit.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Callable[[], None], asyncio.Future[None]] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="commit", daemon=True)
        self._thread.start()

    async def __call__(self, commit: Callable[[], None]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._asked.put((commit, done))
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait({done})  # who comes next must not meet an open transaction
            raise

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            commit, done = asked
            try:
                commit()
            except BaseException as error:  # noqa: BLE001 - it is raised where the commit is awaited
                done.get_loop().call_soon_threadsafe(done.set_exception, error)
            else:
                done.get_loop().call_soon_threadsafe(done.set_result, None)

    def close(self) -> None:
        """End the thread."""
        self._asked.put(None)
        self._thread.join()


async def inline_commit(commit: Callable[[], None]) -> None:
    """Commits on the loop."""
    commit()


class Replica:
    """Follows the log, or leads: proposes batches of commands to it. Either way it applies what the log holds.

    Args:
        machine: the state.
        log: where entries go.
        clock: stamps entries.
        commit: how a transaction is made durable.
        history: without it the node is its whole cluster.
        observe_commit: called with (commands, seconds from gathered to committed).

    Attributes:
        history: judges whether the state may go on with the log.
    """

    def __init__(
        self,
        machine: StateMachine,
        log: ReplicatedLog,
        clock: Clock,
        *,
        commit: Commit,
        history: History | None = None,
        observe_commit: Callable[[int, float], None] = lambda _commands, _seconds: None,
    ) -> None:
        self._machine = machine
        self._log = log
        self._clock = clock
        self._commit = commit
        self.history = history or LonelyHistory(machine, clock, cluster="c0", shard=0)
        self._judged_ms = clock.boot_ms()
        self._digests = {machine.applied: machine.digest}
        self._observe = observe_commit
        self._listeners: list[Callable[[Effects], None]] = []
        self._term_listeners: list[Callable[[Effects], None]] = []
        self._waiting: deque[_Proposal] = deque()
        self._appending: list[_Proposal] = []
        self._proposed = asyncio.Event()
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()  # from the first effect of an entry to the end of its transaction
        self._closed: HooklineError | None = NotLeader()
        self.term = machine.term

    @property
    def applied(self) -> int:
        """Index of the newest entry in the state."""
        return self._machine.applied

    @property
    def durable(self) -> int:
        """Index up to which the entries' effects survive a power cut of this node."""
        return self._machine.durable

    @property
    def counters(self) -> dict[str, int]:
        """Jobs by state and bytes of pending payload, as of the newest applied entry."""
        return self._machine.tables.counters

    @property
    def topology(self) -> SetTopology | None:
        """The newest topology in the state, as the command that brought it."""
        return self._machine.tables.topology

    @property
    def settings_epoch(self) -> int:
        """For the topology of which epoch the fleet's settings of destinations were brought here; 0: for none."""
        return self._machine.tables.settings_epoch

    @property
    def mode(self) -> Mode:
        """The cluster's mode in the state: which runners make attempts."""
        return self._machine.tables.mode

    @property
    def api_keys(self) -> ApiKeys:
        """The API keys, as of the newest applied entry."""
        return self._machine.tables.api_keys

    @property
    def tenants(self) -> TenantTable:
        """The settings of tenants, as of the newest applied entry."""
        return self._machine.tables.tenants

    @property
    def departures(self) -> Mapping[int, KeptDeparture]:
        """Of each shard that anything moved to: the newest batch that was given up."""
        return self._machine.tables.departures

    @property
    def arrivals(self) -> Mapping[str, KeptArrival]:
        """Of each history of a cluster that anything came from: the newest batch."""
        return self._machine.tables.arrivals

    @property
    def moved_epoch(self) -> int:
        """Of the newest topology by which all has moved that had to; 0: of none."""
        return self._machine.tables.moved_epoch

    @property
    def has_left(self) -> bool:
        """This cluster was taken out of the topology, and begins nothing."""
        return self._machine.tables.has_left

    @property
    def longest_frozen_ms(self) -> int:
        """For how long anything that moved counted nowhere, since the topology changed."""
        return self._machine.tables.longest_frozen_ms

    def tenant_of(self, destination: int) -> str:
        """The tenant whose destination has that number."""
        return self._machine.tables.tenant_of(destination)

    @property
    def counters_by_tenant(self) -> Mapping[str, Mapping[str, int]]:
        """As ``counters``, of each tenant that ever had a job."""
        return self._machine.tables.counters_by_tenant

    def counters_of(self, tenant: str) -> Mapping[str, int]:
        """As ``counters``, of one tenant."""
        return self._machine.tables.known_counters(tenant)

    @property
    def newest_ms(self) -> int:
        """The latest time that any entry was stamped with: in the future, it shows a clock that was wrong or is."""
        return self._machine.newest_ms

    @property
    def machine(self) -> StateMachine:
        """The state. Only the replica changes it."""
        return self._machine

    def digest_at(self, index: int) -> bytes | None:
        """The rolling digest of the state at one of the newest entries, if this process was there."""
        return self._digests.get(index)

    def listen(self, listener: Callable[[Effects], None], *, this_term: bool = True) -> None:
        """Have ``listener`` called with the effects of every entry, after its commit and before its waiters.

        ``this_term``: until the replica stops leading; else for good.
        """
        (self._term_listeners if this_term else self._listeners).append(listener)

    def propose(self, commands: Sequence[AnyCommand], *, no_timeout: bool = False) -> asyncio.Future[list[Result]]:
        """Put the commands into the log together, in one entry; the future gives their results once durable.

        ``no_timeout``: the caller can wait as long as it takes; others are told DeadlineExceeded after
        ``PROPOSAL_MS_MAX``.

        Raises:
            NotLeader, ShuttingDown: the replica takes no more; or what stopped it.
            EntryTooLarge: they do not fit into one entry; see ``codec.split``. Others are not affected.
        """
        if self._closed is not None:
            raise self._closed
        size = sum(map(command_size, commands))
        if size > _PROPOSAL_BYTES_MAX:
            raise EntryTooLarge(
                f"{len(commands)} commands have up to {size} bytes; one entry takes {_PROPOSAL_BYTES_MAX}"
            )
        future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Proposal(commands, size, future, math.inf if no_timeout else self._clock.boot_ms()))
        self._wake.set()
        self._proposed.set()
        return future

    async def follow(self) -> None:
        """Apply what others append, until cancelled.

        Raises:
            Compacted: the entries that come next are gone; the state has to be installed from a peer.
            StateDiffers: this node's state is the odd one out; likewise.
            Halted: the log is not the one that this state followed; a person has to decide.
        """
        while True:
            try:
                if not await self._catch_up() and self._clock.boot_ms() - self._judged_ms > _JUDGE_EVERY_MS:
                    self._judged_ms = self._clock.boot_ms()
                    require(await self.history.judge())
            except (Compacted, EntryDamaged):
                raise
            except LogFault as error:  # the log does not answer; it will
                _tell(error)
            await self._log.wait_for_change(_POLL_S)

    async def begin_term(self, term: int, owner: str, dead: Sequence[str] = ()) -> None:
        """Take the log over for ``term``, and resolve the claims that dead owners left open. Before ``lead``.

        Args:
            term: larger than any before.
            owner: this process, as claims name it.
            dead: other processes that are proven to be dead.

        Raises:
            Halted, StateDiffers, Compacted: this state must not lead; as ``follow``.
        """
        await self._log.take_over(term)
        await self._catch_up()
        verdict = await self._judged(term)
        require(verdict)
        self.term = term
        first: list[AnyCommand] = []
        if verdict.kind == "begin":
            self._log.begin_after(self._machine.applied)
            first.append(self.history.beginning())
        await self._append([*first, BeginTerm(owner, tuple(dead))])
        self._closed = None

    async def _judged(self, term: int) -> Verdict:
        """The verdict, once the log gives it. Raises Fenced when the lead is lost meanwhile."""
        while True:
            try:
                return await self.history.judge_asking()
            except LogFault as error:
                _tell(error)
            await asyncio.sleep(_PAUSE_S)
            await self._log.take_over(term)

    async def _catch_up(self) -> bool:
        """Apply all that is in the log; False when there was nothing new.

        Entries that were read together are committed together, as far as that keeps the loop responsive.
        """
        has_read = False
        while entries := await self._log.read_from(self._machine.applied + 1):
            has_read = True
            entries.reverse()
            while entries:
                applied: list[Effects] = []
                commands = 0
                async with self._writing:
                    while entries and commands < _CATCH_UP_COMMANDS:
                        if entries[-1].before != self._machine.digest:
                            break
                        entry = entries.pop()
                        applied.append(self._apply(entry)[1])
                        commands += len(entry.commands)
                    if applied:
                        await self._commit(self._machine.commit)
                if not applied:
                    applied.append(await self._apply_disputed(entries.pop()))
                for effects in applied:
                    self._announce(effects)
        return has_read

    async def _apply_disputed(self, entry: Entry) -> Effects:
        """An entry that was written for another state, if most nodes have this one. Raises StateDiffers, Halted."""
        is_ours = await self.history.settle(entry)
        async with self._writing:
            _, effects = self._apply(entry, is_overruled=is_ours)  # else it says what differs
            await self._commit(self._machine.commit)
        return effects

    def _apply(self, entry: Entry, *, is_overruled: bool = False) -> tuple[list[Result], Effects]:
        done = self._machine.apply(entry, is_overruled=is_overruled)
        self.term = max(self.term, entry.term)
        self._digests[entry.index] = self._machine.digest
        self._digests.pop(entry.index - _DIGESTS_KEPT, None)
        return done

    async def make_durable(self) -> None:
        """Bring ``durable`` up to ``applied``, between two entries; a reader that goes on may prevent it for now.

        An entry does that itself now and then; this is for when the log has to be truncated and no entry comes.
        """
        async with self._writing:
            if self._machine.durable < self._machine.applied:
                await self._commit(self._machine.make_durable)

    async def lead(self) -> None:
        """Serve proposals until ``close``. Any fault ends the lead and fails all waiters.

        Whether a proposal that was being appended is in the log is then not known, unless another leader fenced it
        off: its waiter gets DeadlineExceeded. Those that had not got so far surely are not: NotLeader.

        Raises:
            Fenced: another node leads; follow again.
        """
        try:
            while True:
                if not self._waiting:
                    if self._closed is not None:
                        return
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._serve_batch()
        except Fenced:  # what was proposed is surely not in the log
            refused = NotLeader("another node leads now; the request was not accepted")
            self._fail(refused, refused)
            raise
        except BaseException:
            self._fail(
                NotLeader("this node leads no more; the request was not accepted"),
                DeadlineExceeded(
                    "this node stopped before it was known whether the request was accepted; repeat it with the same "
                    "id or key"
                ),
            )
            raise
        finally:
            self._term_listeners.clear()

    async def _serve_batch(self) -> None:
        batch = self._appending = self._gather()
        commands = [command for proposal in batch for command in proposal.commands]
        try:
            results = await self._append(commands)
        except EntryTooLarge as error:  # for the log as it is set up; it is not in it
            self._refuse_the_largest(batch, error)
            return
        position = 0
        for proposal in batch:
            end = position + len(proposal.commands)
            if not proposal.future.done():
                proposal.future.set_result(Results(results[position:end], results.time_ms))
            position = end

    def _refuse_the_largest(self, batch: list[_Proposal], error: EntryTooLarge) -> None:
        """The others are proposed again."""
        largest = max(batch, key=lambda proposal: proposal.size)
        self._waiting.extendleft(proposal for proposal in reversed(batch) if proposal is not largest)
        if not largest.future.done():
            largest.future.set_exception(PayloadTooLarge(error.detail))

    def _gather(self) -> list[_Proposal]:
        batch: list[_Proposal] = []
        count = size = 0
        while self._waiting:
            proposal = self._waiting[0]
            size += proposal.size
            count += len(proposal.commands)
            if batch and (size > ENTRY_BYTES_GATHER or count > ENTRY_COMMANDS_MAX):
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _append(self, commands: list[AnyCommand]) -> Results:
        clock, machine = self._clock, self._machine
        started_ms = clock.boot_ms()
        index = machine.applied + 1
        entry = Entry(VERSION, self.term, index, clock.wall_ms(), clock.token(8), machine.digest, tuple(commands))
        await self._log.append(entry)
        async with self._writing:
            results, effects = self._apply(entry)
            await self._commit(machine.commit)
        self._observe(len(commands), (clock.boot_ms() - started_ms) / 1000)
        self._announce(effects)
        return Results(results, entry.time_ms)

    async def answer_late_waiters(self) -> None:
        """Tell those who have waited too long that the fate of their request is open. Until cancelled.

        The log goes on trying; a repeat with the same id or key finds out what came of it.
        """
        while True:
            if not self._waiting and all(proposal.future.done() for proposal in self._appending):
                self._proposed.clear()
                await self._proposed.wait()
            await asyncio.sleep(1)
            late_ms = self._clock.boot_ms() - PROPOSAL_MS_MAX
            for proposal in (*self._appending, *self._waiting):
                if proposal.since_ms < late_ms and not proposal.future.done():
                    proposal.future.set_exception(DeadlineExceeded())

    def _announce(self, effects: Effects) -> None:
        for listener in (*self._listeners, *self._term_listeners):
            listener(effects)

    def close(self, reason: HooklineError | None = None) -> None:
        """Take no more proposals; ``lead`` ends once those already taken are durable."""
        if self._closed is None:
            self._closed = reason or ShuttingDown()
        self._wake.set()

    def _fail(self, refused: HooklineError, appending: HooklineError) -> None:
        self._closed = refused
        waiting, self._waiting = self._waiting, deque()
        for proposals, error in ((self._appending, appending), (waiting, refused)):
            for proposal in proposals:
                if not proposal.future.done():
                    proposal.future.set_exception(error)


def _tell(error: LogFault) -> None:
    if not error.is_outage:
        _log.warning("log_unreadable", error=error.detail)
