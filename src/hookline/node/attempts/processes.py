"""The node's half of its attempt processes: hands claims on, takes reports, and keeps the processes running.

To an exchange this is one runner, whatever it is made of. A process that dies costs its open claims, which are
reported as lost; one that hangs is killed when a claim should long have ended.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from hookline.clock import Clock
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.process_messages import Assignment, decode_reports, encode
from hookline.node.attempts.transport import NOT_LEADING
from hookline.node.dispatch.exchange import Exchange, Inbox
from hookline.processes.child import ChildProcess
from hookline.processes.restarts import Restarts
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Report, lost, not_sent
from hookline.telemetry.area_log import log_levels, log_of
from hookline.telemetry.log_events import LogArea, LogLevel
from hookline.telemetry.tracing.spans import tracer

RENEWAL_S: Final = 0.1  # so often a process hears that its leader still leads
_HANGS_MS: Final = 5_000  # after the end of a claim
_LAST_WORDS_S: Final = 5.0  # for the reports of attempts that were broken off
_LAST_SPANS_S: Final = 1.0  # a process may send what it recorded

_log = log_of("attempts")

_UNTOLD: Final = (0, 0.0, -1)

StartProcess = Callable[[int, Callable[[bytes], None]], Awaitable[ChildProcess]]
"""Starts an attempt process with so many slots, and has what it sends given to a function. It has got its setup."""


@dataclass(slots=True, eq=False)
class _Process:
    """One of them, over all its lives.

    Attributes:
        started: it runs.
        child: the same, once it is ready.
        validity: as it was told last: (term, until when its requests may leave, version of the places).
        levels: of the log, likewise.
    """

    number: int
    slots: int
    started: ChildProcess | None = None
    child: ChildProcess | None = None
    held: dict[ClaimRef, Claim] = field(default_factory=dict)
    validity: tuple[int, float, int] = _UNTOLD
    levels: dict[LogArea, LogLevel] | None = None


class AttemptProcesses:
    """Makes a node's attempts in processes of their own (``runner.Attempts``).

    Args:
        start: starts one.
        count: how many, at least 1.
        slots: attempts that they make at once, together.
        clock: the node's.
        exchange: the first one.
        own_addresses: where our own processes listen.
    """

    def __init__(
        self,
        start: StartProcess,
        count: int,
        slots: int,
        clock: Clock,
        exchange: Exchange,
        own_addresses: OwnAddresses,
    ) -> None:
        self._start = start
        self._clock = clock
        self._own_addresses = own_addresses
        self._inbox = Inbox()
        self._exchange = exchange
        self._term = 0
        share, rest = divmod(slots, count)
        self._processes = [_Process(number, share + (number < rest)) for number in range(count)]
        self._waiting: dict[ClaimRef, Claim] = {}  # for a process that is ready
        self._changed = asyncio.Event()
        self._is_over = False
        self._is_leaving = False
        exchange.open(self._inbox, ())
        self._offer()

    @property
    def running(self) -> int:
        return len(self._waiting) + sum(len(process.held) for process in self._processes)

    @property
    def pids(self) -> list[int]:
        """Of the processes that run."""
        return [process.child.pid for process in self._processes if process.child is not None]

    def attach(self, exchange: Exchange) -> None:
        unrecorded = self._exchange.close()
        self._exchange = exchange
        held = [*self._waiting, *(ref for process in self._processes for ref in process.held)]
        exchange.open(self._inbox, held)
        self._offer()
        for report in unrecorded:
            exchange.report(report)
        if self._is_leaving:
            exchange.leave()
        self._hand_on()
        self._renew()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for process in self._processes:
                tasks.create_task(self._keep(process))
            tasks.create_task(self._watch())
            while True:
                await self._inbox.filled.wait()
                claims, cancelled = self._inbox.take()
                for claim in claims:
                    self._waiting[claim.ref] = claim
                    self._term = claim.term
                self._hand_on()
                self._cancel(cancelled)
                self._changed.set()

    def _offer(self) -> None:
        """Ask for as many claims as the processes that are ready can attempt."""
        self._exchange.offer(sum(process.slots for process in self._processes if process.child is not None))

    # --- orders ------------------------------------------------------------------------------------------------------

    def _hand_on(self) -> None:
        """Give what waits to the processes that have most room, or back if it may not be sent any more."""
        if not self._waiting:
            return
        if self._is_over or self._clock.boot_ms() >= self._exchange.valid_until_ms(self._term):
            why = "the node was stopped before the request left" if self._is_over else NOT_LEADING
            for claim in list(self._waiting.values()):
                del self._waiting[claim.ref]
                self._report(claim, not_sent(why, self._clock.wall_ms()))
            return
        ready = [process for process in self._processes if process.child is not None]
        if not ready:
            return
        of: dict[_Process, list[Claim]] = {}
        for claim in self._waiting.values():
            process = ready[0] if len(ready) == 1 else min(ready, key=_load)
            process.held[claim.ref] = claim
            of.setdefault(process, []).append(claim)
        self._waiting.clear()
        for process, claims in of.items():
            self._send(process, claims=tuple(claims))

    def _cancel(self, cancelled: list[ClaimRef]) -> None:
        for process in self._processes if cancelled else ():
            if its := tuple(ref for ref in cancelled if ref in process.held):
                self._send(process, cancelled=its)
        for ref in cancelled:
            if (claim := self._waiting.pop(ref, None)) is not None:
                self._report(claim, not_sent("cancelled before the request left", self._clock.wall_ms()))

    def _send(
        self,
        process: _Process,
        *,
        claims: tuple[Claim, ...] = (),
        cancelled: tuple[ClaimRef, ...] = (),
        is_over: bool = False,
    ) -> None:
        if process.child is None:
            return
        validity, own = self._validity(), self._own_addresses
        places = None if validity[2] == process.validity[2] else tuple(own.places)
        process.validity = validity
        levels = log_levels()
        changed, process.levels = None if levels == process.levels else levels, levels
        wall_ms = self._clock.wall_ms() - self._clock.boot_ms()
        assignment = Assignment(*validity[:2], wall_ms, claims, cancelled, places, is_over, changed)
        process.child.link.send(encode(assignment))

    def _validity(self) -> tuple[int, float, int]:
        return self._term, self._exchange.valid_until_ms(self._term), self._own_addresses.version

    def _renew(self) -> None:
        """Tell the processes until when requests may leave, where that has changed and matters."""
        validity = self._validity()
        for process in self._processes:
            if process.held and process.validity != validity:
                self._send(process)

    # --- reports -----------------------------------------------------------------------------------------------------

    def _received(self, process: _Process, message: bytes) -> None:
        if process.child is None and process.started is not None:  # its first message says that it is ready
            process.child = process.started
            self._offer()
            self._hand_on()
        for report in decode_reports(message):
            if process.held.pop(report.ref, None) is not None:
                self._exchange.report(report)
        self._changed.set()

    def _report(self, claim: Claim, report: Report) -> None:
        self._exchange.report(ClaimReport(claim.ref, claim.term, report))

    # --- the processes -----------------------------------------------------------------------------------------------

    async def _keep(self, process: _Process) -> None:
        """Start the process, and again whenever it ends."""
        loop, restarts = asyncio.get_running_loop(), Restarts()
        while True:
            began_s = loop.time()
            try:
                process.started = await self._start(process.slots, lambda message: self._received(process, message))
            except OSError as error:
                _log.error("attempt_process_not_started", error=str(error))
            else:
                await self._live(process, process.started)
            await asyncio.sleep(restarts.pause_s(loop.time() - began_s))

    async def _live(self, process: _Process, child: ChildProcess) -> None:
        try:
            code = await child.ended()
            await child.link.ended.wait()  # the reports that it sent are here now
        finally:
            process.started = process.child = None
            self._offer()
            await (child.end() if tracer() is None else child.let_go(_LAST_SPANS_S))
        held, process.held = process.held, {}
        process.validity, process.levels = _UNTOLD, None
        _log.error("attempt_process_lost", number=process.number, code=code, claims=len(held))
        for claim in held.values():
            self._report(claim, lost(self._clock.wall_ms(), "the attempt process was lost"))
        self._changed.set()

    async def _watch(self) -> None:
        """Renew the validity, and kill a process that does not report: it hangs, or somebody has stopped it."""
        while True:
            await asyncio.sleep(RENEWAL_S)
            self._renew()
            before_ms = self._clock.wall_ms() - _HANGS_MS
            for process in self._processes:
                child = process.child
                if child is not None and any(claim.ends_ms < before_ms for claim in process.held.values()):
                    _log.error("attempt_process_hangs", number=process.number, claims=len(process.held))
                    process.child = None
                    self._offer()
                    child.kill()

    # --- the end -----------------------------------------------------------------------------------------------------

    async def end(self, grace_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._idle()
        self.break_off()
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._idle()
        except TimeoutError:
            for process in self._processes:
                if process.child is not None:
                    process.child.kill()
            await self._idle()

    async def _idle(self) -> None:
        while self.running or self._inbox.filled.is_set():
            self._changed.clear()
            await self._changed.wait()

    def break_off(self) -> None:
        self._is_over = True
        if self.running:
            _log.warning("attempts_broken_off", running=self.running)
        self._hand_on()
        for process in self._processes:
            self._send(process, is_over=True)

    def leave(self) -> None:
        self._is_leaving = True
        self._exchange.leave()

    async def drained(self) -> None:
        await self._exchange.drained()


def _load(process: _Process) -> float:
    return len(process.held) / process.slots
