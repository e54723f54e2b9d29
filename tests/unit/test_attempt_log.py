"""The log tells of attempts: a line each, and in a flood a count."""

import asyncio
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from hookline.node.dispatch import attempt_log
from hookline.node.dispatch.attempt_log import LINES_MAX, PERIOD_MS, AttemptLog, LineBudget
from hookline.node.dispatch.retry import Next
from hookline.node.state_machine.effects import Ended
from hookline.node.state_machine.leader_reads import ClaimedJob, NamedJob
from hookline.protocol.claims import Report
from hookline.protocol.jobs import Outcome, State, lane_of
from hookline.testing import InProcessNode, answer, refuse, run
from tests.node_parts import ManualClock, job_spec

URL = "https://user.example/secret-path?token=abc"
AGAIN = Next(State.PENDING, 1_767_225_600_000)
DEAD = Next(State.DEAD, None)


@pytest.fixture(autouse=True)
def fresh_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier test may have configured logging for a whole process, with a level and a cache."""
    structlog.reset_defaults()
    monkeypatch.setattr(attempt_log, "_log", structlog.get_logger())


def failed(**changes: Any) -> Report:
    usual: dict[str, Any] = {"outcome": Outcome.RETRYABLE_FAILURE, "verdict": "bad", "started_ms": 0, "duration_ms": 1}
    return Report(**(usual | changes))


def claimed(**spec: Any) -> ClaimedJob:
    return ClaimedJob("j1", 0, 0, 0, 0, job_spec(url=URL, **spec))


def test_each_failed_and_each_dead_delivery_is_a_line_with_what_is_needed() -> None:
    async def main() -> list[Any]:
        async with InProcessNode() as node:
            node.receiver.next(answer(503), refuse(), answer(410))
            with capture_logs() as lines:
                await node.finished(await node.client.create_job(URL, payload={"card": "4111"}, id="j1"))
                await node.finished(await node.client.create_job(URL, id="j2"))
            return [line for line in lines if line["event"] in ("attempt_failed", "job_dead", "job_delivered")]

    lines = run(main())
    kinds = [(line["log_level"], line["event"], line["job"], line["attempt"], line.get("status")) for line in lines]
    assert kinds == [
        ("info", "attempt_failed", "j1", 1, 503),
        ("info", "attempt_failed", "j1", 2, None),
        ("warning", "job_dead", "j1", 3, 410),
        ("debug", "job_delivered", "j2", 1, 200),
    ]
    assert all(line["destination"] == "https://user.example:443" for line in lines[:3])
    assert "refused" in lines[1]["error"]
    assert lines[0]["next_attempt_at"].startswith("2026-01-01T00:00:")
    assert not any(secret in str(lines) for secret in ("secret-path", "abc", "4111"))


def test_what_an_error_repeats_of_a_hidden_header_is_masked() -> None:
    with capture_logs() as lines:
        job = claimed(headers=(("Authorization", "Bearer tooth-fairy"),))
        AttemptLog(ManualClock(), lambda spec: spec).ended(job, 1, failed(), DEAD, "this is not HTTP: 'tooth-fairy'")
    assert lines[0]["error"] == "this is not HTTP: '***'"


def test_a_flood_is_counted_and_hides_no_dead_job() -> None:
    async def main() -> list[Any]:
        log = AttemptLog(ManualClock(), lambda spec: spec)
        with capture_logs() as lines:
            for _ in range(10_000):
                log.ended(claimed(), 1, failed(status=500), AGAIN, None)
            log.ended(claimed(), 2, failed(status=500), DEAD, None)
            await asyncio.sleep(PERIOD_MS / 1_000)
        return list(lines)

    lines = run(main())
    assert [line["event"] for line in lines] == [
        *["attempt_failed"] * LINES_MAX,
        "job_dead",
        "attempts_failed_left_out",
    ]
    assert lines[-1]["count"] == 10_000 - LINES_MAX


def test_a_line_names_the_tenant_whose_job_it_is() -> None:
    log = AttemptLog(ManualClock(), lambda spec: spec, {7: "acme", 8: ""}.__getitem__)
    ended = Ended(1, 1, State.DEAD, "lost")
    with capture_logs() as lines:
        for destination in (7, 8):
            job = claimed()._replace(lane=lane_of(destination, 0, False))
            log.ended(job, 1, failed(), AGAIN, None)
            log.ended(job, 1, failed(outcome=Outcome.SUCCESS), AGAIN, None)
        log.lost(NamedJob(1, "j1", "acme", URL), ended)
        log.lost(NamedJob(1, "j1", "", URL), ended)
    assert [line.get("tenant") for line in lines] == ["acme", "acme", None, None, "acme", None]


def test_what_was_left_out_is_told_at_the_end_too() -> None:
    async def main() -> list[Any]:
        log = AttemptLog(ManualClock(), lambda spec: spec)
        with capture_logs() as lines:
            for _ in range(LINES_MAX + 3):
                log.ended(claimed(), 1, failed(), DEAD, None)
            log.tell_left_out()
            log.tell_left_out()
        return [line for line in lines if line["event"] == "jobs_dead_left_out"]

    assert [line["count"] for line in run(main())] == [3]


def test_a_budget_is_full_again_in_the_next_period() -> None:
    budget = LineBudget(lines=2, period_ms=100)
    assert [budget.take(now) for now in (0, 1, 99, 100, 101, 102)] == [True, True, False, True, True, False]
    assert (budget.take_left_out(), budget.take_left_out()) == (2, 0)
