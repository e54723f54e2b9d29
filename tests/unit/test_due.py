"""The due queue: fair between destinations, ordered within a lane, bounded in memory, and it forgets nothing."""

from collections.abc import Mapping

from hookline.node.dispatch.blocked import Blocked
from hookline.node.dispatch.due import ROWS_MAX, WINDOW_MAX, WINDOW_MIN, Due, DueQueue, Short
from hookline.protocol.jobs import destination_of, lane_of

NOW = 1_000_000


def take(queue: DueQueue, limit: int, now_ms: int = NOW, blocked: Mapping[int, Blocked] | None = None) -> list[Due]:
    """Takes from those that have a turn, but for the blocked ones."""
    queue.start_turns(now_ms)
    taken: list[Due] = []
    asked = 0
    while len(taken) < limit and asked <= queue.turns and (first := queue.next_turn(now_ms)) is not None:
        why_not = (blocked or {}).get(first.destination)
        if why_not is None:
            taken.append(queue.pop(first))
        elif why_not.reason == "slots":
            queue.pass_over(first)
            asked += 1
        else:
            queue.park(first, why_not)
    return taken


def lane(destination: int, priority: int = 0, *, retry: bool = False) -> int:
    return lane_of(destination, priority, retry)


def seqs(taken: list[Due]) -> list[int]:
    return [due.seq for due in taken]


def queue_of(*rows: tuple[int, int, int]) -> DueQueue:
    queue = DueQueue()
    for lane_number, due_ms, seq in rows:
        queue.add(lane_number, due_ms, seq)
    return queue


class Table:
    """The database's due index: what ``refill`` reads."""

    def __init__(self, rows: dict[int, list[tuple[int, int]]]) -> None:
        self.rows = {number: sorted(lane_rows) for number, lane_rows in rows.items()}
        self.reads = 0

    def refill(self, queue: DueQueue) -> bool:
        shorts = queue.short()
        for short in shorts:
            self.reads += 1
            rows = [row for row in self.rows.get(short.lane, []) if row > short.after]
            queue.refill(short, rows[: short.limit])
        return bool(shorts)


# --- order ----------------------------------------------------------------------------------------------------


def test_nothing_is_given_out_before_it_is_due() -> None:
    queue = queue_of((lane(1), NOW + 1, 1))
    assert take(queue, 10) == []
    assert queue.next_due_ms() == NOW + 1
    assert take(queue, 10, NOW + 1) == [Due(lane(1), NOW + 1, 1)]
    assert take(queue, 10, NOW + 1) == []


def test_a_lane_is_in_order_of_time_and_then_of_acceptance() -> None:
    queue = queue_of((lane(1), NOW, 5), (lane(1), NOW - 10, 9), (lane(1), NOW, 4), (lane(1), NOW - 20, 7))
    assert seqs(take(queue, 10)) == [7, 9, 4, 5]


def test_destinations_take_turns() -> None:
    rows = [(lane(destination), NOW, 100 * destination + number) for destination in (1, 2, 3) for number in range(3)]
    taken = take(queue_of(*rows), 9)
    assert [destination_of(due.lane) for due in taken] == [1, 2, 3] * 3


def test_turns_go_on_where_they_ended() -> None:
    rows = [(lane(destination), NOW, 10 * destination + number) for destination in (1, 2, 3) for number in range(2)]
    queue = queue_of(*rows)
    taken = [take(queue, 1)[0] for _ in range(6)]
    assert [destination_of(due.lane) for due in taken] == [1, 2, 3, 1, 2, 3]


def test_a_higher_priority_goes_first_even_if_it_was_due_later() -> None:
    queue = queue_of((lane(1, -1), NOW - 99, 1), (lane(1, 0), NOW - 9, 2), (lane(1, 7), NOW, 3))
    assert seqs(take(queue, 10)) == [3, 2, 1]


def test_a_higher_priority_that_is_not_due_holds_nobody_up() -> None:
    queue = queue_of((lane(1, 7), NOW + 50, 1), (lane(1, 0), NOW, 2))
    assert seqs(take(queue, 10)) == [2]
    assert queue.next_due_ms() == NOW + 50


def test_retries_and_first_tries_of_one_priority_go_by_time() -> None:
    queue = queue_of((lane(1), NOW, 1), (lane(1, retry=True), NOW - 5, 2), (lane(1), NOW - 9, 3))
    assert seqs(take(queue, 10)) == [3, 2, 1]


def test_a_backlog_of_a_hundred_thousand_does_not_hide_another_lane() -> None:
    backlog = lane(1)
    table = Table({backlog: [(NOW - 1_000, seq) for seq in range(100_000)], lane(2): [(NOW, 100_001)]})
    queue = DueQueue()
    for number in table.rows:
        queue.open_lane(number)
    table.refill(queue)
    assert [destination_of(due.lane) for due in take(queue, 2)] == [1, 2]
    assert queue.held().rows <= WINDOW_MAX
    # The same when the backlog is created while the leader runs.
    queue = DueQueue()
    for seq in range(100_000):
        queue.add(backlog, NOW - 1_000, seq)
    queue.add(lane(2), NOW, 100_001)
    assert [destination_of(due.lane) for due in take(queue, 2)] == [1, 2]
    assert queue.held().rows <= 2 * WINDOW_MAX


# --- windows ---------------------------------------------------------------------------------------------------


