"""The search for jobs, as the form and the address of the page have it. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from urllib.parse import urlsplit

from hookline.client.fields import FilterFields
from hookline.errors import InvalidRequest

STATES: Final = ("pending", "running", "succeeded", "dead", "cancelled", "unknown")
AGES: Final = {"1h": ("the last hour", 1), "24h": ("the last 24 hours", 24), "7d": ("the last 7 days", 24 * 7)}
_PLAIN: Final = ("state", "label", "destination", "schedule", "status", "error")
ASKED: Final = (*_PLAIN, "age", "after", "before")
"""The fields of the form beside the search for an id or a url."""
_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")


def filter_fields(asked: Mapping[str, str], now: datetime) -> FilterFields:
    """The SDK's filter. Raises InvalidRequest for a time or an age that is none: it never finds more than asked for."""
    found: dict[str, Any] = {name: asked[name].strip() for name in _PLAIN if asked.get(name, "").strip()}
    if word := asked.get("age"):
        if word not in AGES:
            raise InvalidRequest(f"age is one of {', '.join(AGES)}", field="age")
        found["created_after"] = now - timedelta(hours=AGES[word][1])
    for name, field in (("after", "created_after"), ("before", "created_before")):
        if asked.get(name):
            found[field] = _time(asked[name], name)
    return cast("FilterFields", found)


def kept(asked: Mapping[str, str]) -> dict[str, str]:
    """The fields that say something, to be asked for again."""
    return {name: asked[name] for name in ASKED if asked.get(name)}


def destination_in(text: str) -> str | None:
    """The destination if the text is a url: jobs are found by that, not by the rest of it."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") and parts.netloc else None


def _time(text: str, field: str) -> datetime:
    if not _LOCAL.fullmatch(text):
        raise InvalidRequest(f"{field} is not a time; write it like 2026-11-28T13:00, in UTC", field=field)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidRequest(f"{field} is not a time: {error}", field=field) from error
