"""How much a load needs."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from hookline.cli import app
from hookline.cli.plan.calibration import Calibration, MeasuredCapacity, RoleCpu, calibration
from hookline.cli.plan.model import CapacityPlan, LoadShape, decide
from hookline.cli.plan.prices import price_table

CPU = RoleCpu(400, 200, 300)
TABLE = price_table()
# 100 slots do 490/s at 200 ms: 4.08 ms pass between two attempts of a slot. CPU ends it at 3,000/s.
KNOWN = Calibration(
    machine="m",
    date="2026-01-01",
    deliver=[
        MeasuredCapacity(nodes=nodes, rate=rate, cpu_us=CPU, webhook_ms=webhook_ms, slots=slots, rss_mib=150)
        for nodes in (1, 3)
        for webhook_ms, slots, rate in ((0, 100, 3_000), (200, 100, 490), (1_000, 100, 99.6))
    ],
    create=[
        MeasuredCapacity(nodes=nodes, rate=3_000, cpu_us=CPU, batch=batch) for nodes in (1, 3) for batch in (1, 100)
    ],
)
LOAD = LoadShape(rate=100, webhook_ms=200, payload=500, pending=0, retention_days=7, attempts=1, batch=1)


def planned(load: LoadShape = LOAD, **options: int | bool | None) -> CapacityPlan:
    return decide(load, KNOWN, TABLE.of(None), TABLE.service, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("webhook_ms", "slots", "rate"), [(200, 100, 490), (0, 100, 3_000), (50, 2_000, 3_000), (10_000, 100, 7.9967)]
)
def test_a_cluster_is_limited_by_its_slots_or_by_cpu(webhook_ms: int, slots: int, rate: float) -> None:
    assert KNOWN.capacity(3, webhook_ms, slots) == pytest.approx(rate, rel=1e-3)


def test_the_error_is_that_of_what_the_model_was_not_fitted_with() -> None:
    assert KNOWN.error() == pytest.approx(0.0, abs=1e-3)
    off = [replace(one, rate=80.0) if one.webhook_ms == 1_000 else one for one in KNOWN.deliver]
    assert replace(KNOWN, deliver=off).error() == pytest.approx(99.6 / 80 - 1, rel=1e-2)


def test_one_cluster_will_do_for_a_third_of_what_it_can() -> None:
    found = planned()
    assert (found.clusters, found.nodes, found.slots, found.proxies) == (1, 3, 100, 0)
    assert found.filled == pytest.approx(100 / 490, abs=0.01)
    assert found.machines == 3
    assert found.monthly_cost > 0


def test_more_slots_come_before_more_clusters() -> None:
    found = planned(replace(LOAD, rate=600))
    assert (found.clusters, found.slots) == (1, 200)


def test_with_slots_that_are_given_clusters_add_up_and_one_may_be_lost() -> None:
    found = planned(replace(LOAD, rate=1_000), slots=100)
    assert found.clusters == 4, "three would do all with little room, and one of four may be lost"
    assert found.filled_after_loss <= 0.95
    assert found.proxies == 2
    assert planned(replace(LOAD, rate=1_000), slots=100, spare=False).clusters == 3


def test_a_busy_leader_asks_for_more_clusters_whatever_the_slots() -> None:
    found = planned(replace(LOAD, rate=2_500, webhook_ms=0))
    assert found.clusters >= 3, "0.8 ms of one core a job"
    assert any("--attempt-processes" in line for line in found.advice)


def test_retries_take_slots_as_first_attempts_do() -> None:
    assert planned(replace(LOAD, attempts=2)).filled == pytest.approx(2 * planned().filled, abs=0.002)


def test_disk_grows_with_retention_and_what_waits() -> None:
    assert planned(replace(LOAD, retention_days=30)).disk_gib > 3 * planned().disk_gib
    assert planned(replace(LOAD, pending=100_000_000)).disk_gib > planned().disk_gib + 50


def test_one_node_needs_no_etcd_and_says_what_it_lacks() -> None:
    found = planned(nodes=1)
    assert (found.nodes, found.etcd_mib) == (1, 0)
    assert any("only copy" in line for line in found.advice)


@pytest.mark.parametrize("rate", [0.001, 0.1, 10, 350, 1_050, 20_000, 1_000_000])
@pytest.mark.parametrize("webhook_ms", [0, 50, 200, 10_000, 600_000])
@pytest.mark.parametrize("nodes", [1, 3])
def test_every_plan_holds_its_load(rate: float, webhook_ms: float, nodes: int) -> None:
    found = planned(replace(LOAD, rate=rate, webhook_ms=webhook_ms), nodes=nodes)
    assert found.filled <= 0.7
    assert found.filled_after_loss <= 0.95
    assert found.nodes == found.clusters * nodes
    assert found.cores >= 2


def test_the_release_has_figures_for_every_question_and_tells_its_error() -> None:
    known = calibration()
    for nodes in (1, 3):
        for webhook_ms in (0, 50, 200, 1_000, 10_000):
            for slots in (100, 500, 2_000):
                assert known.capacity(nodes, webhook_ms, slots) > 0
        assert known.create_us(nodes, 1).leader > known.create_us(nodes, 100).leader
    assert 0 < known.error() < 1


def test_the_command_tells_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["plan", "--rate", "1050", "--webhook-ms", "200", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() >= {
        *("clusters", "nodes", "slots", "cores", "memory_gib", "monthly_cost", "currency", "model_error")
    }
    assert app.run(["plan", "--rate", "1050"]) == 0
    assert "clusters" in capsys.readouterr().out


def test_own_prices_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(
        '[[cloud]]\nname = "own"\ncurrency = "CHF"\ndate = 2026-01-02\nsource = "the cellar"\ndisk_gib = 0\n'
        '[[cloud.machine]]\nname = "box"\ncores = 64\nmemory_gib = 512\nmonth = 10\n'
    )
    assert app.run(["plan", "--rate", "10", "--prices", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["currency"], found["monthly_cost"], found["machine"]) == ("CHF", 30, "box")


@pytest.mark.parametrize(
    ("text", "told"),
    [("cloud = 1", "prices.toml"), ("cloud = []", "no cloud"), ("[[cloud", "prices.toml"), ("\xff", "prices.toml")],
)
def test_a_table_that_cannot_be_read_is_told(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prices.toml"
    file.write_bytes(text.encode("latin-1"))
    assert app.run(["plan", "--rate", "10", "--prices", str(file)]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--rate", "1", "--nodes", "2"],
        ["--rate", "1", "--slots", "0"],
        ["--rate", "1", "--attempts", "0.5"],
        ["--rate", "1", "--webhook-ms", "-1"],
        ["--rate", "1", "--retention-days", "nan"],
        ["--rate", "1", "--payload", "-1"],
        ["--rate", "1", "--prices", "/nowhere"],
    ],
)
def test_wrong_options_are_told(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["plan", *options]) == 2
    assert capsys.readouterr().err


def test_a_cloud_that_is_not_in_the_table_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["plan", "--rate", "1", "--cloud", "nimbus"]) == 1
    assert "aws" in capsys.readouterr().err
