"""The plan as a whole: who may start, in which order, and who is asked again when."""

from hookline.node.dispatch.due import Due
from hookline.node.dispatch.plan import Now, Plan
from hookline.protocol.jobs import destination_of, lane_of
from hookline.protocol.settings import DestinationSettings

T = 1_000_000
NOW = Now(T, 0.0, 0)


def lane(destination: int, *, retry: bool = False) -> int:
    return lane_of(destination, 0, retry)


def later(ms: int, *, steps: int = 0) -> Now:
    return Now(T + ms, float(ms), steps)


def plan_of(*rows: tuple[int, int, int], slots: int = 100) -> Plan:
    plan = Plan(slots)
    plan.committed(rows)
    return plan


def destinations(taken: list[Due]) -> list[int]:
    return [destination_of(due.lane) for due in taken]


def test_first_everyone_gets_a_share_then_what_is_left_goes_beyond_it() -> None:
    plan = plan_of(*[(lane(1), T, seq) for seq in range(10)], (lane(2), T, 99), slots=10)
    assert destinations(plan.take(NOW, 4)) == [1, 2, 1, 1]
    assert (plan.running, plan.free) == (4, 6)


def test_no_free_slot_for_slow_ones_parks_nobody_and_ends_no_search() -> None:
    plan = plan_of(*[(lane(1), T, seq) for seq in range(20)], slots=10)
    taken = plan.take(NOW, 10)
    assert destinations(taken) == 8 * [1], "slow and unknown ones leave a fifth"
    assert plan.blocked(1) is None
    plan.committed([(lane(2), T, 99)])
    assert destinations(plan.take(NOW, 2)) == [2]
    plan.ended(NOW, lane(1), "good", 5)
    assert destinations(plan.take(NOW, 9))[:1] == [1]


def test_a_paused_destination_waits_until_its_settings_change() -> None:
    plan = plan_of((lane(1), T, 1), (lane(2), T, 2))
    plan.configure(1, DestinationSettings(paused=True), NOW)
    assert destinations(plan.take(NOW, 9)) == [2]
    blocked = plan.blocked(1)
    assert blocked is not None
    assert (blocked.reason, blocked.until_ms) == ("paused", None)
    assert plan.waiting(1, T) == 1
    assert plan.take(later(10**9), 9) == []
    plan.configure(1, DestinationSettings(), later(5))
    assert plan.next_ms() == T + 5
    assert destinations(plan.take(later(5), 9)) == [1]


def test_a_claim_that_is_refused_gives_the_destination_its_place_back() -> None:
    plan = plan_of((lane(1), T, 1), (lane(1), T, 2))
    plan.configure(1, DestinationSettings(concurrency=1), NOW)
    assert len(plan.take(NOW, 9)) == 1
    assert plan.take(NOW, 9) == []
    plan.refused(NOW, lane(1))
    assert [due.seq for due in plan.take(NOW, 9)] == [2]


def test_a_rate_lets_the_next_one_start_at_its_time() -> None:
    plan = plan_of((lane(1), T, 1), (lane(1), T, 2))
    plan.configure(1, DestinationSettings(rate_limit=1, rate_per_ms=1_000), NOW)
    assert len(plan.take(NOW, 9)) == 1
    plan.began(NOW, lane(1))
    assert plan.take(later(10), 9) == []
    assert plan.next_ms() == T + 1_000
    assert len(plan.take(later(1_000), 9)) == 1


def test_what_waits_for_a_time_asks_again_after_the_wall_clock_went_back() -> None:
    """Else a destination that was to wait a second would wait for as long as the clock went back."""
    plan = plan_of((lane(1), T - 7_200_000, 1), (lane(1), T - 7_200_000, 2))
    plan.configure(1, DestinationSettings(rate_limit=1, rate_per_ms=1_000), NOW)
    assert len(plan.take(NOW, 9)) == 1
    plan.began(NOW, lane(1))
    assert plan.take(NOW, 9) == []
    back = Now(T - 3_600_000, 2_000.0, 1)
    assert plan.notice(back)
    assert not plan.notice(back)
    assert [due.seq for due in plan.take(back, 9)] == [2]


def test_a_lane_that_is_complete_reads_no_more_and_one_that_is_not_does() -> None:
    plan = Plan(100)
    plan.open_lane(lane(1))
    (short,) = plan.short()
    rows = [(T + number, number) for number in range(short.limit)]
    plan.refill(short, rows)
    plan.committed([(lane(1), T + 10**6, 10**6)])
    assert plan.held().rows == short.limit, "it is left to the database, which is read again"
    seqs: list[int] = []
    while True:
        taken = plan.take(later(10**7), 9)
        seqs += [due.seq for due in taken]
        for due in taken:
            plan.ended(later(10**7), due.lane, "good", 5)
        for short in plan.short():
            plan.refill(short, [(T + 10**6, 10**6)] if short.after < (T + 10**6, 0) else [])
        if not taken:
            break
    assert seqs == [*range(len(rows)), 10**6]
    plan.committed([(lane(1), T + 10**8, 10**8)])
    assert plan.held().rows == 1, "nothing of the lane is in the database alone"
