"""The only way between a leader and the processes that make attempts: reports in, claims and cancellations out.

A runner has one exchange at a time. While its own node leads that is a ``LocalExchange``, and ``HttpExchange`` while
another node does. When one takes the other's place, it is given the reports that the first did not get rid of: a
report that comes twice changes nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec
import structlog

from hookline.http_api.forwarded_headers import FORWARDED, MAC
from hookline.node.vault import Vault
from hookline.peers.sender import NodeCall, NotSent, Sender, Unclear
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Frame, Orders, frames
from hookline.protocol.limits import ENTRY_BYTES_GATHER

PATH = "/internal/exchange"
_PAUSE_S = 0.05  # before a leader that did not answer is asked again
_LOOK_S = 0.5  # so often it is looked whether a claim was cancelled
_TIMEOUT_S = 2.0

_log = structlog.get_logger()
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Orders)


class Inbox:
    """The orders for a runner. Its exchange fills it, the runner empties it.

    Attributes:
        filled: set when something is in it.
    """

    def __init__(self) -> None:
        self.filled = asyncio.Event()
        self._claims: list[Claim] = []
        self._cancelled: list[ClaimRef] = []

    def put(self, claims: Iterable[Claim] = (), cancelled: Iterable[ClaimRef] = ()) -> None:
        """Attempts to make, and attempts to break off."""
        self._claims += claims
        self._cancelled += cancelled
        self.filled.set()

    def take(self) -> tuple[list[Claim], list[ClaimRef]]:
        """All of it, and nothing is left."""
        self.filled.clear()
        taken = self._claims, self._cancelled
        self._claims, self._cancelled = [], []
        return taken


class Exchange(Protocol):
    """A runner's side."""

    def open(self, inbox: Inbox, held: Sequence[ClaimRef]) -> None:
        """Put orders there from now on; ``held``: the claims that the runner works on already."""

    def close(self) -> list[ClaimReport]:
        """Give no more orders; the reports that are not known to be recorded."""

    def valid_until_ms(self, term: int) -> float:
        """Until when, by the boot clock, requests of claims of this term may leave; 0: none may.

        Compared as the last step before each one. It moves on while the leader leads.
        """

    def report(self, report: ClaimReport) -> None:
        """An attempt is over. Returns at once; the report is kept until it is recorded."""

    async def drained(self) -> None:
        """Return when every report is recorded."""


class NoExchange:
    """There is no leader, and none to come: reports are kept, and nobody waits for them."""

    def __init__(self) -> None:
        self._reports: list[ClaimReport] = []

    def open(self, inbox: Inbox, held: Sequence[ClaimRef]) -> None:
        """It gives no orders."""

    def close(self) -> list[ClaimReport]:
        reports, self._reports = self._reports, []
        return reports

    def valid_until_ms(self, term: int) -> float:
        return 0.0

    def report(self, report: ClaimReport) -> None:
        self._reports.append(report)

    async def drained(self) -> None:
        """At once."""


class LocalExchange:
    """Between a leader and the runner in its own process: function calls, nothing is encoded.

    Args:
        term: of the leader.
        valid_until_ms: the leader's proof that it still leads ends then, by the boot clock.

    Attributes:
        wake: set when the leader has something to look at.
    """

    def __init__(self, term: int, valid_until_ms: Callable[[], float]) -> None:
        self.wake = asyncio.Event()
        self._term = term
        self._valid_until_ms = valid_until_ms
        self._inbox = Inbox()
        self._held: dict[ClaimRef, None] = {}  # a set whose order does not depend on memory addresses
        self._earlier: set[ClaimRef] = set()
        self._reports: list[ClaimReport] = []
        self._unrecorded: dict[ClaimRef, ClaimReport] = {}
        self._changed = asyncio.Event()

    # --- the runner's side ---------------------------------------------------------------------------------------

    def open(self, inbox: Inbox, held: Sequence[ClaimRef]) -> None:
        self._inbox = inbox
        self._held = dict.fromkeys(held)
        self._earlier = set(held)

    def close(self) -> list[ClaimReport]:
        return list(self._unrecorded.values())

    def valid_until_ms(self, term: int) -> float:
        return self._valid_until_ms() if term == self._term else 0.0

    def report(self, report: ClaimReport) -> None:
        ref = report.ref
        self._held.pop(ref, None)
        self._earlier.discard(ref)
        self._unrecorded[ref] = report
        self._reports.append(report)
        self.wake.set()

    async def drained(self) -> None:
        while self._unrecorded:
            self._changed.clear()
            await self._changed.wait()

    # --- the leader's side ---------------------------------------------------------------------------------------

    @property
    def earlier(self) -> int:
        """How many claims of earlier terms the runner still works on: they take slots, too."""
        return len(self._earlier)

    def give(self, claims: Sequence[Claim]) -> None:
        """Have attempts made."""
        self._held |= dict.fromkeys(claim.ref for claim in claims)
        self._inbox.put(claims)

    def cancel(self, seqs: set[int]) -> None:
        """Have the attempts at these jobs broken off."""
        self._inbox.put(cancelled=[ref for ref in self._held if ref.seq in seqs])

    @property
    def reported(self) -> int:
        """Reports that came since they were taken last."""
        return len(self._reports)

    def forget(self, ref: ClaimRef) -> None:
        """The claim is lost; nobody waits for its report."""
        self._held.pop(ref, None)
        self._earlier.discard(ref)

    def take_reports(self) -> list[ClaimReport]:
        """Those that came since this was asked last."""
        reports, self._reports = self._reports, []
        return reports

    def recorded(self, refs: Iterable[ClaimRef]) -> None:
        """These reports are in the log."""
        for ref in refs:
            self._unrecorded.pop(ref, None)
        self._changed.set()


