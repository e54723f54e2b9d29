"""Decides what a due schedule does now: make jobs, skip ticks, and be due again at another time.

Pure and deterministic: every node that looks at the same schedule at the same ``now_ms`` decides the same, and a tick's
job id and jitter depend on the schedule id and the tick's instant alone. So however often a decision is repeated around
a crash, one tick makes one job.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Literal

from hookline.protocol.cron import Cron
from hookline.protocol.ids import uuid_text
from hookline.protocol.jobs import DEFAULT_TENANT
from hookline.protocol.limits import CATCH_UP_TICKS_MAX, LATE_MS

SKIPPED_COUNT_MAX = 1_000
"""Counting skipped ticks stops here: a minute schedule that was down for a year has half a million of them."""

CatchUpPolicy = Literal["skip", "coalesce", "all"]


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """A schedule as far as ticks need it. Times are UTC epoch milliseconds; both bounds are inclusive.

    ``next_tick_ms`` is taken as a tick as it stands: it was computed and committed when it was still in the future.
    """

    schedule_id: str
    cron: Cron
    next_tick_ms: int
    catch_up: CatchUpPolicy
    window_ms: int
    jitter_ms: int = 0
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick that makes a job: its identity ``instant_ms``, and when the job is to run (with jitter)."""

    instant_ms: int
    run_at_ms: int


@dataclass(frozen=True, slots=True)
class TickDecision:
    """The ticks that make jobs, oldest first, and the tick at which to decide again (None: the schedule has ended).

    ``next_tick_ms`` may already be due, when there were more ticks to make up for than one decision takes.
    ``skipped`` counts ticks that make no job, up to SKIPPED_COUNT_MAX.
    """

    ticks: tuple[Tick, ...]
    skipped: int
    next_tick_ms: int | None


def decide_ticks(plan: SchedulePlan, now_ms: int) -> TickDecision:
    """Decide for one schedule; without a due tick the decision is empty.

    A tick is on time until LATE_MS after its instant and then always makes a job; an older one is missed. Of the missed
    ticks that are at most ``window_ms`` old, "all" makes a job for each, "coalesce" for the last, "skip" for none.
    """
    on_time_from = now_ms - LATE_MS
    window_from = min(now_ms - plan.window_ms, on_time_from)
    kept: list[int] = []
    if plan.catch_up == "coalesce":
        missed = _last_tick(plan, window_from, min(on_time_from - 1, _until(plan, now_ms)))
        kept = [] if missed is None else [missed]
    kept_from = window_from if plan.catch_up == "all" else on_time_from
    skipped = _count(plan, min(kept_from - 1, _until(plan, now_ms))) - len(kept)
    kept += islice(_ticks(plan, kept_from, _until(plan, now_ms)), CATCH_UP_TICKS_MAX - len(kept))

    full = len(kept) >= CATCH_UP_TICKS_MAX
    next_tick_ms = _tick_after(plan, kept[-1] if full else max(now_ms, plan.next_tick_ms - 1))
    return TickDecision(
        ticks=tuple(Tick(instant, instant + jitter(plan.schedule_id, instant, plan.jitter_ms)) for instant in kept),
        skipped=skipped,
        next_tick_ms=None if next_tick_ms is None or _ended(plan, next_tick_ms) else next_tick_ms,
    )


def first_tick(cron: Cron, now_ms: int, start_ms: int | None, end_ms: int | None) -> int | None:
    """The first tick after ``now_ms`` that is not before ``start_ms`` nor after ``end_ms``; None if there is none."""
    tick = cron.next_after(now_ms if start_ms is None else max(now_ms, start_ms - 1))
    return None if tick is None or (end_ms is not None and tick > end_ms) else tick


def jitter(schedule_id: str, instant_ms: int, jitter_ms: int) -> int:
    """Milliseconds to add to a tick, in [0, jitter_ms], the same on every node and at every repetition."""
    if jitter_ms <= 0:
        return 0
    # Salted, so that the jitter of a tick tells nothing about its job id.
    digest = hashlib.sha256(f"jitter|{schedule_id}|{instant_ms}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % (jitter_ms + 1)


def tick_job_id(schedule_id: str, instant_ms: int, shard: int, tenant: str = DEFAULT_TENANT) -> str:
    """The id of a tick's job: a version 8 UUID (RFC 9562) of schedule and instant, ``-`` and the shard.

    The first 48 bits are the instant, as in a UUIDv7, so that ids sort by time. Two tenants' schedules of one id have
    other ones: a receiver that both call would take the second for a repeat.
    """
    name = f"{tenant}/{schedule_id}" if tenant else schedule_id
    digest = hashlib.sha256(f"{name}|{instant_ms}".encode()).digest()
    value = int.from_bytes(instant_ms.to_bytes(6, "big") + digest[:10], "big")
    value = value & ~(0xF << 76) | 0x8 << 76  # version 8
    value = value & ~(0x3 << 62) | 0x2 << 62  # the RFC's variant
    return f"{uuid_text(value)}-{shard}"


def _tick_after(plan: SchedulePlan, after_ms: int) -> int | None:
    if plan.start_ms is not None:
        after_ms = max(after_ms, plan.start_ms - 1)
    return plan.next_tick_ms if after_ms < plan.next_tick_ms else plan.cron.next_after(after_ms)


def _ticks(plan: SchedulePlan, from_ms: int, until_ms: int) -> Iterator[int]:
    """The schedule's ticks in [from, until], none before ``next_tick_ms``.

    One walk: each search from its start costs as much as some thirty ticks of a walk that goes on.
    """
    tick = _tick_after(plan, from_ms - 1)
    if tick is None or tick > until_ms:
        return
    yield tick
    yield from takewhile(lambda later: later <= until_ms, plan.cron.ticks_after(tick))


def _last_tick(plan: SchedulePlan, from_ms: int, until_ms: int) -> int | None:
    """The last tick in [from, until], by bisection: a week of a minute schedule takes some 30 steps, not 10,000."""
    last = _tick_after(plan, from_ms - 1)
    if last is None or last > until_ms:
        return None
    none_after = until_ms
    while last < none_after:
        middle = (last + none_after) // 2
        tick = _tick_after(plan, middle)
        if tick is not None and tick <= until_ms:
            last = tick
        else:
            none_after = middle
    return last


def _count(plan: SchedulePlan, until_ms: int) -> int:
    return sum(1 for _ in islice(_ticks(plan, plan.next_tick_ms, until_ms), SKIPPED_COUNT_MAX))


def _until(plan: SchedulePlan, now_ms: int) -> int:
    return now_ms if plan.end_ms is None else min(now_ms, plan.end_ms)


def _ended(plan: SchedulePlan, tick_ms: int) -> bool:
    return plan.end_ms is not None and tick_ms > plan.end_ms
