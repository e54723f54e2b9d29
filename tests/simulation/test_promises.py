"""Many runs of each preset, each with its own troubles, and every promise checked in each."""

from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.presets import simulate
from tests.simulation.verdict import journal, report


def test_every_promise_is_kept(preset: str, seed: int, directory: Path) -> None:
    report(preset, seed, directory)


@pytest.mark.parametrize(
    ("chosen", "number"), [("single", 3), ("single", 17), ("cluster", 5), ("mixed", 3), ("fleet", 5)]
)
def test_the_same_seed_is_the_same_run(chosen: str, number: int, directory: Path) -> None:
    assert journal(chosen, number, directory) == journal(chosen, number, directory)


def test_the_runs_have_trouble_and_work(directory: Path) -> None:
    """A checker that sees nothing agrees with everything: these are what a few seeds must contain."""
    seen: Counter[str] = Counter()
    for number in range(25):
        place = directory / str(number)
        place.mkdir()
        history = simulate("single", number, place).history
        seen["arrivals"] += len(history.arrivals)
        ends = sum(line.endswith((" crash", " stop")) for line in history.journal.lines)
        seen["outages"] += ends - 1  # the last one is the end
        seen["unsure"] += sum(call.outcome == "unknown" for call in history.calls)
        seen["refused"] += sum(call.code == "idempotency_mismatch" for call in history.calls)
        seen["schedules"] += sum(call.kind == "schedule" and call.is_ok for call in history.calls)
    assert seen["arrivals"] > 500
    assert seen["outages"] > 10
    assert min(seen["unsure"], seen["refused"], seen["schedules"]) > 0