class HttpExchange:
    """To the present leader, over ``POST /internal/exchange``: MessagePack, many reports in one request.

    It gives no new claims: the runner ends those it has. Runs ``run`` beside it.

    Args:
        node: where the attempts run, as it is recorded with them.
        leader_url: who leads now; None while nobody or this node does.
        vault: its key shows the leader that the message is from its own cluster.
    """

    def __init__(self, node: str, leader_url: Callable[[], str | None], vault: Vault, sender: Sender) -> None:
        self._node = node
        self._leader_url = leader_url
        self._vault = vault
        self._sender = sender
        self._inbox = Inbox()
        self._held: dict[ClaimRef, None] = {}
        self._untold: dict[ClaimRef, ClaimReport] = {}
        self._wake = asyncio.Event()
        self._told = asyncio.Event()

    def open(self, inbox: Inbox, held: Sequence[ClaimRef]) -> None:
        self._inbox = inbox
        self._held = dict.fromkeys(held)
        self._wake.set()

    def close(self) -> list[ClaimReport]:
        untold, self._untold, self._held = self._untold, {}, {}
        return list(untold.values())

    def valid_until_ms(self, term: int) -> float:
        """Never: what has not left by now goes back to the leader."""
        return 0.0

    def report(self, report: ClaimReport) -> None:
        self._held.pop(report.ref, None)
        self._untold[report.ref] = report
        self._wake.set()

    async def drained(self) -> None:
        while self._untold:
            self._told.clear()
            await self._told.wait()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._rest()
            if not await self._swap():
                await asyncio.sleep(_PAUSE_S)

    async def _rest(self) -> None:
        """Until there is something to tell; while claims are held, only for a while: they may be cancelled."""
        if self._untold:
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(_LOOK_S if self._held else None):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _swap(self) -> bool:
        """Tell all there is to tell; False when nobody took it."""
        if not self._untold and not self._held:
            return True
        url = self._leader_url()
        if url is None:
            return not self._untold
        held = tuple(self._held)
        for frame in frames(self._node, list(self._untold.values()), held, bytes_max=ENTRY_BYTES_GATHER):
            orders = await self._ask(url, frame)
            if orders is None:
                return False
            for it in frame.reports:
                self._untold.pop(it.ref, None)
            self._told.set()
            self._inbox.put(cancelled=[ref for ref in orders.cancelled if ref in self._held])
        return True

    async def _ask(self, url: str, frame: Frame) -> Orders | None:
        body = _encode(frame)
        headers = ((MAC, self._vault.mac(body).encode()), (FORWARDED, b"1"))  # it leads, or says so at once
        try:
            answer = await self._sender.send(url, NodeCall("POST", PATH, headers, body), _TIMEOUT_S)
            return _decoder.decode(answer.body) if answer.status == 200 else None
        except (NotSent, Unclear) as error:
            _log.info("reports_not_told", url=url, error=error.detail)
        except msgspec.MsgspecError as error:
            _log.warning("orders_unreadable", url=url, error=str(error))
        return None
