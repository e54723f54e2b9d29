"""Plain numbers show the same as prometheus_client itself after the same events."""

import re

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from hookline.node.metrics import NodeMetrics
from hookline.telemetry.tallies import Spread, Tallies

BUCKETS = (0.001, 0.5, 1, 30)
numbers = st.sampled_from(BUCKETS) | st.floats(0, 1e6)
GOLDEN = """\
# HELP hookline_attempts_total Attempts by outcome: `success`, `retryable_failure`, `permanent_failure`, `unknown`.
# TYPE hookline_attempts_total counter
hookline_attempts_total{outcome="success"} 2.0
# HELP hookline_attempts_created Attempts by outcome: `success`, `retryable_failure`, `permanent_failure`, `unknown`.
# TYPE hookline_attempts_created gauge
hookline_attempts_created{outcome="success"} AT
# HELP hookline_due_lag_seconds From the time an attempt was due to the time its request was sent.
# TYPE hookline_due_lag_seconds histogram
hookline_due_lag_seconds_bucket{le="0.001"} 1.0
hookline_due_lag_seconds_bucket{le="0.002"} 1.0
hookline_due_lag_seconds_bucket{le="0.005"} 2.0
hookline_due_lag_seconds_bucket{le="0.01"} 2.0
hookline_due_lag_seconds_bucket{le="0.02"} 2.0
hookline_due_lag_seconds_bucket{le="0.05"} 2.0
hookline_due_lag_seconds_bucket{le="0.1"} 2.0
hookline_due_lag_seconds_bucket{le="0.5"} 2.0
hookline_due_lag_seconds_bucket{le="1.0"} 2.0
hookline_due_lag_seconds_bucket{le="5.0"} 2.0
hookline_due_lag_seconds_bucket{le="30.0"} 2.0
hookline_due_lag_seconds_bucket{le="300.0"} 2.0
hookline_due_lag_seconds_bucket{le="+Inf"} 3.0
hookline_due_lag_seconds_count 3.0
hookline_due_lag_seconds_sum 400.004
# HELP hookline_due_lag_seconds_created From the time an attempt was due to the time its request was sent.
# TYPE hookline_due_lag_seconds_created gauge
hookline_due_lag_seconds_created AT
"""


def shown(registry: CollectorRegistry) -> str:
    """All of it but the times at which they began."""
    return re.sub(r"(?m)^(\w+_created(?:\{.*\})?) .*", r"\1 AT", generate_latest(registry).decode())


@given(st.lists(numbers, max_size=30), st.lists(st.sampled_from("ab"), max_size=20), st.lists(st.integers(0, 9)))
def test_the_same_events_show_the_same(spread: list[float], labels: list[str], amounts: list[int]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    our_spread = Spread("seconds", "Spread.", buckets=BUCKETS, registry=ours)
    their_spread = Histogram("seconds", "Spread.", buckets=BUCKETS, registry=theirs)
    our_labelled = Tallies("refused", "By code.", ["code"], ours)
    their_labelled = Counter("refused", "By code.", ["code"], registry=theirs)
    our_plain = Tallies("commands", "All.", [], ours).labels()
    their_plain = Counter("commands", "All.", registry=theirs)
    assert shown(ours) == shown(theirs)
    for value in spread:
        our_spread.observe(value)
        their_spread.observe(value)
    for label in labels:
        our_labelled.labels(label).inc()
        their_labelled.labels(label).inc()
    for amount in amounts:
        our_plain.inc(amount)
        their_plain.inc(amount)
    assert shown(ours) == shown(theirs)
    assert shown(ours) == shown(theirs), "looking changes nothing"


def test_the_text_of_a_node_is_as_it_was() -> None:
    metrics = NodeMetrics()
    for seconds in (0.001, 0.003, 400):
        metrics.due_lag.observe(seconds)
    metrics.attempts.labels("success").inc()
    metrics.attempts.labels("success").inc()
    text = shown(metrics.registry)
    assert GOLDEN in text
