"""The model of benchmarks/model: nothing gets lost in it, it keeps its limits, and it finds what is known of queues."""

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from model import page
from model.costs import OWN_MACHINES, Costs, Law, fit, read
from model.leaders import Leaders, Setup
from model.lost_calls import Fallback, Loss
from model.moves import SPEED_PER_S, move, own_part_s
from model.run import KEPT, PAGE, PICTURES, ROOT
from model.validation import run_until_all_are_sent

FREE = Costs(  # nothing costs anything, so that only slots are left
    nodes=1,
    deliver=Law((1.0, 2.0), ((1e-6, 1e-6),) * 3),
    request_us=(0.0, 0.0, 0.0),
    create_us=(0.0, 0.0, 0.0),
    sharing=0.0,
    append_ms=1e-6,
    append_sigma=0.0,
    idle=(0.0, 0.0, 0.0),
    between_s=0.0,
    receiver_us=0.0,
    serial=1.0,
)


@pytest.fixture(name="costs", scope="module")
def costs_fixture() -> Costs:
    """Those of three nodes, as they were measured."""
    return fit(read(), 3)


def fleet(costs: Costs) -> Setup:
    """Three clusters with some of everything."""
    return Setup(
        costs, 3, 20, 0.05, 0.5, OWN_MACHINES, creates_per_s=200.0, due_per_s=100.0, due_at_once=0.5, seconds=20.0
    )


def loaded(costs: Costs, seed: int) -> Leaders:
    """After a while with a herd and a leader that was lost."""
    leaders = Leaders(fleet(costs), seed)
    leaders.herd(1.0, np.array([500, 0, 50]))
    leaders.run(1.5)
    leaders.fail(np.array([1]), 1.5, np.array([0.4]))
    leaders.run(3.0)
    return leaders


def test_each_job_is_sent_once_and_none_before_it_is_due(costs: Costs) -> None:
    leaders = loaded(costs, 1)
    leaders.creates.change(np.zeros(3), 3.0)
    leaders.due.change(np.zeros(3), 3.0)
    run_until_all_are_sent(leaders, from_s=3.5)
    assert leaders.again[1] > 0, "the lost leader had attempts under way"
    assert leaders.again[0] == 0
    assert (leaders.sent == leaders.asked + leaders.again).all()
    due_at_once = leaders.asked.sum() - 550 - leaders.due.total
    assert due_at_once / leaders.created.sum() == pytest.approx(0.5, abs=0.1)
    assert leaders.lags.count == pytest.approx(leaders.sent.sum())
    assert leaders.lags.earliest_s >= 0


def test_no_cluster_makes_more_attempts_at_once_than_it_has_slots(costs: Costs) -> None:
    leaders, most = Leaders(fleet(costs), 1), 0
    leaders.herd(0.5, np.full(3, 2_000))
    for step in range(1, 400):
        leaders.run(step * 0.005)
        assert (leaders.running <= 20).all()
        assert (leaders.running == leaders.attempts.waiting).all()
        most = max(most, int(leaders.running.max()))
    assert most == 20


@pytest.mark.parametrize("spread", [0.0, 0.8])
def test_one_slot_waits_as_pollaczek_and_khinchine_say(spread: float) -> None:
    each_s, per_s, many = 0.1, 6.0, 300
    leaders = Leaders(Setup(FREE, many, 1, each_s, spread, due_per_s=per_s, seconds=20.0, bin_s=0.002), 1)
    leaders.run(20.0)
    square = each_s**2 * (1 + spread**2 / 3)
    assert leaders.lags.mean_s == pytest.approx(per_s * square / (2 * (1 - per_s * each_s)), rel=0.05)


def test_slots_and_webhooks_decide_the_rate() -> None:
    leaders = Leaders(Setup(FREE._replace(between_s=0.01), 2, 50, 0.2, 0.5, seconds=20.0), 1)
    leaders.herd(0.5, np.full(2, 10_000))
    leaders.run(2.0)
    sent = leaders.sent.sum()
    leaders.run(12.0)
    assert (leaders.sent.sum() - sent) / 2 / 10 == pytest.approx(50 / 0.21, rel=0.02)


