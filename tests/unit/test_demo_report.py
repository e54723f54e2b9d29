"""The demo's table and its checks: it must not call a run good that was not."""

from dataclasses import replace

import msgspec
import pytest
from rich.console import Console

from hookline.cli.demo.plan import CANCELLED, FLAKY, GONE, JOBS, KINDS, NOW, RECURRING, SCHEDULE_ID, JobKind, answer_to
from hookline.cli.demo.report import count, kinds_of, problems, summary
from hookline.cli.receiver import Received
from hookline.client.answers import Job
from tests import scripted_server as served

MADE: dict[str, JobKind] = {"n": NOW, "f": FLAKY, "g": GONE, "c": CANCELLED}


def job(job_id: str, state: str, schedule: str | None = None) -> Job:
    return msgspec.convert(served.job(job_id, state=state, schedule=schedule), Job)


def request(job_id: str, attempt: int = 1, lag_ms: int | None = 3) -> Received:
    return Received(job_id, attempt, False, "POST", "/", (), True, None, lag_ms, 0, b"")


@pytest.fixture
def jobs() -> list[Job]:
    return [
        job("n", "succeeded"),
        job("f", "succeeded"),
        job("g", "dead"),
        job("c", "cancelled"),
        job("t", "succeeded", SCHEDULE_ID),
    ]


@pytest.fixture
def received() -> list[Received]:
    return [
        request("n"),
        *(request("f", attempt, 200 * attempt) for attempt in (1, 2, 3)),
        request("g"),
        request("t", 1, 9),
    ]


def found(jobs: list[Job], received: list[Received]) -> list[str]:
    return problems(jobs, received, MADE, kinds_of(jobs, MADE))


def test_a_good_run_has_no_problems(jobs: list[Job], received: list[Received]) -> None:
    assert found(jobs, received) == []


def test_the_kinds_add_up() -> None:
    assert JOBS == 200
    assert [answer_to("/flaky", attempt) for attempt in (1, 2, 3)] == [503, 503, 200]
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_every_kind_of_failure_is_found(jobs: list[Job], received: list[Received]) -> None:
    assert any("is lost" in line for line in found(jobs[1:], received))
    assert "job n (now) is pending, not succeeded" in found([job("n", "pending"), *jobs[1:]], received)
    assert "job n (now) made 0 requests, not 1" in found(jobs, received[1:])
    assert "attempt 1 of job n came 2 times" in found(jobs, [*received, request("n")])
    assert "job c (cancelled) made 1 requests, not 0" in found(jobs, [*received, request("c")])
    assert "a request for an unknown job x came" in found(jobs, [*received, request("x")])
    forged = replace(received[0], verified=False, why_not="wrong secret")
    assert "the signature of job n does not verify: wrong secret" in found(jobs, [forged, *received[1:]])
    assert "job n came 1 ms early" in found(jobs, [replace(received[0], lag_ms=-1), *received[1:]])


def test_the_table_counts_by_kind(jobs: list[Job], received: list[Received]) -> None:
    kinds = kinds_of(jobs, MADE)
    tallies = count(jobs, received, kinds)
    assert (tallies[FLAKY].jobs, tallies[FLAKY].requests, tallies[FLAKY].lags_ms) == (1, 3, [200])
    assert (tallies[RECURRING].jobs, tallies[RECURRING].lags_ms) == (1, [9])
    console = Console(width=80)
    with console.capture() as captured:
        console.print(summary(tallies))
    lines = captured.get().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[-1].split() == ["all", "5", "3", "6", "1", "1", "3", "ms", "200", "ms", "6/6"]
