"""Keeps, in the history of a simulated world, the complaints that should never be logged."""

import sys
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

from tests.simulation.history import History

COMPLAINTS = frozenset({"attempt_failed_inside", "request_crashed", "schedule_unreadable", "topology_unreadable"})


@contextmanager
def complaints_kept(history: History, counts: Callable[[], bool]) -> Iterator[None]:
    """Drop all logs but complaints, while ``counts`` says that who logs is alive."""

    def hear(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event["event"] in COMPLAINTS and counts():
            error = sys.exc_info()[1]
            where = "".join(traceback.format_exception(error)[-3:]) if error else ""
            history.complaints.append(f"{event} {where}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[hear])
    try:
        yield
    finally:
        structlog.configure(**before)