def test_a_machine_does_not_work_more_than_it_has_cores(costs: Costs) -> None:
    busy = Setup(costs, 4, 100, 0.0, seconds=10.0, on_one_machine=True, cores=2.0)
    leaders = Leaders(busy, 1)
    leaders.herd(0.1, np.full(4, 100_000))
    leaders.run(3.0)
    before = leaders.machines.busy_s.sum()
    leaders.run(8.0)
    assert leaders.machines.busy_s.sum() - before == pytest.approx(2.0 * 5.0, rel=0.05)
    assert leaders.machines.stretch[0] > 1.5


def test_a_run_depends_on_its_seed_alone(costs: Costs) -> None:
    first, again, other = loaded(costs, 1), loaded(costs, 1), loaded(costs, 2)
    assert first.lags.percentiles_ms((0.5, 0.99)) == again.lags.percentiles_ms((0.5, 0.99))
    assert (first.sent == again.sent).all()
    assert (first.now == again.now).all()
    assert first.lags.percentiles_ms((0.5, 0.99)) != other.lags.percentiles_ms((0.5, 0.99))


@pytest.mark.parametrize("is_silent", [False, True])
def test_health_and_breakers_keep_calls_from_a_lost_cluster(is_silent: bool) -> None:
    what = Loss(100.0, 10, 5, is_silent=is_silent, lost_s=3.0, back_s=23.0, seconds=40.0)
    guarded, bare = Fallback(what, 1).run(), Fallback(what._replace(protected=False), 1).run()
    assert bare.total("tries") > 1.5 * guarded.total("tries")
    lost = slice(14, 22)  # calls that were under way have ended
    assert sum(guarded.events["tries"][lost]) < sum(bare.events["tries"][lost]) / 10
    assert guarded.events["answered 503"][6] > 0, "creates whose home it is are refused"
    if not is_silent:
        assert guarded.total("unclear") == 0, "a refused connection leaves no doubt"


def test_creates_without_id_are_always_taken_somewhere() -> None:
    tally = Fallback(Loss(100.0, 10, 5, (1.0, 0.0, 0.0), lost_s=3.0, back_s=13.0, seconds=20.0), 1).run()
    assert tally.total("unavailable") == 0
    assert tally.total("elsewhere") > 900
    alone = Fallback(Loss(100.0, 1, 5, (1.0, 0.0, 0.0), lost_s=3.0, back_s=13.0, seconds=20.0), 1).run()
    assert alone.total("unavailable") > 0


def test_one_old_home_moves_as_fast_as_was_measured_and_many_wait_for_the_new_one(costs: Costs) -> None:
    one_node = fit(read(), 1)
    own_s = own_part_s(one_node)
    alone, many = move(one_node, own_s, 1, 20_000, 0.0, 1), move(costs, own_s, 100, 2_000, 0.0, 1)
    assert alone.per_s == pytest.approx(SPEED_PER_S, rel=0.1)
    assert many.per_s < 3 * alone.per_s
    assert many.freeze_p50_ms > 10 * alone.freeze_p50_ms


def test_a_small_run_fills_the_page_and_draws_its_pictures(tmp_path: Path) -> None:
    figures, pictures = tmp_path / "figures.json", tmp_path / "pictures"
    command = [sys.executable, "-m", "model.run", "--quick", "--json", str(figures), "--pictures", str(pictures)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "benchmarks")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    filled = page.written(PAGE.read_text(), json.loads(figures.read_text()))
    assert "Not run yet" not in filled
    assert "| three nodes, 200 ms, 500 slots | jobs/s |" in filled
    tables = re.split(r"\n\n", done.stdout.strip())
    assert len(tables) == len(page.PARTS)
    shown = set(re.findall(r"\.\./images/model/([\w.]+)", filled))
    assert {file.name for file in pictures.iterdir()} == shown


def test_laws_are_fitted_in_order_of_their_jobs(costs: Costs) -> None:
    assert all(first < second for first, second in pairwise(costs.deliver.jobs))


def test_the_page_is_what_was_kept_and_shows_pictures_that_are_there() -> None:
    text = PAGE.read_text()
    assert page.written(text, json.loads(KEPT.read_text())) == text
    assert all((PICTURES / name).exists() for name in re.findall(r"\.\./images/model/([\w.]+)", text))
