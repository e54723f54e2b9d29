"""The queue gives out every due job exactly once, in order, in little memory, whatever is added and taken."""

from bisect import insort

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hookline.node.dispatch import due as due_module
from hookline.node.dispatch.plan import Now, Plan
from hookline.node.dispatch.timers import Timers
from hookline.protocol.jobs import destination_of, lane_of
from hookline.protocol.settings import DestinationSettings

LANES = [
    lane_of(destination, priority, retry) for destination in (1, 2, 3) for priority in (0, 5) for retry in (False, True)
]
lanes = st.sampled_from(LANES)
Row = tuple[int, int]


class PlanAgainstTable(RuleBasedStateMachine):
    """The database is a sorted list for each lane; what was taken leaves it, as a claim does."""

    def __init__(self) -> None:
        super().__init__()
        self.table: dict[int, list[Row]] = {}
        self.plan = Plan(10_000)
        self.now = 100
        self.seq = 0
        self.blocked: set[int] = set()

    @initialize(rows=st.lists(st.tuples(lanes, st.integers(0, 200)), max_size=60))
    def pending_before_the_leader_started(self, rows: list[tuple[int, int]]) -> None:
        for lane, due_ms in rows:
            self._store(lane, due_ms)
        for lane in self.table:
            self.plan.open_lane(lane)
        self._refill()

    def _store(self, lane: int, due_ms: int) -> int:
        self.seq += 1
        insort(self.table.setdefault(lane, []), (due_ms, self.seq))
        return self.seq

    def _refill(self) -> bool:
        shorts = self.plan.short()
        for short in shorts:
            rows = [row for row in self.table.get(short.lane, []) if row > short.after]
            self.plan.refill(short, rows[: short.limit])
        return bool(shorts)

    def _now(self) -> Now:
        return Now(self.now, self.now, 0)

    def _pause(self, destination: int, *, paused: bool) -> None:
        self.plan.configure(destination, DestinationSettings(paused=paused), self._now())

    @rule(lane=lanes, dues=st.lists(st.integers(0, 300), min_size=1, max_size=30))
    def add(self, lane: int, dues: list[int]) -> None:
        for due_ms in dues:
            self.plan.committed([(lane, due_ms, self._store(lane, due_ms))])

    @rule(passed=st.integers(0, 80))
    def time_passes(self, passed: int) -> None:
        self.now += passed

    @rule(destination=st.sampled_from([1, 2, 3]))
    def block(self, destination: int) -> None:
        self.blocked.add(destination)
        self._pause(destination, paused=True)

    @precondition(lambda self: self.blocked)
    @rule()
    def unblock(self) -> None:
        destination = min(self.blocked)
        self.blocked.remove(destination)
        self._pause(destination, paused=False)

    @rule(limit=st.integers(1, 25))
    def take(self, limit: int) -> None:
        taken = 0
        while taken < limit:
            batch = self.plan.take(self._now(), limit - taken)
            for due in batch:
                lane = self.table[due.lane]
                assert (due.due_ms, due.seq) == lane[0], "not the lane's first, or given out twice"
                assert due.due_ms <= self.now
                assert destination_of(due.lane) not in self.blocked
                lane.pop(0)
                self.plan.ended(self._now(), due.lane, "good", 5)
            taken += len(batch)
            if not self._refill() and not batch:
                break
        if taken < limit:
            left = [lane for lane, rows in self.table.items() if rows and rows[0][0] <= self.now]
            assert all(destination_of(lane) in self.blocked for lane in left), "a due job was forgotten"

    @invariant()
    def an_alarm_is_set_for_what_is_to_come(self) -> None:
        heads = [
            rows[0][0]
            for lane, rows in self.table.items()
            if rows and destination_of(lane) not in self.blocked and rows[0][0] > self.now
        ]
        nearest = self.plan.next_ms()
        if heads and not self.plan.held().turns:
            assert nearest is not None
            assert nearest <= min(heads)

    @invariant()
    def memory_is_bounded(self) -> None:
        held = self.plan.held()
        # A window shrinks when lanes are added, not its rows.
        assert held.rows <= 3 * due_module.WINDOW_MAX * held.lanes
        assert held.alarms <= 2 * 3 + 1_000

    def teardown(self) -> None:
        for destination in sorted(self.blocked):
            self._pause(destination, paused=False)
        self.blocked.clear()
        self.now = 10_000
        self.take(10**6)
        assert not any(self.table.values())


def test_every_due_job_is_given_out_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # Small windows, so that refills, cuts and rows beyond a window happen all the time.
    monkeypatch.setattr(due_module, "WINDOW_MAX", 8)
    monkeypatch.setattr(due_module, "WINDOW_MIN", 2)
    monkeypatch.setattr(due_module, "ROWS_MAX", 40)
    run_state_machine_as_test(PlanAgainstTable, settings=settings(max_examples=150, stateful_step_count=40))


@given(st.lists(st.tuples(st.sampled_from(["set", "pop"]), st.integers(1, 5), st.integers(0, 50))))
def test_timers_behave_like_a_dict_of_the_earliest_times(steps: list[tuple[str, int, int]]) -> None:
    timers, expected = Timers(), dict[int, int]()
    for action, key, at_ms in steps:
        if action == "set":
            timers.set(key, at_ms)
            expected[key] = min(at_ms, expected.get(key, at_ms))
        else:
            due = sorted((when, name) for name, when in expected.items() if when <= at_ms)
            assert timers.pop(at_ms) == [name for _, name in due]
            for _, name in due:
                del expected[name]
        assert timers.next_ms() == min(expected.values(), default=None)
