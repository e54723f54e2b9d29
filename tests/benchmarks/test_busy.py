"""Tests that a busy machine does not spoil a measurement."""

from typing import Any

import busy
import pytest
from node_process import Process


class Receiver(Process):
    """It answers with these counts in turn, as a real one: each counts from the last on."""

    counts: list[int]

    def get(self, path: str) -> Any:
        assert path == "/stats"
        return {"count": self.counts.pop(0)}


def test_a_window_lasts_until_something_has_come() -> None:
    Receiver.counts = [7, 0, 0, 3]
    stats, seconds = busy.arrived_within(Receiver(0, 0), 0)
    assert (stats, Receiver.counts) == ({"count": 3}, [])
    assert seconds >= 0.02  # it has looked three times


@pytest.mark.parametrize(("needed", "tried"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4])])
def test_jobs_that_were_ready_too_late_are_put_off_for_longer(needed: int, tried: list[int]) -> None:
    seen: list[int] = []

    def measure(slowness: int) -> str:
        seen.append(slowness)
        if slowness < needed:
            raise busy.ReadyTooLateError
        return "measured"

    assert busy.patiently(measure) == "measured"
    assert seen == tried


def test_a_machine_that_stays_too_busy_is_an_error() -> None:
    def measure(_slowness: int) -> None:
        raise busy.ReadyTooLateError

    with pytest.raises(busy.ReadyTooLateError):
        busy.patiently(measure)
