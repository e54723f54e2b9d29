"""Mistakes with attempts outside the leader's process: by followers, workers and attempt processes."""

import math
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from hookline.node.attempts.process import LinkExchange
from hookline.node.attempts.processes import AttemptProcesses
from hookline.node.dispatch.http_exchange import HttpExchange
from hookline.node.dispatch.runners import Runners
from hookline.node.dispatch.seats import Seat, Seats
from hookline.node.state_machine import apply_jobs
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.rows import OpenClaim
from hookline.node.state_machine.tables import Tables
from hookline.processes.child import ChildProcess
from hookline.protocol import commands as c
from hookline.protocol.claims import Frame

Patch = pytest.MonkeyPatch


# --- until when a request may leave ----------------------------------------------------------------------------------


def a_runner_elsewhere_ignores_its_validity(patch: Patch) -> None:
    patch.setattr(HttpExchange, "valid_until_ms", lambda _self, _term: math.inf)


def an_attempt_process_ignores_its_validity(patch: Patch) -> None:
    patch.setattr(LinkExchange, "valid_until_ms", lambda _self, _term: math.inf)


def a_validity_counts_from_the_answer(patch: Patch) -> None:
    take = HttpExchange._take
    patch.setattr(HttpExchange, "_take", lambda self, orders, _sent_boot: take(self, orders, self._clock.boot_ms()))


# --- who has which claim ---------------------------------------------------------------------------------------------


def a_silent_workers_claims_are_given_to_another(patch: Patch) -> None:
    seat_of = Runners._seat

    def lose(self: Runners, guest: Any, slots: int) -> None:
        seat_of(self, guest, slots)
        if not slots and (open_claims := tuple(guest.exchange._open)):
            losing = self._replica.propose([c.LoseClaims(open_claims)], no_timeout=True)
            losing.add_done_callback(lambda done: done.cancelled() or done.exception())

    patch.setattr(Runners, "_seat", lose)


def claims_expire_before_their_deadline(patch: Patch) -> None:
    expire = apply_jobs.expire_claims
    patch.setattr(
        apply_jobs,
        "expire_claims",
        lambda tables, effects, time_ms, term, command: expire(tables, effects, time_ms + 8_000, term, command),
    )


def an_at_most_once_job_is_sent_again_after_its_claim_was_lost(patch: Patch) -> None:
    lose = apply_jobs._lose

    def forget(tables: Tables, effects: Effects, time_ms: int, claim: OpenClaim) -> None:
        lose(tables, effects, time_ms, msgspec.structs.replace(claim, at_most_once=0))

    patch.setattr(apply_jobs, "_lose", forget)


def any_number_of_claims_is_ahead(patch: Patch) -> None:
    patch.setattr(Seat, "ahead", lambda self, _boot_ms: self.slots)
    patch.setattr(Seats, "ahead", property(lambda self: self.slots))


def what_a_runner_does_not_hold_was_never_told(patch: Patch) -> None:
    settle = Runners._settle

    def at_once(self: Runners, guest: Any, frame: Frame) -> None:
        settle(self, guest, msgspec.structs.replace(frame, held=()))

    patch.setattr(Runners, "_settle", at_once)


def a_report_counts_as_told_when_it_is_sent(patch: Patch) -> None:
    say = HttpExchange._say

    def forget(self: HttpExchange, tasks: Any, url: str) -> None:
        say(self, tasks, url)
        self._untold.clear()

    patch.setattr(HttpExchange, "_say", forget)


# --- attempt processes -----------------------------------------------------------------------------------------------


def a_broken_link_is_taken_for_a_dead_process(patch: Patch) -> None:
    async def ended(self: ChildProcess) -> int:
        await self.link.ended.wait()
        return 0

    async def end(self: ChildProcess) -> int:
        return 0

    patch.setattr(ChildProcess, "ended", ended)
    patch.setattr(ChildProcess, "end", end)


def the_claims_of_a_dead_process_are_sent_again_as_failures(patch: Patch) -> None:
    tell = AttemptProcesses._report

    def failed(self: Any, claim: Any, report: Any) -> None:
        tell(self, claim, replace(report, is_lost=False, sent=False))

    patch.setattr(AttemptProcesses, "_report", failed)
