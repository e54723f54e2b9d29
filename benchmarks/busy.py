"""Keeps a busy machine from spoiling a measurement: nothing arrives in its window, or its jobs are ready too late."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from node_process import Process

T = TypeVar("T")


class ReadyTooLateError(Exception):
    """Creating the jobs took longer than they were put off."""

    def __str__(self) -> str:
        return "creating the jobs took longer than they were put off, also by four times as long: is the machine busy?"


def arrived_within(target: Process, window_s: float) -> tuple[dict[str, Any], float]:
    """Tell what the receiver gets in a window from now on, and its seconds: it lasts until something has come."""
    target.get("/stats")
    began = time.time()
    time.sleep(window_s)
    while not (stats := target.get("/stats"))["count"]:
        time.sleep(0.01)
    return stats, time.time() - began


def patiently(measure: Callable[[int], T]) -> T:
    """Measure with a slowness of 1, then of 2 and 4 when the jobs were ready too late."""
    for slowness in (1, 2):
        try:
            return measure(slowness)
        except ReadyTooLateError:
            continue
    return measure(4)
