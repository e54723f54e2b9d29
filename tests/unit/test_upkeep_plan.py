"""The plan says what may be truncated, who is defragmented and when an alarm may go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.node.etcd.upkeep_plan import (
    AT_REST_MS,
    ENTRIES_PER_STEP,
    PRESSURE_HIGH,
    LogSize,
    MemberSize,
    is_due,
    is_worth_truncating,
    pressure,
    to_defragment,
    to_disarm,
    truncate_upto,
)
from hookline.protocol.limits import LOG_BYTES_MAX, LOG_ENTRIES_MAX

GIB = 2**30
QUOTA = 2 * GIB


def upto(log: LogSize, *, quota: int = QUOTA, all_known: bool = True, **durable: int) -> int:
    return truncate_upto(log, durable, "own", quota, all_known=all_known)


def size(endpoint: int, file: float, used: float, *, leads: bool = False) -> MemberSize:
    """``file`` and ``used`` as shares of the quota."""
    return MemberSize(endpoint, 100 + endpoint, int(file * QUOTA), int(used * QUOTA), leads)


def test_what_every_node_has_durably_may_go() -> None:
    assert upto(LogSize(1, 900, 0), own=800, a=700, b=750) == 700


def test_the_newest_entry_stays() -> None:
    assert upto(LogSize(1, 900, 0), own=900, a=900, b=900) == 899
    assert upto(LogSize(900, 900, 0), own=900, a=900) < 900


def test_nothing_goes_before_this_nodes_own_index_is_known_or_from_an_empty_log() -> None:
    assert upto(LogSize(1, 900, 0), a=700, b=750) == 0
    assert upto(LogSize(1, 0, 0), own=700) == 0


def test_while_not_all_are_known_only_the_cap_truncates() -> None:
    assert upto(LogSize(1, 900, 0), own=900, all_known=False) < 1
    last = LOG_ENTRIES_MAX + 50
    assert upto(LogSize(1, last, 0), own=last, all_known=False) == 50


def test_a_node_that_is_away_pins_up_to_the_cap_and_no_more() -> None:
    last = LOG_ENTRIES_MAX + 50
    assert upto(LogSize(1, LOG_ENTRIES_MAX - 1, 0), own=LOG_ENTRIES_MAX - 1, away=7) == 7
    assert upto(LogSize(1, last, 0), own=last, away=7) == 50


def test_the_cap_in_bytes_keeps_the_newest_entries_that_fit() -> None:
    log = LogSize(1, 1_000, 2 * LOG_BYTES_MAX)
    assert upto(log, own=1_000, away=0) == 500
    assert upto(LogSize(1, 1_000, LOG_BYTES_MAX), own=1_000, away=0) == 0


def test_a_small_quota_makes_the_cap_smaller() -> None:
    assert upto(LogSize(1, 1_000, 40 * 2**20), quota=50 * 2**20, own=1_000, away=0) == 500


def test_even_the_cap_leaves_what_this_node_does_not_have_durably() -> None:
    last = 3 * LOG_ENTRIES_MAX
    assert upto(LogSize(1, last, 0), own=12, away=0) == 12


def test_one_step_deletes_a_bounded_number() -> None:
    assert upto(LogSize(11, 90_000, 0), own=90_000, a=80_000) == 10 + ENTRIES_PER_STEP


@given(
    first=st.integers(1, 10**6),
    entries=st.integers(0, 10**6),
    log_bytes=st.integers(0, 2**31),
    own=st.integers(0, 10**7),
    others=st.lists(st.integers(0, 10**7), max_size=2),
    all_known=st.booleans(),
)
def test_it_never_takes_what_would_be_missed(
    first: int, entries: int, log_bytes: int, own: int, others: list[int], all_known: bool
) -> None:
    log = LogSize(first, first + entries - 1, log_bytes)
    durable = {"own": own, **{f"n{number}": index for number, index in enumerate(others)}}
    upto = truncate_upto(log, durable, "own", QUOTA, all_known=all_known)
    assert upto <= own
    assert upto < max(log.last, 1)
    if log.entries <= LOG_ENTRIES_MAX and log_bytes <= LOG_BYTES_MAX:
        assert upto < first or upto <= min(durable.values())


@pytest.mark.parametrize(
    ("file", "used", "is_full", "expected"),
    [
        (0.4, 0.1, False, False),
        (0.51, 0.2, False, True),
        (0.51, 0.3, False, False),
        (0.81, 0.5, False, True),
        (0.81, 0.7, False, False),
        (1.0, 0.9, True, True),
        (0.4, 0.1, True, False),
    ],
)
def test_whose_file_is_rewritten(file: float, used: float, is_full: bool, expected: bool) -> None:
    assert bool(to_defragment([size(0, file, used)], QUOTA, is_full=is_full)) is expected


def test_etcds_leader_is_defragmented_last() -> None:
    members = [size(0, 0.9, 0.1), size(1, 0.9, 0.1, leads=True), size(2, 0.9, 0.1)]
    assert [member.endpoint for member in to_defragment(members, QUOTA, is_full=True)] == [0, 2, 1]


def test_the_fullest_member_makes_the_pressure() -> None:
    assert pressure([size(0, 0.9, 0.25), size(1, 0.9, 0.5)], QUOTA, is_full=False) == pytest.approx(0.5)
    assert pressure([size(0, 2.0, 1.5)], QUOTA, is_full=False) == 1
    assert pressure([size(0, 0.9, 0.2)], QUOTA, is_full=True) == 1
    assert pressure([], QUOTA, is_full=False) == 0


def test_an_alarm_goes_only_where_there_is_room_again() -> None:
    members = [size(0, 0.3, 0.2), size(1, 0.99, 0.9), size(2, 0.3, 0.2)]
    assert to_disarm([100, 101], members, QUOTA) == [100]
    assert to_disarm([], members, QUOTA) == []
    assert to_disarm([999], members, QUOTA) == []


def test_what_makes_room_is_due_once_a_minute_and_at_every_step_when_it_gets_tight() -> None:
    assert not is_due(0.5, AT_REST_MS - 1)
    assert is_due(0.0, AT_REST_MS)
    assert is_due(0.51, 0)


@pytest.mark.parametrize(
    ("log", "upto", "due", "expected"),
    [
        (LogSize(1, 1_000, 0), 99, False, False),
        (LogSize(1, 1_000, 0), 100, False, True),
        (LogSize(1, 30, 6 * 2**20), 2, False, True),  # two of 30 large entries are a twentieth of the quota
        (LogSize(1, 30, 6 * 2**20), 1, False, False),
        (LogSize(1, 30, 6 * 2**20), 1, True, True),
        (LogSize(10, 30, 6 * 2**20), 9, True, False),
        (LogSize(1, 0, 0), 0, True, False),
    ],
)
def test_few_entries_go_when_they_are_large_or_it_is_time(log: LogSize, upto: int, due: bool, expected: bool) -> None:
    assert is_worth_truncating(log, upto, 8 * 2**20, is_due=due) is expected


@given(
    sizes=st.lists(st.integers(1_000, 512 * 1024), min_size=1, max_size=60),
    quota=st.sampled_from([4 * 2**20, 8 * 2**20, 32 * 2**20]),
    dead=st.booleans(),
)
def test_whatever_the_entries_are_new_jobs_are_taken_again_without_one_more(
    sizes: list[int], quota: int, dead: bool
) -> None:
    """The nodes make durable what they have; a dead one pins what the caps allow. The newest entry always stays."""
    last, first = len(sizes), 1
    durable = dict.fromkeys(("own", "n2", "n3"), last) | ({"n3": 0} if dead else {})
    for _ in range(2 * last):
        used = 300_000 + sum(sizes[first - 1 :])
        log = LogSize(first, last, used)
        upto = truncate_upto(log, durable, "own", quota, all_known=True)
        if is_worth_truncating(log, upto, quota, is_due=is_due(used / quota, 0)):
            first = upto + 1
    assert first == last or (300_000 + sum(sizes[first - 1 :])) / quota <= PRESSURE_HIGH