def test_windows_shrink_when_there_are_many_lanes() -> None:
    queue = DueQueue()
    assert queue.window() == WINDOW_MAX
    for destination in range(1_000):
        queue.open_lane(lane(destination))
    assert queue.window() == ROWS_MAX // 1_000
    for destination in range(1_000, 20_000):
        queue.open_lane(lane(destination))
    assert queue.window() == WINDOW_MIN


def test_a_lane_larger_than_its_window_is_read_again_before_it_runs_dry() -> None:
    rows = [(NOW - 5_000 + seq, seq) for seq in range(3_456)]
    table, queue, taken = Table({lane(1): rows}), DueQueue(), []
    queue.open_lane(lane(1))
    table.refill(queue)
    while more := take(queue, 50):
        taken += seqs(more)
        table.refill(queue)
    assert taken == list(range(3_456))
    assert table.reads <= 10


def test_each_short_lane_is_named_once() -> None:
    queue = DueQueue()
    queue.open_lane(lane(1))
    assert queue.short() == [Short(lane(1), (-1, -1), WINDOW_MAX)]
    assert queue.short() == []


def test_a_new_row_beyond_the_window_is_left_to_the_database() -> None:
    queue = DueQueue()
    queue.open_lane(lane(1))
    (short,) = queue.short()
    queue.refill(short, [(NOW + position, position) for position in range(WINDOW_MAX)])
    queue.add(lane(1), NOW + 10**6, 777)
    assert queue.held().rows == WINDOW_MAX
    queue.add(lane(1), NOW - 1, 778)
    assert seqs(take(queue, 1)) == [778]


# --- parking -----------------------------------------------------------------------------------------------------


def test_a_parked_destination_is_asked_again_when_its_time_has_come() -> None:
    queue = queue_of((lane(1), NOW, 1), (lane(2), NOW, 2))
    breaker = Blocked("breaker", "fails", NOW + 500)
    assert seqs(take(queue, 9, NOW, {1: breaker})) == [2]
    assert queue.parked(1) == breaker
    assert queue.next_due_ms() == NOW + 500
    assert take(queue, 9, NOW + 499) == []
    assert seqs(take(queue, 9, NOW + 500)) == [1]
    assert queue.parked(1) is None


def test_a_destination_parked_without_a_time_waits_for_unpark() -> None:
    queue = queue_of((lane(1), NOW, 1))
    assert take(queue, 9, NOW, {1: Blocked("paused", "paused")}) == []
    assert queue.next_due_ms() is None
    queue.add(lane(1), NOW - 1, 2)
    assert take(queue, 9, NOW + 10**9) == []
    queue.unpark(1, NOW)
    assert queue.next_due_ms() == NOW
    assert seqs(take(queue, 9)) == [2, 1]


def test_parking_again_for_longer_is_not_ended_by_the_first_time() -> None:
    queue = queue_of((lane(1), NOW, 1))
    take(queue, 9, NOW, {1: Blocked("rate", "", NOW + 10)})
    queue.unpark(1, NOW + 1)
    take(queue, 9, NOW + 1, {1: Blocked("rate", "", NOW + 100)})
    assert take(queue, 9, NOW + 10) == []
    assert seqs(take(queue, 9, NOW + 100)) == [1]


def test_no_free_slot_parks_nobody() -> None:
    queue = queue_of((lane(1), NOW, 1), (lane(2), NOW, 2))
    full = Blocked("slots", "all in use")
    assert take(queue, 9, NOW, {1: full, 2: full}) == []
    assert queue.parked(1) is None
    assert sorted(seqs(take(queue, 9))) == [1, 2]


def test_one_blocked_destination_does_not_end_the_search() -> None:
    blocked = {destination: Blocked("slots", "") for destination in range(1, 60)}
    rows = [(lane(destination), NOW, destination) for destination in range(1, 61)]
    assert seqs(take(queue_of(*rows), 9, NOW, blocked)) == [60]


# --- memory -------------------------------------------------------------------------------------------------------


def test_a_far_job_beside_a_stream_of_due_ones_does_not_grow_the_timers() -> None:
    queue = queue_of((lane(1), NOW + 10**9, 1))
    for seq in range(2, 10_000):
        queue.add(lane(1), NOW, seq)
        assert seqs(take(queue, 1)) == [seq]
        assert take(queue, 1) == []
    assert queue.held().alarms < 1_000
    assert seqs(take(queue, 9, NOW + 10**9)) == [1]


def test_jobs_posted_in_falling_order_of_time_do_not_grow_the_timers() -> None:
    queue = DueQueue()
    for seq in range(20_000):
        queue.add(lane(1), NOW + 10**6 - seq, seq)
    assert queue.held().alarms < 1_500
    assert queue.held().rows <= 2 * WINDOW_MAX
    assert queue.next_due_ms() == NOW + 10**6 - 19_999


def test_lanes_that_are_empty_are_forgotten() -> None:
    queue = DueQueue()
    for destination in range(5_000):
        queue.add(lane(destination), NOW, destination)
        take(queue, 9)
    take(queue, 9)
    assert queue.held().lanes <= 1
    assert queue.held().alarms < 1_000


def test_waiting_counts_the_due_jobs_of_one_destination() -> None:
    queue = queue_of((lane(1), NOW, 1), (lane(1, 5), NOW - 1, 2), (lane(1), NOW + 1, 3), (lane(2), NOW, 4))
    assert queue.waiting(1, NOW) == 2
    assert queue.waiting(9, NOW) == 0
