import asyncio
import re
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.node.state_machine import matching as matching_module
from hookline.node.state_machine import reads as reads_module
from hookline.node.state_machine import sql
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.matching import JobFilter
from hookline.node.state_machine.reads import STATEMENTS, Reads
from hookline.protocol.codec import VERSION, Entry
from hookline.protocol.commands import CancelJobs, CreateJob, PutSchedule
from hookline.protocol.jobs import DEFAULT_TENANT, JobSpec, RetryPolicy, State, Work, work_of
from hookline.protocol.settings import ScheduleSpec, encode

CALENDAR = ScheduleSpec("* * * * *", "UTC", "all", 1, False, 0, None, None)
HOSTS = ("https://a.example:443", "https://b.example:443")
STEP_MS = 2


class Made(NamedTuple):
    destination: str
    labels: dict[str, str]
    gone: bool = False  # cancelled
    jitter_ms: int = 0  # of the clock that stamped it
    statuses: tuple[int | None, ...] = ()  # of its attempts
    schedule: int | None = None
    error: str = ""  # of each of its attempts
    tenant: str = DEFAULT_TENANT

    def created_ms(self, number: int) -> int:
        return 1_000 + number + self.jitter_ms


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_query_scans_a_table(name: str) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(sql.text("schema.sql"))
    query = STATEMENTS[name]
    count = max([int(number) for number in re.findall(r"\?(\d)", query)] or [query.count("?")])
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", (1,) * count)]
    assert plan
    # The numbers that a statement is given, as JSON, are gone through; they are as many as the caller says.
    steps = [step for step in plan if "wanted VIRTUAL TABLE" not in step]
    assert not [step for step in steps if "SCAN" in step or "TEMP B-TREE" in step]


def state_of(made: list[Made], path: Path) -> StateMachine:
    machine = StateMachine(open_state(path))
    commands = []
    for number, one in enumerate(made, 1):
        destination, labels = one.destination, one.labels
        spec = JobSpec(
            url=destination + "/",
            destination=destination,
            method="POST",
            headers=(),
            body=b"x" * number,
            is_json=False,
            timeout_ms=1_000,
            retry=RetryPolicy(),
            at_most_once=False,
            priority=number % 7 - 3,
            labels=labels,
        )
        commands.append(CreateJob(f"job-{number}", 1_000, work_of(spec, one.tenant)))
    cancelled = tuple(number for number, one in enumerate(made, 1) if one.gone)
    machine.apply(Entry(VERSION, 1, 1, 1_000, b"n", b"", (*commands, CancelJobs(cancelled))))
    work = Work(DEFAULT_TENANT, HOSTS[0], 0, False, 0, 1_000, (), b"")
    put = [PutSchedule(name, 0, encode(CALENDAR), work, None, False) for name in ("s", "t", "u")]
    machine.apply(Entry(VERSION, 1, 2, 1_000, b"n", machine.digest, tuple(put)))
    for number, one in enumerate(made, 1):
        writer = machine.database.writer
        figures = (one.created_ms(number), one.schedule, number)
        writer.execute("UPDATE jobs SET created_ms = ?, schedule = ? WHERE seq = ?", figures)
        for attempt, status in enumerate(one.statuses, 1):
            writer.execute(
                "INSERT INTO attempts VALUES (?, ?, 0, ?, ?, 0, 0, '', 1, NULL, NULL)",
                (number, attempt, status, one.error if attempt == len(one.statuses) else "an older one"),
            )
    machine.commit()
    return machine


jobs = st.lists(
    st.builds(
        Made,
        st.sampled_from(HOSTS),
        st.dictionaries(st.sampled_from(["t", "u", "tu"]), st.sampled_from(["1", "2", "3"]), max_size=2),
        st.booleans(),
        st.integers(0, STEP_MS),
        st.lists(st.sampled_from([None, 200, 404, 500, 503]), max_size=2).map(tuple),
        st.sampled_from([None, 1, 2]),
        st.sampled_from(["", "Connection refused", "the read timed out"]),
        st.sampled_from([DEFAULT_TENANT, DEFAULT_TENANT, "acme"]),
    ),
    max_size=25,
)
filters = st.builds(
    JobFilter,
    state=st.none() | st.sampled_from([State.PENDING, State.CANCELLED, State.SUCCEEDED]),
    label=st.none() | st.sampled_from(["t", "u", "t=1", "u:2", "none"]),
    destination=st.none() | st.sampled_from([*HOSTS, "https://none.example:443"]),
    created_after_ms=st.sampled_from([None, None, 0, 999, 1_005, 1_040]),
    created_before_ms=st.sampled_from([None, None, 0, 1_005, 1_015, 1_040]),
    schedule=st.sampled_from([None, None, "s", "t", "none"]),
    statuses=st.sampled_from([None, None, (503, 503), (500, 599), (200, 299)]),
    error=st.sampled_from([None, None, None, "refused", "TIMED", "an older"]),
)


