"""The runner's side of the exchange with a leader in another process: ``POST /internal/exchange``, frames and answers.

The leader holds a frame until it has news. One frame is under way at a time, and a second one when the first is held
and there is something to report: that ends the first. While a frame with reports is under way the next reports gather.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from hookline.clock import Clock
from hookline.http_api.forwarded_headers import FORWARDED
from hookline.node.dispatch.exchange import Inbox
from hookline.peers.sender import NodeCall, NotSent, Sender, Unclear
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Frame, Orders, first_of
from hookline.protocol.limits import ENTRY_BYTES_GATHER
from hookline.protocol.modes import RunnerKind
from hookline.telemetry.area_log import log_of

PATH: Final = "/internal/exchange"
_PAUSE_S: Final = 0.05  # before a leader that did not answer is asked again
_LOOK_S: Final = 0.2  # so often it is looked whether another node leads, and claims were cancelled
_TIMEOUT_S: Final = 3.0  # a frame is held for a second at most

_log = log_of("dispatch")
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Orders)


Heard = Callable[[Orders, float, bool], None]
"""Told an answer, when its frame was sent (boot clock), and whether the runner has no claims."""


@dataclass(frozen=True, slots=True)
class RunnerIdentity:
    """A runner, as it introduces itself.

    Attributes:
        name: recorded with its attempts.
        owner: its process, as claims name it.
    """

    name: str
    owner: str
    kind: RunnerKind


@dataclass(slots=True)
class _UnderWay:
    """A frame that is not answered yet; ``is_held``: it had no reports, so the leader may keep it."""

    task: asyncio.Task[None]
    url: str
    is_held: bool


class HttpExchange:
    """One runner's way to whoever leads. Runs ``run`` beside it.

    Args:
        runner: who asks.
        leader_url: who leads now; None while nobody or this node does.
        sender: carries the frames.
        clock: the runner's; what is left of a claim is counted by it.
        wants_claims: asks for attempts to make; else only those that it has are told of.
        heard: is told of each answer.
        places: the version of the places that the runner knows.
        failed: called when a leader did not answer.
    """

    def __init__(
        self,
        runner: RunnerIdentity,
        leader_url: Callable[[], str | None],
        sender: Sender,
        clock: Clock,
        *,
        wants_claims: Callable[[], bool] = lambda: False,
        heard: Heard = lambda _orders, _sent_boot, _is_idle: None,
        places: Callable[[], str] = str,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._runner = runner
        self._leader_url = leader_url
        self._sender = sender
        self._clock = clock
        self._wants_claims = wants_claims
        self._heard = heard
        self._places = places
        self._failed = failed
        self._inbox = Inbox()
        self._held: dict[ClaimRef, None] = {}
        self._untold: dict[ClaimRef, ClaimReport] = {}
        self._offered = 0
        self._number = 0
        self._under_way: dict[int, _UnderWay] = {}
        self._term, self._valid_until_ms = 0, 0.0
        self._is_open = False
        self._is_leaving = self._has_said_so = self._has_left = False
        self._pause_s = 0.0
        self._wake = asyncio.Event()
        self._told = asyncio.Event()

    # --- the runner's side -------------------------------------------------------------------------------------------

    def open(self, inbox: Inbox, held: Sequence[ClaimRef]) -> None:
        self._inbox = inbox
        self._held = dict.fromkeys((*held, *inbox.waiting))
        self._is_open = True
        self._wake.set()

    def offer(self, slots: int) -> None:
        """The next frame says so."""
        self._offered = slots
        self._wake.set()

    def close(self) -> list[ClaimReport]:
        """Frames that may still be answered are given up: they bring no claims any more."""
        for frame in self._under_way.values():
            frame.task.cancel()
        self._under_way.clear()
        self._is_open, self._valid_until_ms = False, 0.0
        untold, self._untold, self._held = self._untold, {}, {}
        return list(untold.values())

    def valid_until_ms(self, term: int) -> float:
        return self._valid_until_ms if term == self._term else 0.0

    def report(self, report: ClaimReport) -> None:
        self._held.pop(report.ref, None)
        self._untold[report.ref] = report
        self._wake.set()

    def leave(self) -> None:
        self._is_leaving = True
        self._wake.set()

    async def drained(self) -> None:
        while self._untold or not self._has_said_all:
            self._told.clear()
            await self._told.wait()

    @property
    def _has_said_all(self) -> bool:
        """It need not say, or has said, that it ends."""
        return not self._is_leaving or self._has_left or not self._term or self._leader_url() is None

    # --- frames ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._rest()
                self._give_up_old_leader()
                self._told.set()  # who waits for it may also wait for a leader that is gone
                url = self._leader_url()
                if self._is_open and url is not None and self._has_something_to_say():
                    self._say(tasks, url)

    async def _rest(self) -> None:
        """Until there may be something to do; while nobody is asked, that depends on others, who set no event here."""
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
            self._pause_s = 0.0
            return
        self._wake.clear()
        if self._is_open and self._has_something_to_say():
            if self._leader_url() is not None:
                return
            await asyncio.sleep(_PAUSE_S)
            return
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _has_something_to_say(self) -> bool:
        if not self._under_way:
            return bool(self._untold or self._held) or self._slots > 0 or not self._has_said_all
        if len(self._under_way) > 1 or not (self._untold or (self._is_leaving and not self._has_said_so)):
            return False
        (frame,) = self._under_way.values()
        return frame.is_held

    @property
    def _slots(self) -> int:
        return self._offered if self._wants_claims() and not self._is_leaving else 0

    def _give_up_old_leader(self) -> None:
        """Its answers would come too late, or never."""
        url = self._leader_url()
        old = [number for number, frame in self._under_way.items() if url is not None and frame.url != url]
        for number in old:
            self._under_way.pop(number).task.cancel()

    def _say(self, tasks: asyncio.TaskGroup, url: str) -> None:
        self._number += 1
        reports = first_of(self._untold.values(), ENTRY_BYTES_GATHER)
        told = {report.ref for report in reports}
        held = (*self._held, *(ref for ref in self._untold if ref not in told))
        runner = self._runner
        frame = Frame(
            runner.name,
            reports,
            held,
            runner.owner,
            runner.kind,
            self._slots,
            self._number,
            tuple(self._under_way),
            self._term,
            self._places(),
            is_last=self._is_leaving and not held and not self._under_way,
        )
        self._has_said_so = self._is_leaving
        task = tasks.create_task(self._swap(url, frame))
        self._under_way[self._number] = _UnderWay(task, url, is_held=not reports)

    async def _swap(self, url: str, frame: Frame) -> None:
        sent_boot = self._clock.boot_ms()
        orders = await self._ask(url, frame)
        self._under_way.pop(frame.number, None)
        self._has_left |= frame.is_last  # it is said once, whatever comes of it
        if orders is None:
            self._pause_s = _PAUSE_S
            self._failed()
        else:
            self._take(orders, sent_boot)
            for report in frame.reports:
                self._untold.pop(report.ref, None)
            is_news = frame.reports or orders.claims or orders.cancelled or frame.number < self._number
            if not is_news and self._clock.boot_ms() - sent_boot < _PAUSE_S * 1_000:
                self._pause_s = _PAUSE_S  # it was not held: that is not to become a loop
        self._told.set()
        self._wake.set()

    def _take(self, orders: Orders, sent_boot: float) -> None:
        if orders.term < self._term:  # another node leads since
            return
        if orders.term > self._term:
            self._term, self._valid_until_ms = orders.term, 0.0
        self._valid_until_ms = max(self._valid_until_ms, sent_boot + orders.valid_for_ms)
        self._heard(orders, sent_boot, not self._held and not self._untold)
        sent_ms = int(self._clock.wall_ms() - (self._clock.boot_ms() - sent_boot))
        new = [_dated(claim, sent_ms) for claim in orders.claims if not self._knows(claim.ref)]
        self._held |= dict.fromkeys(claim.ref for claim in new)
        self._inbox.put(new, [ref for ref in orders.cancelled if ref in self._held])

    def _knows(self, ref: ClaimRef) -> bool:
        return ref in self._held or ref in self._untold

    async def _ask(self, url: str, frame: Frame) -> Orders | None:
        body = _encode(frame)
        headers = ((FORWARDED, b"1"),)  # it leads, or says so at once
        try:
            answer = await self._sender.send(url, NodeCall("POST", PATH, headers, body), _TIMEOUT_S)
            return _decoder.decode(answer.body) if answer.status == 200 else None
        except (NotSent, Unclear) as error:
            _log.info("exchange_failed", url=url, error=error.detail, reports=len(frame.reports))
        except msgspec.MsgspecError as error:
            _log.warning("orders_unreadable", url=url, error=str(error))
        return None


def _dated(claim: Claim, sent_ms: int) -> Claim:
    """The claim with its end as a time of the runner's clock; that is before its end by the leader's."""
    return msgspec.structs.replace(claim, ends_ms=sent_ms + claim.ends_ms)
