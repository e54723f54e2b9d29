"""An attempt's outcome is counted by what came back, and its job from when it was created."""

from hookline.node.content_seal import ContentSeal
from hookline.node.dispatch.outcomes import Outcomes
from hookline.node.metrics import NodeMetrics
from hookline.node.state_machine.leader_reads import ClaimedJob
from hookline.node.vault import Vault
from hookline.protocol.claims import ClaimRef, ClaimReport, Report
from hookline.protocol.jobs import Outcome
from tests.node_parts import T0, ManualClock, job_spec


class Counted:
    """Outcomes of one job's attempts, and the metrics that tell of them."""

    def __init__(self) -> None:
        clock = ManualClock()
        self.metrics = NodeMetrics()
        content = ContentSeal(Vault([b"k" * 32]), clock.token, is_on=False)
        self._outcomes = Outcomes(clock, self.metrics, content, node="n1")

    def decide(self, report: Report, traceparent: str | None = None) -> None:
        job = ClaimedJob("j1", T0, 0, T0, 0, job_spec(traceparent=traceparent), T0 - 700)
        self._outcomes.began(3, job)
        self._outcomes.decide(ClaimReport(ClaimRef(1, 1), 1, report), job, None, now_ms=T0, is_told=False)

    def answers(self) -> dict[str, float]:
        (family,) = self.metrics.attempt_answers.collect()
        return {s.labels["class"]: s.value for s in family.samples if s.value and s.name.endswith("_total")}


def test_attempts_are_counted_by_what_came_back() -> None:
    counted = Counted()
    for status in (200, 204, 302, 404, 500, 599, 999):
        outcome = Outcome.SUCCESS if status < 300 else Outcome.RETRYABLE_FAILURE
        counted.decide(Report(outcome, "good", T0, 5, sent=True, status=status))
    counted.decide(Report(Outcome.RETRYABLE_FAILURE, "timeout", T0, 5, sent=True, trouble="timeout"))
    counted.decide(Report(Outcome.RETRYABLE_FAILURE, "bad", T0, 5, trouble="connection"))
    counted.decide(Report(Outcome.UNKNOWN, "none", T0, 5))
    assert counted.answers() == {"2xx": 2, "3xx": 1, "4xx": 1, "5xx": 2, "none": 2, "timeout": 1, "connection": 1}


def test_creation_to_success_is_that_of_attempts_that_succeeded() -> None:
    counted = Counted()
    counted.decide(Report(Outcome.RETRYABLE_FAILURE, "bad", T0, 5, sent=True, status=500))
    assert sum(counted.metrics.success_seconds.counts.values()) == 0
    counted.decide(Report(Outcome.SUCCESS, "good", T0 + 200, 50, sent=True, status=200))
    assert {bound for bound, count in counted.metrics.success_seconds.counts.items() if count} == {1.0}, "950 ms"


def test_a_bucket_names_the_trace_that_is_recorded() -> None:
    counted = Counted()
    ok = Report(Outcome.SUCCESS, "good", T0, 5, sent=True, status=200)
    for trace, flags in (("a", "01"), ("b", "00"), ("c", "02")):
        counted.decide(ok, f"00-{trace * 32}-{'1' * 16}-{flags}")
    counted.decide(ok)
    for spread in (counted.metrics.due_lag, counted.metrics.success_seconds):
        (family,) = spread.collect()
        assert [sample.exemplar.labels for sample in family.samples if sample.exemplar] == [{"trace_id": "a" * 32}]
