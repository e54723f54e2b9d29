"""Suggests what a request may have meant: names and values that fit where it has another one. Pure."""

import difflib
import re
from functools import lru_cache
from typing import Any

from msgspec import inspect

_STEP = re.compile(r"\.([^.\[]+)|\[[^\]]*\]")
_CLOSE = 0.6
# What the same thing is called elsewhere: in Celery, Cloud Tasks, QStash, BullMQ, and in HTTP libraries.
_ELSEWHERE = {
    "tags": "labels",
    "metadata": "labels",
    "retries": "retry",
    "max_retries": "retry",
    "attempts": "retry",
    "backoff": "retry",
    "body": "payload",
    "data": "payload",
    "json": "payload",
    "args": "payload",
    "kwargs": "payload",
    "uri": "url",
    "target": "url",
    "endpoint": "url",
    "name": "id",
    "key": "id",
    "task_id": "id",
    "job_id": "id",
    "eta": "run_at",
    "not_before": "run_at",
    "schedule_time": "run_at",
    "countdown": "delay",
    "deadline": "timeout",
    "dispatch_deadline": "timeout",
    "tz": "timezone",
    "schedule": "cron",
    "expression": "cron",
    "max_attempt": "max_attempts",
    "limit": "max_attempts",
}


def meant_field(request: Any, path: str | None, name: str) -> str | None:
    """The field that ``name`` may have meant in a request of this type, at ``path`` as msgspec writes it."""
    found = _at(request, path)
    if not isinstance(found, inspect.StructType):
        return None
    known = [field.encode_name for field in found.fields]
    lowered = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_").lower()  # runAt, run-at
    if lowered in known:
        return lowered
    if (elsewhere := _ELSEWHERE.get(lowered)) in known:
        return elsewhere
    return next(iter(difflib.get_close_matches(lowered, known, 1, _CLOSE)), None)


def known_values(request: Any, path: str | None) -> list[str]:
    """The texts that the field at ``path`` takes; none if it takes any."""
    found = _at(request, path)
    return [str(value) for value in found.values] if isinstance(found, inspect.LiteralType) else []


@lru_cache(maxsize=64)
def _at(request: Any, path: str | None) -> inspect.Type | None:
    """The type at that place."""
    found: inspect.Type | None = inspect.type_info(request)
    for step in _STEP.finditer(path or ""):
        found = _within(found, step[1])
    return _plain(found)


def _within(outer: inspect.Type | None, name: str | None) -> inspect.Type | None:
    outer = _plain(outer)
    if name is None:
        return outer.item_type if isinstance(outer, inspect.ListType) else None
    if not isinstance(outer, inspect.StructType):
        return None
    return next((field.type for field in outer.fields if field.encode_name == name), None)


def _plain(found: inspect.Type | None) -> inspect.Type | None:
    """Of a choice, the one that has names or values."""
    if not isinstance(found, inspect.UnionType):
        return found
    return next((one for one in found.types if isinstance(one, (inspect.StructType, inspect.LiteralType))), None)
