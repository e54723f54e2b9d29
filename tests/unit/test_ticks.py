import uuid
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.protocol.cron import parse_cron
from hookline.protocol.ids import shard_hint
from hookline.protocol.limits import CATCH_UP_TICKS_MAX, LATE_MS
from hookline.protocol.ticks import (
    SKIPPED_COUNT_MAX,
    CatchUpPolicy,
    SchedulePlan,
    TickDecision,
    decide_ticks,
    first_tick,
    jitter,
    tick_job_id,
)

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
NOON_MS = int(datetime.fromisoformat("2026-11-24T12:00:00Z").timestamp() * 1000)

EVERY_HOUR = parse_cron("0 * * * *", "UTC")


def plan(
    next_tick_ms: int,
    catch_up: CatchUpPolicy = "coalesce",
    *,
    cron: str = "0 * * * *",
    window_ms: int = DAY_MS,
    jitter_ms: int = 0,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> SchedulePlan:
    parsed = parse_cron(cron, "UTC")
    return SchedulePlan("nightly", parsed, next_tick_ms, catch_up, window_ms, jitter_ms, start_ms, end_ms)


def instants(decision: TickDecision) -> list[int]:
    return [tick.instant_ms for tick in decision.ticks]


@pytest.mark.parametrize("catch_up", ["skip", "coalesce", "all"])
@pytest.mark.parametrize("late_ms", [0, 1, LATE_MS])
@pytest.mark.parametrize("window_ms", [0, DAY_MS])
def test_a_tick_on_time_makes_a_job(catch_up: CatchUpPolicy, late_ms: int, window_ms: int) -> None:
    decision = decide_ticks(plan(NOON_MS, catch_up, window_ms=window_ms), NOON_MS + late_ms)
    assert instants(decision) == [NOON_MS]
    assert (decision.skipped, decision.next_tick_ms) == (0, NOON_MS + HOUR_MS)


@pytest.mark.parametrize("catch_up", ["skip", "coalesce", "all"])
def test_nothing_happens_before_the_tick(catch_up: CatchUpPolicy) -> None:
    assert decide_ticks(plan(NOON_MS, catch_up), NOON_MS - 1) == TickDecision((), 0, NOON_MS)


@pytest.mark.parametrize(("catch_up", "made"), [("skip", 0), ("coalesce", 1), ("all", 1)])
def test_a_tick_later_than_the_grace_is_missed(catch_up: CatchUpPolicy, made: int) -> None:
    decision = decide_ticks(plan(NOON_MS, catch_up), NOON_MS + LATE_MS + 1)
    assert instants(decision) == [NOON_MS] * made
    assert (decision.skipped, decision.next_tick_ms) == (1 - made, NOON_MS + HOUR_MS)


@pytest.mark.parametrize(
    ("catch_up", "window_ms", "made", "skipped"),
    [
        ("skip", DAY_MS, [0], 5),
        ("coalesce", DAY_MS, [-1, 0], 4),
        ("all", DAY_MS, [-5, -4, -3, -2, -1, 0], 0),
        ("all", 3 * HOUR_MS + 30_000, [-3, -2, -1, 0], 2),  # a tick exactly as old as the window is in it
        ("all", 3 * HOUR_MS + 29_999, [-2, -1, 0], 3),
        ("all", 0, [0], 5),
        ("coalesce", HOUR_MS, [0], 5),
        ("coalesce", 0, [0], 5),
    ],
)
def test_after_five_hours_down(catch_up: CatchUpPolicy, window_ms: int, made: list[int], skipped: int) -> None:
    decision = decide_ticks(plan(NOON_MS - 5 * HOUR_MS, catch_up, window_ms=window_ms), NOON_MS + 30_000)
    assert instants(decision) == [NOON_MS + hours * HOUR_MS for hours in made]
    assert (decision.skipped, decision.next_tick_ms) == (skipped, NOON_MS + HOUR_MS)


class Counting:
    """Every minute; counts searches, which are dear, and the ticks of walks, which are cheap."""

    def __init__(self) -> None:
        self.searches = self.walked = 0
        self._cron = parse_cron("* * * * *", "UTC")

    def next_after(self, after_ms: int) -> int | None:
        self.searches += 1
        return self._cron.next_after(after_ms)

    def ticks_after(self, after_ms: int) -> Iterator[int]:
        self.searches += 1
        for tick in self._cron.ticks_after(after_ms):
            self.walked += 1
            yield tick


def test_a_thousand_ticks_that_are_made_up_cost_few_searches() -> None:
    cron = Counting()
    down = SchedulePlan("s", cron, NOON_MS - 365 * DAY_MS, "all", 7 * DAY_MS)  # type: ignore[arg-type]
    assert len(decide_ticks(down, NOON_MS + 1).ticks) == CATCH_UP_TICKS_MAX
    assert cron.walked <= SKIPPED_COUNT_MAX + CATCH_UP_TICKS_MAX
    assert cron.searches < 10


@pytest.mark.parametrize(("catch_up", "made"), [("skip", [NOON_MS]), ("coalesce", [NOON_MS - MINUTE_MS, NOON_MS])])
def test_a_year_down_is_no_walk_through_a_year(catch_up: CatchUpPolicy, made: list[int]) -> None:
    cron = Counting()
    down = SchedulePlan("s", cron, NOON_MS - 365 * DAY_MS, catch_up, 7 * DAY_MS)  # type: ignore[arg-type]
    decision = decide_ticks(down, NOON_MS + 1)
    assert instants(decision) == made
    assert decision.skipped in (SKIPPED_COUNT_MAX, SKIPPED_COUNT_MAX - 1)
    assert decision.next_tick_ms == NOON_MS + MINUTE_MS
    assert cron.walked < SKIPPED_COUNT_MAX + 100
    assert cron.searches < 100


def test_all_is_bounded_and_the_rest_follows() -> None:
    now_ms = NOON_MS + 1
    waiting = plan(NOON_MS - 2_500 * MINUTE_MS, "all", cron="* * * * *", window_ms=7 * DAY_MS)
    made: list[int] = []
    for expected in (CATCH_UP_TICKS_MAX, CATCH_UP_TICKS_MAX, 501):
        decision = decide_ticks(waiting, now_ms)
        assert len(decision.ticks) == expected
        assert decision.skipped == 0
        made += instants(decision)
        assert decision.next_tick_ms == made[-1] + MINUTE_MS
        waiting = plan(decision.next_tick_ms, "all", cron="* * * * *", window_ms=7 * DAY_MS)
    assert made == list(range(NOON_MS - 2_500 * MINUTE_MS, NOON_MS + 1, MINUTE_MS))


def test_the_end_is_inclusive_and_final() -> None:
    assert decide_ticks(plan(NOON_MS, end_ms=NOON_MS), NOON_MS).next_tick_ms is None
    assert instants(decide_ticks(plan(NOON_MS, end_ms=NOON_MS), NOON_MS)) == [NOON_MS]
    assert decide_ticks(plan(NOON_MS, end_ms=NOON_MS - 1), NOON_MS) == TickDecision((), 0, None)
    assert decide_ticks(plan(NOON_MS, end_ms=NOON_MS + HOUR_MS), NOON_MS).next_tick_ms == NOON_MS + HOUR_MS


def test_ticks_missed_before_the_end_are_made_up_after_it() -> None:
    decision = decide_ticks(plan(NOON_MS, "all", end_ms=NOON_MS + 2 * HOUR_MS), NOON_MS + 5 * HOUR_MS)
    assert instants(decision) == [NOON_MS, NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS]
    assert decision.next_tick_ms is None
    last = decide_ticks(plan(NOON_MS, end_ms=NOON_MS + 2 * HOUR_MS), NOON_MS + 5 * HOUR_MS)
    assert instants(last) == [NOON_MS + 2 * HOUR_MS]
    assert last.skipped == 2


def test_no_tick_before_the_start() -> None:
    decision = decide_ticks(plan(NOON_MS, "all", start_ms=NOON_MS + HOUR_MS), NOON_MS + HOUR_MS)
    assert instants(decision) == [NOON_MS + HOUR_MS]


def test_first_tick_respects_now_and_the_bounds() -> None:
    assert first_tick(EVERY_HOUR, NOON_MS, None, None) == NOON_MS + HOUR_MS
    assert first_tick(EVERY_HOUR, NOON_MS - 1, None, None) == NOON_MS
    assert first_tick(EVERY_HOUR, NOON_MS, NOON_MS + DAY_MS, None) == NOON_MS + DAY_MS
    assert first_tick(EVERY_HOUR, NOON_MS, NOON_MS + DAY_MS + 1, None) == NOON_MS + DAY_MS + HOUR_MS
    assert first_tick(EVERY_HOUR, NOON_MS, NOON_MS - DAY_MS, None) == NOON_MS + HOUR_MS
    assert first_tick(EVERY_HOUR, NOON_MS, None, NOON_MS + HOUR_MS) == NOON_MS + HOUR_MS
    assert first_tick(EVERY_HOUR, NOON_MS, None, NOON_MS + HOUR_MS - 1) is None
    assert first_tick(parse_cron("*/10 2 25-31 3 */7", "Europe/Berlin"), NOON_MS, None, None) is None


def test_the_repeated_hour_makes_one_job_each_tick() -> None:
    after = int(datetime.fromisoformat("2026-10-25T01:30:00+02:00").timestamp() * 1000)
    cron = parse_cron("30 2 * * *", "Europe/Berlin")
    tick = cron.next_after(after)
    assert tick is not None
    decision = decide_ticks(SchedulePlan("s", cron, tick, "all", DAY_MS), tick + 90 * MINUTE_MS)
    assert instants(decision) == [tick]
    assert decision.next_tick_ms == tick + 25 * HOUR_MS


def test_jitter_delays_the_job_and_not_the_tick() -> None:
    decision = decide_ticks(plan(NOON_MS, jitter_ms=30_000), NOON_MS)
    (tick,) = decision.ticks
    assert tick.instant_ms == NOON_MS
    assert tick.run_at_ms == NOON_MS + jitter("nightly", NOON_MS, 30_000)
    assert decision.next_tick_ms == NOON_MS + HOUR_MS


def test_jitter_is_spread_and_repeatable() -> None:
    assert jitter("a", NOON_MS, 0) == 0
    assert {jitter("a", NOON_MS + minute * MINUTE_MS, 3) for minute in range(100)} == {0, 1, 2, 3}
    # Golden: nodes of different releases must agree.
    assert [jitter(schedule, NOON_MS, 60_000) for schedule in ("a", "b")] == [18_880, 120]


def test_tick_job_ids() -> None:
    first = tick_job_id("nightly", NOON_MS, 2)
    number = uuid.UUID(first.rpartition("-")[0])
    assert (number.version, number.variant, number.int >> 80) == (8, uuid.RFC_4122, NOON_MS)
    assert shard_hint(first) == 2
    assert first == tick_job_id("nightly", NOON_MS, 2)
    assert first.rpartition("-")[0] == tick_job_id("nightly", NOON_MS, 3).rpartition("-")[0]
    assert len({tick_job_id(name, NOON_MS, 0) for name in ("a", "b", "ab", "")}) == 4
    assert tick_job_id("z", NOON_MS, 0) < tick_job_id("a", NOON_MS + 1, 0)
    # Golden: the id of a tick may never change, or an upgrade in mid-tick makes a second job.
    assert first == "01a20d6d-5a00-80d5-ae49-95f173b01b39-2"


@given(
    catch_up=st.sampled_from(["skip", "coalesce", "all"]),
    cron=st.sampled_from(["* * * * *", "*/7 * * * *", "0 */3 * * *", "30 2 * * *", "0 0 1 * *"]),
    behind_ms=st.integers(0, 40 * DAY_MS),
    window_ms=st.integers(0, 40 * DAY_MS),
    left_ms=st.none() | st.integers(-40 * DAY_MS, DAY_MS),
)
def test_against_the_plain_rule(
    catch_up: CatchUpPolicy, cron: str, behind_ms: int, window_ms: int, left_ms: int | None
) -> None:
    """The same decision as by listing every tick, which is what the module avoids."""
    parsed = parse_cron(cron, "Europe/Berlin")
    behind_ms = min(behind_ms, 30 * HOUR_MS) if cron.endswith("* * * *") else behind_ms
    first = parsed.next_after(NOON_MS - behind_ms)
    assert first is not None
    end_ms = None if left_ms is None else NOON_MS + left_ms
    due = [first]
    while due[-1] <= NOON_MS:
        due.append(parsed.next_after(due[-1]) or 0)
    future = due.pop()
    due = [tick for tick in due if end_ms is None or tick <= end_ms]
    on_time = [tick for tick in due if NOON_MS - tick <= LATE_MS]
    missed = [tick for tick in due if LATE_MS < NOON_MS - tick <= window_ms]
    made = {"skip": [], "coalesce": missed[-1:], "all": missed}[catch_up] + on_time

    decision = decide_ticks(SchedulePlan("s", parsed, first, catch_up, window_ms, 0, None, end_ms), NOON_MS)
    assert instants(decision) == made[:CATCH_UP_TICKS_MAX]
    if len(made) < CATCH_UP_TICKS_MAX:
        assert decision.next_tick_ms == (future if end_ms is None or future <= end_ms else None)
    assert 0 <= decision.skipped <= len(due) - len(made)
    if len(due) < SKIPPED_COUNT_MAX:
        assert decision.skipped == len(due) - len(made)
    for before, after in pairwise(instants(decision)):
        assert before < after
