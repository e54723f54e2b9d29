"""``GET /metrics``: all that a process shows is in the reference, in both formats, and nobody makes it grow."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from hookline.node.api.metrics import RUNNERS_MAX
from hookline.node.dispatch.seats import RunnerStatus
from hookline.worker.metrics import WorkerMetrics
from tests.integration.conftest import StartNode
from tests.integration.node_under_test import Answer, NodeUnderTest
from tests.integration.proxy_under_test import Clusters

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
parse_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics_parser.text_string_to_metric_families
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


def on_the_page(*sections: str) -> dict[str, str]:
    """Names and types of what the reference has in these sections, and in that of every process."""
    found: dict[str, str] = {}
    for section in PAGE.read_text().split("\n## ")[1:]:
        if section.split("\n")[0] in ("Every process", *sections):
            found |= dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", section, re.M))
    return found


def shown(families: Iterable[Metric]) -> dict[str, str]:
    """Names as the page has them, and types; without those that tell when a metric began."""
    found = {}
    for family in families:
        if not family.name.endswith("_created"):
            found[family.name + ("_total" if family.type == "counter" else "")] = family.type
    return found


def value(answer: Answer, name: str, **labels: str) -> float | None:
    """Of one sample."""
    for family in parse_text(answer.body.decode()):
        for sample in family.samples:
            if (sample.name, sample.labels) == (name, labels):
                return float(sample.value)
    return None


def series(answer: Answer) -> int:
    return sum(not line.startswith(b"#") for line in answer.body.splitlines())


def test_all_that_a_node_shows_is_on_the_page_and_the_reverse(node: NodeUnderTest) -> None:
    assert shown(parse_text(node.get("/metrics").body.decode())) == on_the_page("A node")


def test_all_that_a_proxy_shows_is_on_the_page_and_the_reverse(three: Clusters) -> None:
    assert shown(parse_text(three.start_proxy().get("/metrics").body.decode())) == on_the_page("A proxy")


def test_all_that_a_worker_shows_is_on_the_page_and_the_reverse() -> None:
    text, _ = WorkerMetrics().shown("")
    assert shown(parse_text(text.decode())) == on_the_page("A worker")


def test_openmetrics_to_whom_asks_for_it(node: NodeUnderTest) -> None:
    node.create()
    node.services.metrics.due_lag.observe(0.003, "0af7651916cd43dd8448eb211c80319c")
    plain, asked = node.get("/metrics"), node.call("GET", "/metrics", headers={"Accept": OPENMETRICS})
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert asked.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert asked.body.endswith(b"# EOF\n")
    families = {family.name: family for family in parse_openmetrics(asked.body.decode())}
    assert shown(families.values()) == on_the_page("A node")
    exemplars = [sample.exemplar for sample in families["hookline_due_lag_seconds"].samples if sample.exemplar]
    assert [(one.labels, one.value) for one in exemplars] == [({"trace_id": "0af7651916cd43dd8448eb211c80319c"}, 0.003)]
    assert b"0af7651916cd43dd" not in plain.body, "the older format has no exemplars"


@pytest.mark.parametrize(
    ("accept", "is_open"),
    [
        ("", False),
        ("*/*", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.3", False),
        ("text/plain;q=0.3,Application/OpenMetrics-Text; version=1.0.0; q=0.4", True),
        ("application/openmetrics-text;q=high", False),
    ],
)
def test_the_better_liked_format_is_given(accept: str, is_open: bool) -> None:
    _, media = WorkerMetrics().shown(accept)
    assert media.startswith(b"application/openmetrics-text" if is_open else b"text/plain")


def test_the_log_its_indices_and_the_batches(node: NodeUnderTest) -> None:
    before = node.get("/metrics")
    node.post("/jobs/batch", {"jobs": [{"url": "https://example.com/hook"}] * 30})
    after = node.get("/metrics")
    applied = value(after, "hookline_applied_index")
    assert applied == node.replica.applied
    assert applied == value(after, "hookline_log_index") == value(after, "hookline_durable_index")
    assert value(after, "hookline_apply_lag_entries") == value(after, "hookline_durable_lag_entries") == 0
    assert value(after, "hookline_is_leader") == 1
    assert value(before, "hookline_commit_batch_commands_bucket", le="20.0") == value(
        after, "hookline_commit_batch_commands_bucket", le="20.0"
    )
    grown = [
        (value(after, name) or 0) - (value(before, name) or 0)
        for name in ("hookline_commit_batch_commands_count", "hookline_commit_commands_total")
    ]
    assert grown == [1, 30]


def test_destinations_and_refusals_do_not_add_series(node: NodeUnderTest) -> None:
    node.create()
    node.create(url="https://example.org/")
    assert node.get("/jobs/unknown").status == 404
    before = node.get("/metrics")
    jobs = [{"url": f"https://host-{number}.example.com/", "labels": {f"k{number}": "v"}} for number in range(500)]
    assert node.post("/jobs/batch", {"jobs": jobs}).status == 200
    for number in range(20):
        assert node.get(f"/jobs/unknown-{number}").status == 404
        node.run(node.create(url=f"https://other-{number}.example.com/")["id"])
    after = node.get("/metrics")
    assert value(after, "hookline_rejections_total", code="job_not_found") == 21
    assert series(after) == series(before)


def test_runners_are_named_up_to_a_bound(start_node: StartNode) -> None:
    with start_node() as node:
        node.delivery.runs = [RunnerStatus("n1", "leader", 100, 7)]
        one = node.get("/metrics")
        assert value(one, "hookline_runner_slots_used", runner="n1", kind="leader") == 7
        assert value(one, "hookline_runner_slots_max", runner="n1", kind="leader") == 100
        node.delivery.runs += [RunnerStatus(f"worker-{number}", "worker", 10, 1) for number in range(300)]
        many = node.get("/metrics")
        assert value(many, "hookline_runner_slots_used", runner="other", kind="worker") == 300 - (RUNNERS_MAX - 1)
        assert series(many) - series(one) == 2 * RUNNERS_MAX
        node.delivery.runs = [RunnerStatus("n1", "leader", 100, 0)]
        assert series(node.get("/metrics")) == series(one), "those that are gone are forgotten"


def test_open_breakers_are_counted(node: NodeUnderTest) -> None:
    answer = node.get("/metrics")
    states = ("open", "half_open")
    assert [value(answer, "hookline_destination_breakers", state=state) for state in states] == [2, 0]
