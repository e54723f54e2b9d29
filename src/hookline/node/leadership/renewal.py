"""Beats while appends do not: the others see by it that the leader lives.

In a thread with a connection of its own, since a busy event loop must not cost the lead. One that stands still must:
nobody is served and nothing sent meanwhile.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from hookline.clock import Clock
from hookline.errors import HooklineError
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.fence import RENEWAL_MS, Fence
from hookline.node.etcd.keys import Keys

TRY_S = 0.5
STEP_S = RENEWAL_MS / 3_000  # so often it is looked whether a beat is due
STUCK_MS = 3_000  # an event loop that has not gone on for so long


class Renewal:
    """Says when to beat. The event loop shows by ``alive`` that it goes on."""

    def __init__(self, keys: Keys, fence: Fence, clock: Clock) -> None:
        self._keys = keys
        self._fence = fence
        self._clock = clock
        self._beats = 0
        self._alive_ms: float | None = None

    def due(self) -> "Beat | None":
        """Gives the renewal to send now; None while this node does not lead, or has shown it a moment ago."""
        revision, now_ms = self._fence.revision, self._clock.boot_ms()
        if revision is None or now_ms - self._fence.confirmed_ms < RENEWAL_MS:
            return None
        if self._alive_ms is not None and now_ms - self._alive_ms > STUCK_MS:
            return None
        self._beats += 1
        request = transactions.renew(self._keys, revision, self._fence.term, self._beats, self._fence.newest)
        return Beat(request, revision, now_ms)

    def alive(self) -> None:
        """The event loop goes on. To be told several times within ``STUCK_MS``, from the first time on."""
        self._alive_ms = self._clock.boot_ms()

    def heard(self, beat: "Beat", response: rpc.TxnResponse) -> None:
        """The answer to a beat came."""
        if self._fence.revision != beat.revision:
            return
        if response.succeeded:
            self._fence.confirmed(beat.asked_ms)
        else:
            self._fence.lose()


class Beat(NamedTuple):
    """One renewal under way."""

    request: rpc.TxnRequest
    revision: int
    asked_ms: float


@contextmanager
def renewing_thread(ask: Callable[[rpc.TxnRequest, float], rpc.TxnResponse], renewal: Renewal) -> Iterator[None]:
    """Beat whenever this node leads.

    Args:
        ask: sends one transaction and waits for the answer; raises HooklineError when it is unclear.
        renewal: says when.
    """
    ending = threading.Event()

    def run() -> None:
        while not ending.wait(STEP_S):
            beat = renewal.due()
            if beat is None:
                continue
            try:
                response = ask(beat.request, TRY_S)
            except HooklineError:
                continue
            renewal.heard(beat, response)

    thread = threading.Thread(target=run, name="renewal", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
