"""``deploy/prometheus`` and ``deploy/grafana``: the alerts do what they say, and all that they ask for exists."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hookline.node.metrics import NodeMetrics
from hookline.proxy.metrics import ProxyMetrics
from hookline.telemetry.tallies import MetricRow
from hookline.worker.metrics import WorkerMetrics
from tests.integration.node_under_test import NodeUnderTest
from tests.integration.proxy_under_test import Clusters
from tests.integration.test_metrics import on_the_page

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules.yml"
TESTS = PROMETHEUS / "rules_test.yml"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
DOCS = "https://hookline.dev/docs/"
# Of `promtool check metrics`: what it says of names that are right.
TOLERATED = re.compile(r"_created |^hookline_\w+_timestamp_seconds ")


def promtool(*arguments: object, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["promtool", *map(str, arguments)], input=given, capture_output=True, check=False)


def metrics_in(text: str) -> set[str]:
    """Names of metrics in expressions, histograms as the reference names them."""
    names = re.findall(r"\b(?:hookline|process)_\w+", text)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def rows() -> dict[str, MetricRow]:
    return {row.name: row for one in (WorkerMetrics(), ProxyMetrics(), NodeMetrics()) for row in one.registry.rows}


def expressions(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def test_prometheus_takes_the_files_and_the_alerts_pass_their_tests() -> None:
    for arguments in (
        ("check", "rules", RULES),
        ("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml"),
        ("test", "rules", TESTS),
    ):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_alert_does_not_pass(tmp_path: Path) -> None:
    text = RULES.read_text()
    (tmp_path / "rules_test.yml").write_text(TESTS.read_text())
    for right, wrong in (("hookline_clock_trusted == 0", "hookline_clock_trusted == 1"), ("for: 30s", "for: 30m")):
        assert right in text
        (tmp_path / "rules.yml").write_text(text.replace(right, wrong))
        assert promtool("test", "rules", tmp_path / "rules_test.yml").returncode != 0


def test_each_alert_has_a_test_in_which_it_fires() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert len(alerts) == len(set(alerts)) > 20
    tests = re.split(r"^  - name: ", TESTS.read_text(), flags=re.M)[1:]
    firing = [test.split("\n")[0] for test in tests if "exp_labels:" in test and "exp_alerts: []" in test]
    assert firing == alerts


@pytest.mark.parametrize("file", [RULES, *DASHBOARDS], ids=lambda file: file.name)
def test_all_metrics_that_are_asked_for_are_in_the_reference(file: Path) -> None:
    text = file.read_text() if file is RULES else "\n".join(expressions(json.loads(file.read_text())))
    known = on_the_page("A node", "A proxy", "A worker")
    asked = metrics_in(text)
    assert len(asked) > 10
    assert sorted(asked - known.keys()) == []
    for name in asked:
        assert (f"{name}_bucket" in text) == (known[name] == "histogram"), name


@pytest.mark.parametrize("file", [RULES, *DASHBOARDS], ids=lambda file: file.name)
def test_labels_that_are_asked_for_are_there(file: Path) -> None:
    """``metric{label…}``; those of a target come from Prometheus."""
    text = file.read_text().replace('\\"', '"')
    of_target = {"cluster", "job", "instance", "le"}
    for name, selector in re.findall(r"\b((?:hookline|process)_\w+)\{([^}]*)\}", text):
        row = rows()[re.sub(r"_(bucket|sum|count)$", "", name)]
        asked = set(re.findall(r"(\w+)(?:=~|!=|!~|=)", selector))
        assert asked <= of_target | set(row.labels), (name, selector)


def test_dashboards_show_each_metric_that_is_not_about_one_process() -> None:
    shown = metrics_in("\n".join(expr for file in DASHBOARDS for expr in expressions(json.loads(file.read_text()))))
    alerted = metrics_in(RULES.read_text())
    left = {name for name in rows() if name not in shown | alerted}
    assert left == {
        "hookline_applied_index",  # the lag is shown
        "hookline_build_info",
        "hookline_durable_index",
        "hookline_etcd_database_used_bytes",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
    }


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_a_dashboard_has_its_panels_side_by_side(file: Path) -> None:
    panels = json.loads(file.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)), "two panels lie over each other"
    assert max(x for x, _ in cells) < 24


def test_each_alert_leads_to_a_page_that_helps() -> None:
    text = RULES.read_text()
    links = re.findall(r"runbook_url: (\S+)", text)
    assert len(links) == text.count("- alert:")
    for link in links:
        page, _, anchor = link.removeprefix(DOCS).partition("/#")
        markdown = (ROOT / "docs" / f"{page.rstrip('/')}.md").read_text()
        titles = {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall("^#+ (.+)", markdown, re.M)
        }
        assert not anchor or anchor in titles, link


def test_names_are_as_prometheus_wants_them(node: NodeUnderTest, three: Clusters) -> None:
    for text in (node.get("/metrics").body, three.start_proxy().get("/metrics").body, WorkerMetrics().shown("")[0]):
        done = promtool("check", "metrics", given=text)
        said = [line for line in done.stderr.decode().splitlines() if not TOLERATED.search(line)]
        assert said == []
