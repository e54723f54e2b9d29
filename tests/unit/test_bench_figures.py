"""The figures that ``hookline bench`` makes of what it saw."""

import pytest

from hookline.cli.bench.figures import BenchLog, Missing, percentile, spread
from hookline.cli.bench.page import page
from hookline.cli.bench.view import buckets, remarks


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.9, 9), (0.99, 10), (0.1, 1), (0.11, 2), (1, 10), (0.0, 1)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, value: int) -> None:
    assert percentile(range(1, 11), share) == value
    assert percentile([], share) == 0


def test_a_spread_is_in_milliseconds() -> None:
    assert spread([0.003, 0.001, 0.002]).p50 == 2
    assert spread([0.003, 0.001, 0.002]).max == 3


def a_run() -> BenchLog:
    """Ten jobs, a tenth of a second apart from second 100 on, due two seconds later; each arrives 5 ms late."""
    seen = BenchLog(delay_s=2.0)
    for number in range(10):
        at = 100 + number / 10
        seen.created([f"j{number}"], at, 0.004)
        seen.late_s.append(0.001)
        seen.arrived(f"j{number}", at + 2.005, at + 2.0)
    return seen


def test_all_is_well() -> None:
    figures = a_run().figures(100.0, 10.0, Missing())
    assert (figures.jobs, figures.lost, figures.duplicates, figures.early) == (10, 0, 0, 0)
    assert figures.is_as_promised
    assert figures.seconds == pytest.approx(0.905), "without the delay that was asked for"
    assert figures.jobs_per_s == 10, "not more than were to be created, though the last came before the next was due"
    assert figures.create_ms.p99 == pytest.approx(4)
    assert figures.lag_ms.p50 == pytest.approx(5, abs=0.01)
    assert figures.delivery_ms.max == pytest.approx(5, abs=0.01)
    assert not remarks(figures)


def test_what_was_acknowledged_and_never_came_is_lost_unless_it_is_still_to_come() -> None:
    seen = a_run()
    seen.created(["gone", "late"], 101.0, 0.004)
    figures = seen.figures(100.0, 10.0, Missing(unfinished=1, lost=1))
    assert (figures.jobs, figures.lost, figures.unfinished) == (12, 1, 1)
    assert not figures.is_as_promised
    assert "may" in remarks(figures)[0]


def test_what_came_again_is_a_duplicate_and_counted_once_in_all_else() -> None:
    seen = a_run()
    seen.arrived("j3", 200.0, 102.3)
    figures = seen.figures(100.0, 10.0, Missing())
    assert figures.duplicates == 1
    assert figures.seconds == pytest.approx(0.905)
    assert not figures.is_as_promised


def test_what_came_before_its_time_is_early() -> None:
    seen = a_run()
    seen.created(["hasty"], 101.0, 0.004)
    seen.arrived("hasty", 102.0, 103.0)
    assert seen.figures(100.0, 10.0, Missing()).early == 1


def test_what_nobody_acknowledged_is_not_counted_as_a_job() -> None:
    seen = a_run()
    seen.unclear += 1
    seen.refused["queue_full"] += 3
    seen.arrived("unknown", 103.0, 104.0)
    seen.arrived("unknown", 104.0, 103.0)
    figures = seen.figures(100.0, 10.0, Missing())
    assert (figures.jobs, figures.duplicates, figures.early, len(seen.lag_s)) == (10, 0, 0, 10)
    assert "3 queue_full" in remarks(figures)[0]


def test_what_nobody_knows_is_not_called_lost_and_does_not_pass() -> None:
    seen = a_run()
    seen.created(["gone"], 101.0, 0.004)
    figures = seen.figures(100.0, 10.0, Missing(unknown=1))
    assert (figures.lost, figures.unknown, figures.is_as_promised) == (0, 1, False)
    assert "did not answer" in remarks(figures)[0]


def test_without_a_job_nothing_was_measured() -> None:
    figures = BenchLog().figures(100.0, 10.0, Missing())
    assert (figures.jobs_per_s, figures.is_as_promised) == (0, False)
    assert "nothing was measured" in remarks(figures)[0]


def test_a_generator_that_does_not_keep_up_says_so() -> None:
    seen = a_run()
    seen.late_s.append(0.5)
    assert "did not keep up" in remarks(seen.figures(100.0, 10.0, Missing()))[0]


def test_buckets_grow_by_one_two_five_and_hold_every_value_once() -> None:
    found = buckets([0.0, 0.001, 0.0015, 0.004, 0.005, 0.03, 1.2])
    assert found == [
        (1, 2),
        (2, 1),
        (5, 2),
        (10, 0),
        (20, 0),
        (50, 1),
        (100, 0),
        (200, 0),
        (500, 0),
        (1000, 0),
        (2000, 1),
    ]
    assert buckets([]) == []


def test_the_page_needs_nothing_else_and_runs_nothing_of_a_command() -> None:
    seen = a_run()
    html = page(
        seen.figures(100.0, 10.0, Missing()), seen, 100.0, "hookline bench --url '<script>alert(1)</script>'", "1"
    )
    assert "<script>alert" not in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "src=" not in html
