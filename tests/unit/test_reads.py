import asyncio
import re
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.node.state_machine import reads as reads_module
from hookline.node.state_machine import sql
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.reads import STATEMENTS, JobFilter, Reads
from hookline.protocol.codec import VERSION, Entry
from hookline.protocol.commands import CancelJobs, CreateJob
from hookline.protocol.jobs import JobSpec, RetryPolicy, State, encode_spec, label_texts

HOSTS = ("https://a.example:443", "https://b.example:443")
Made = tuple[str, dict[str, str], bool]  # destination, labels, cancelled


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_query_scans_a_table(name: str) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(sql.text("schema.sql"))
    query = STATEMENTS[name]
    count = max([int(number) for number in re.findall(r"\?(\d)", query)] or [query.count("?")])
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", (1,) * count)]
    assert plan
    assert not [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step]


def state_of(made: list[Made], path: Path) -> StateMachine:
    machine = StateMachine(open_state(path))
    commands = []
    for number, (destination, labels, _) in enumerate(made, 1):
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
        texts = tuple(label_texts(labels))
        commands.append(
            CreateJob(
                f"job-{number}", 1_000, destination, spec.priority, False, number, encode_spec(spec), labels=texts
            )
        )
    cancelled = tuple(number for number, (_, _, gone) in enumerate(made, 1) if gone)
    machine.apply(Entry(VERSION, 1, 1, 1_000, b"n", b"", (*commands, CancelJobs(cancelled))))
    machine.commit()
    return machine


jobs = st.lists(
    st.tuples(
        st.sampled_from(HOSTS),
        st.dictionaries(st.sampled_from(["t", "u", "tu"]), st.sampled_from(["1", "2", "3"]), max_size=2),
        st.booleans(),
    ),
    max_size=25,
)
filters = st.builds(
    JobFilter,
    state=st.none() | st.sampled_from([State.PENDING, State.CANCELLED, State.SUCCEEDED]),
    label=st.none() | st.sampled_from(["t", "u", "t=1", "u:2", "none"]),
    destination=st.none() | st.sampled_from([*HOSTS, "https://none.example:443"]),
    created_after_ms=st.sampled_from([None, 0, 999, 1_000]),
)


def matches(made: Made, wanted: JobFilter) -> bool:
    """The same by brute force."""
    destination, labels, gone = made
    if wanted.state is not None and wanted.state is not (State.CANCELLED if gone else State.PENDING):
        return False
    if wanted.destination is not None and wanted.destination != destination:
        return False
    if wanted.created_after_ms is not None and wanted.created_after_ms >= 1_000:
        return False
    if wanted.label is None:
        return True
    name, _, value = wanted.label.replace(":", "=").partition("=")
    return name in labels and (not value or labels[name] == value)


@given(made=jobs, wanted=filters, limit=st.integers(1, 6), window=st.integers(1, 5), budget=st.integers(1, 8))
def test_pages_together_are_exactly_what_matches(
    tmp_path_factory: pytest.TempPathFactory, made: list[Made], wanted: JobFilter, limit: int, window: int, budget: int
) -> None:
    machine = state_of(made, tmp_path_factory.mktemp("state") / "state.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reads_module, "WINDOW_ROWS", window)
        patch.setattr(reads_module, "SCAN_ROWS_MAX", budget)
        seen = asyncio.run(all_pages(Reads(machine.database.reader), wanted, limit))
    machine.database.close()
    assert seen == [number for number in range(len(made), 0, -1) if matches(made[number - 1], wanted)]


async def all_pages(reads: Reads, wanted: JobFilter, limit: int) -> list[int]:
    seen: list[int] = []
    before = None
    while True:
        found = await reads.find(wanted, before, limit)
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
    machine = state_of([(HOSTS[0], {"t": value}, False) for value in values], tmp_path / "state.db")
    monkeypatch.setattr(reads_module, "WINDOW_ROWS", 3)  # one row of each value, and of the plain label, at a time
    assert asyncio.run(all_pages(Reads(machine.database.reader), JobFilter(label="t"), 10)) == [6, 5, 4, 3, 2, 1]
    machine.database.close()
