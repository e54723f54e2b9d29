"""The report on the numbers is what rendering gives, and each of its verdicts can be another one."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from marked_page import BLOCK
from report import charts, claims, costs, page
from report.figures import Measured, read
from report.measure import PARTS
from report.run import CAPACITY, REPOSITORY, ROOT, Places, render

from hookline.cli.plan.calibration import calibration
from hookline.cli.plan.prices import price_table
from tests.benchmarks import example_results as example

KNOWN, PRICES = calibration(), price_table()
PAGE = REPOSITORY.page.read_text(encoding="utf-8")
AGAIN = "run: make numbers ARGS=--render"
Rows = dict[str, list[example.Row]]


def measured(directory: Path, rows: Rows) -> Measured:
    """Those rows, read as the report reads them."""
    example.write(directory, rows)
    return read(directory, REPOSITORY.capacity)


def rendered(found: Measured) -> str:
    return page.render(PAGE, found, KNOWN, PRICES)


def test_the_page_is_up_to_date() -> None:
    assert rendered(read(REPOSITORY.results, REPOSITORY.capacity)) == PAGE, AGAIN


def test_the_pictures_are_up_to_date(tmp_path: Path) -> None:
    drawn = charts.draw(tmp_path, read(REPOSITORY.results, REPOSITORY.capacity), KNOWN, PRICES)
    kept = {path.name: path.read_bytes() for path in REPOSITORY.pictures.iterdir()}
    assert {path.name for path in drawn} == kept.keys(), AGAIN
    for path in drawn:
        assert path.read_bytes() == kept[path.name], f"{path.name}: {AGAIN}"


def test_rendering_again_changes_nothing(tmp_path: Path) -> None:
    for name in ("results", "pictures", "again"):
        (tmp_path / name).mkdir()
    found = measured(tmp_path / "results", example.rows())
    once = rendered(found)
    assert page.render(once, found, KNOWN, PRICES) == once
    first = charts.draw(tmp_path / "pictures", found, KNOWN, PRICES)
    again = charts.draw(tmp_path / "again", found, KNOWN, PRICES)
    assert len(first) == len(PARTS) + 2, "those of the parts, the capacity and the cost"
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_was_not_measured_says_so(name: str, tmp_path: Path) -> None:
    rows = example.rows()
    del rows[name]
    text = rendered(measured(tmp_path, rows))
    assert f"Not measured yet: `make numbers ARGS='--only {name}'`" in text
    assert text.count("Not measured yet: ") == 1
    assert f"numbers/{name}.svg" not in text
    of_part = [line for line in text.splitlines() if line.startswith("|") and f"([{name}](" in line]
    assert of_part
    assert all(line.endswith("| not measured yet | — |") for line in of_part)


def test_without_any_figures_the_page_still_stands(tmp_path: Path) -> None:
    text = page.render(PAGE, read(tmp_path, tmp_path / "none.json"), KNOWN, PRICES)
    assert text.count("Not measured yet: ") == len(PARTS) + 1


def test_the_picture_of_a_part_that_is_gone_goes_too(tmp_path: Path) -> None:
    places = Places(tmp_path / "results", tmp_path / "none.json", tmp_path / "page.md", tmp_path / "pictures")
    places.results.mkdir()
    places.page.write_text(PAGE)
    example.write(places.results, example.rows())
    render(places)
    assert (places.pictures / "lag.svg").exists()
    (places.results / "lag.json").unlink()
    render(places)
    assert not (places.pictures / "lag.svg").exists()
    assert (places.pictures / "herd.svg").exists()


def test_no_figure_is_typed_by_hand() -> None:
    prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", BLOCK.sub("", PAGE).replace("```", ""))
    assert not re.search(r".*\d.*", prose)


def test_a_block_that_the_page_lacks_is_missed(tmp_path: Path) -> None:
    without = BLOCK.sub(lambda block: "" if block[2] == "measured: lag" else block[0], PAGE)
    with pytest.raises(ValueError, match="lag"):
        page.render(without, read(tmp_path, REPOSITORY.capacity), KNOWN, PRICES)


def test_each_part_has_its_section_and_its_picture() -> None:
    parts = {CAPACITY, *PARTS}
    assert charts.PICTURES.keys() == parts
    assert claims.SECTIONS.keys() == parts
    anchors = {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall("^##+ (.+)", PAGE, re.M)}
    assert set(claims.SECTIONS.values()) <= anchors


def _set(part: str, key: str, value: Any, **wanted: object) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        found = [row for row in rows[part] if all(row[name] == one for name, one in wanted.items())]
        assert found
        for row in found:
            row[key] = value

    return change


def _nothing(_: Rows) -> None:
    pass


@pytest.mark.parametrize(
    ("words", "change", "verdict"),
    [
        ("Clusters add up", _nothing, "other: met until the machine is full (10 of one node"),
        ("Clusters add up", _set("clusters", "linear", 0.98), "met"),
        ("Clusters add up", _set("clusters", "linear", 0.96, clusters=2), "missed"),
        ("A job costs the same CPU", _nothing, "met"),
        (
            "A job costs the same CPU",
            _set("clusters", "cpu_us", 441, clusters=10, nodes=1),
            "other: met with clusters of three",
        ),
        ("3 distributed workers", _nothing, "other: more than claimed"),
        ("3 distributed workers", _set("modes", "rate_200", 600.0, slots=100, runners=3), "met"),
        ("9 distributed workers", _set("modes", "rate_200", 600.0, slots=100, runners=9), "missed"),
        ("Coordinating workers", _nothing, "other: less than claimed"),
        ("Coordinating workers", _set("modes", "overhead", 0.15, mode="workers"), "met"),
        ("Coordinating workers", _set("modes", "overhead", 0.25, mode="workers"), "other: more than claimed"),
        ("Workers add up", _nothing, "other: linear"),
        ("Workers add up", _set("modes", "rate_200", 400.0, slots=10, runners=9), "met"),
        ("A hybrid", _nothing, "met"),
        ("A hybrid", _set("modes", "overhead", 0.05, mode="hybrid"), "other: not in between"),
        ("A create", _nothing, "other: met over 1 and 8 with one node; over 1 with three nodes"),
        ("A create", _set("creating", "p99_ms", 14.9), "met"),
        ("A create", _set("creating", "p99_ms", 15.1), "missed"),
        ("At 350 jobs/s", _nothing, "other: met with one node"),
        ("At 350 jobs/s", _set("lag", "p99_ms", 19.9), "met"),
        ("Of 2,000 jobs", _nothing, "missed"),
        ("Of 2,000 jobs", _set("herd", "p99_ms", 99.9, count=2_000), "met"),
        ("A killed leader", _nothing, "met"),
        ("A killed leader", _set("failover", "gap_ms", {"median": 99, "min": 9, "max": 2_001}), "missed"),
        ("Ten million", _nothing, "met"),
        ("Ten million", _set("backlog", "after_mib", {"median": 99, "min": 9, "max": 382}), "missed"),
        ("`hookline plan`", _nothing, "met"),
        ("`hookline plan`", _set("plan", "error", -0.11), "missed"),
    ],
)
def test_a_verdict_is_that_of_the_figures(
    words: str, change: Callable[[Rows], None], verdict: str, tmp_path: Path
) -> None:
    rows = example.rows()
    change(rows)
    (found,) = (row for row in claims.rows(measured(tmp_path, rows)) if row[0].startswith(words))
    assert found[2].startswith(verdict)


@pytest.mark.parametrize(
    ("rate", "verdicts"), [(497.0, ["met", "met"]), (400.0, ["met", "missed"]), (300.0, ["missed"] * 2)]
)
def test_a_verdict_on_capacity_is_that_of_the_plans_figures(rate: float, verdicts: list[str], tmp_path: Path) -> None:
    kept = json.loads(REPOSITORY.capacity.read_text())
    for row in kept["deliver"]:
        row["rate"] = rate
    (tmp_path / "measured.json").write_text(json.dumps(kept))
    assert [row[2] for row in claims.rows(read(tmp_path / "none", tmp_path / "measured.json"))[:2]] == verdicts


def test_costs_are_those_of_the_command() -> None:
    command = [sys.executable, "-m", "hookline.cli.app", "plan", "--rate", "1050", "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout)
    ours = costs.cost(1_050, 3, PRICES.cloud[0], KNOWN)
    assert (ours.month, ours.plan.clusters, ours.plan.nodes) == (told["monthly_cost"], told["clusters"], told["nodes"])
    assert ours.million == pytest.approx(told["monthly_cost"] / (1_050 * 730 * 3_600 / 1e6))


@pytest.mark.parametrize("nodes", costs.NODES)
def test_the_most_of_one_cluster_is_the_rate_before_a_second_one(nodes: int) -> None:
    most = costs.most_of_one_cluster(nodes, PRICES.cloud[0], KNOWN)
    clusters = [costs.cost(rate, nodes, PRICES.cloud[0], KNOWN).plan.clusters for rate in (most, most + 1)]
    assert clusters == [1, 2]


def test_all_of_it_runs_in_tiny_sizes_and_keeps_nothing() -> None:
    command = [sys.executable, "-m", "report.run", "--quick"]
    before = [path.read_bytes() for path in (REPOSITORY.page, REPOSITORY.capacity)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "benchmarks")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.read_bytes() for path in (REPOSITORY.page, REPOSITORY.capacity)] == before
    for name in (CAPACITY, *PARTS):
        assert f"{name}: took " in done.stdout
        # One node has nobody to take over from it.
        source = re.search(rf"`make numbers ARGS='--only {name}( --runs 1)?'`; ", done.stdout)
        assert (source is not None) == (name != "failover"), done.stdout