def matches(number: int, made: Made, wanted: JobFilter) -> bool:
    """The same by brute force."""
    destination, labels, gone, _, statuses, schedule, error, _ = made
    created_ms = made.created_ms(number)
    if wanted.state is not None and wanted.state is not (State.CANCELLED if gone else State.PENDING):
        return False
    if wanted.destination is not None and wanted.destination != destination:
        return False
    if wanted.created_after_ms is not None and created_ms <= wanted.created_after_ms:
        return False
    if wanted.created_before_ms is not None and created_ms >= wanted.created_before_ms:
        return False
    if wanted.schedule is not None and schedule != {"s": 1, "t": 2}.get(wanted.schedule, 0):
        return False
    if wanted.statuses is not None:
        first, last = wanted.statuses
        if not statuses or not first <= (statuses[-1] or 0) <= last:
            return False
    if wanted.error is not None and (not statuses or wanted.error.lower() not in error.lower()):
        return False
    if wanted.label is None:
        return True
    name, _, value = wanted.label.replace(":", "=").partition("=")
    return name in labels and (not value or labels[name] == value)


@given(
    made=jobs,
    tenant=st.sampled_from([DEFAULT_TENANT, DEFAULT_TENANT, "acme"]),
    wanted=filters,
    limit=st.integers(1, 6),
    window=st.integers(1, 5),
    budget=st.integers(1, 8),
)
def test_pages_together_are_exactly_what_matches(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[Made],
    tenant: str,
    wanted: JobFilter,
    limit: int,
    window: int,
    budget: int,
) -> None:
    machine = state_of(made, tmp_path_factory.mktemp("state") / "state.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reads_module, "WINDOW_ROWS", window)
        patch.setattr(reads_module, "SCAN_ROWS_MAX", budget)
        patch.setattr(reads_module, "CLOCK_STEP_MS", STEP_MS)
        patch.setattr(matching_module, "CLOCK_STEP_MS", STEP_MS)
        seen = asyncio.run(all_pages(Reads(machine.database.reader), tenant, wanted, limit))
    machine.database.close()

    def is_seen(number: int, one: Made) -> bool:
        if one.tenant != tenant or (wanted.schedule is not None and tenant != DEFAULT_TENANT):
            return False  # only the default tenant has schedules
        return matches(number, one, wanted)

    assert seen == [number for number in range(len(made), 0, -1) if is_seen(number, made[number - 1])]


async def all_pages(reads: Reads, tenant: str, wanted: JobFilter, limit: int) -> list[int]:
    seen: list[int] = []
    before = None
    while True:
        found = await reads.find(tenant, wanted, before, limit)
        assert len(found.matches) <= limit
        seen += [match.seq for match in found.matches]
        if found.next_before is None:
            return seen
        assert before is None or found.next_before < before, "each page gets further"
        before = found.next_before


def test_values_of_a_label_are_merged_without_losing_the_rest_of_a_full_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = ["1", "2", "1", "1", "1", "2"]
    machine = state_of([Made(HOSTS[0], {"t": value}) for value in values], tmp_path / "state.db")
    monkeypatch.setattr(reads_module, "WINDOW_ROWS", 3)  # one row of each value, and of the plain label, at a time
    assert asyncio.run(all_pages(Reads(machine.database.reader), "", JobFilter(label="t"), 10)) == [6, 5, 4, 3, 2, 1]
    machine.database.close()


def test_old_jobs_are_found_without_going_through_the_newer_ones(tmp_path: Path) -> None:
    made = [Made(HOSTS[0], {}) for _ in range(3_000)]
    machine = state_of(made[:1], tmp_path / "state.db")
    writer = machine.database.writer
    hour_ms = 3_600_000
    for number in range(2, 3_001):
        writer.execute(
            "INSERT INTO jobs (seq, id, tenant, state, lane, due_ms, run_at_ms, created_ms, budget_from_ms,"
            " at_most_once, size, timeout_ms) VALUES (?1, ?1, '', 2, 0, 0, 0, ?2, 0, 0, 1, 1)",
            (number, number * hour_ms),
        )
    reads = Reads(machine.database.reader)
    looked_at = 0

    def counted(_cursor: apsw.Cursor, row: tuple[Any, ...]) -> tuple[Any, ...]:
        nonlocal looked_at
        looked_at += 1
        return row

    machine.database.reader.row_trace = counted
    found = asyncio.run(reads.find(DEFAULT_TENANT, JobFilter(created_before_ms=10 * hour_ms), None, 5))
    assert [match.seq for match in found.matches] == [9, 8, 7, 6, 5]
    assert 5 <= looked_at < 60
    machine.database.close()
