"""The keyword arguments of the SDK's calls, and how Python values become the API's JSON. Pure.

Times may be aware ``datetime`` values or RFC 3339 text; durations ``timedelta``, ``"1h30m"`` or seconds.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Required, TypedDict

from msgspec import Raw

from hookline.client.json_values import check_raw
from hookline.errors import InvalidRequest, InvalidTime
from hookline.protocol.durations import format_duration, format_time
from hookline.protocol.http import CatchUp, Guarantee, Labels, Rate, RetryRequest, RetryView, RetryWord, StateLabel

Time = datetime | str
Length = timedelta | str | int | float

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class RetryFields(TypedDict, total=False):
    """When to try again: exponential with full jitter, or an explicit ``schedule`` of waits.

    ``on`` lists all that is tried again, ``not_on`` what is not: statuses (404), ``"4xx"``, ``"connection"``, …
    """

    max_attempts: int
    initial: Length
    factor: float
    max: Length
    schedule: list[Length]
    budget: Length
    on: list[RetryWord]
    not_on: list[RetryWord]


class JobChangeFields(TypedDict, total=False):
    """The fields of a job beside its url; one that is left out keeps its value or default.

    ``payload`` is any JSON value (``msgspec.Raw`` goes out byte for byte, a ``Decimal`` as a number with all its
    digits), ``body`` the raw bytes instead. ``secret`` None: without one of its own.
    """

    method: str
    headers: dict[str, str]
    payload: Any
    body: bytes
    run_at: Time
    delay: Length
    timeout: Length
    retry: RetryFields | RetryRequest | RetryView
    guarantee: Guarantee
    priority: int
    labels: Labels
    secret: str | None
    redact: list[str]


class JobUpdateFields(JobChangeFields, total=False):
    """All fields of a job that can change."""

    url: str


class JobFields(JobChangeFields, total=False):
    """A job beside its url.

    ``idempotency_key``: the same key and job again is the same job, executed once. ``traceparent``: where it belongs in
    a trace (W3C Trace Context); sent on with the webhook.
    """

    id: str
    idempotency_key: str
    traceparent: str


class ScheduledJob(JobChangeFields, total=False):
    """The job that a schedule makes at each tick, with its url and without ``run_at`` and ``delay``."""

    url: Required[str]


class JobItem(ScheduledJob, total=False):
    """One job of a batch."""

    id: str


class FilterFields(TypedDict, total=False):
    """Chooses jobs; all conditions must hold.

    ``label`` is ``name`` or ``name=value``, ``schedule`` an id, ``status`` that of the last answer: 503, or ``"5xx"``;
    ``error`` is what the last attempt's error contains.
    """

    state: StateLabel
    label: str
    destination: str
    created_after: Time
    created_before: Time
    schedule: str
    status: int | str
    error: str


class ScheduleOptions(TypedDict, total=False):
    """The calendar of a schedule beside its cron expression."""

    timezone: str
    catch_up: CatchUp | dict[str, Any]
    overlap: Literal["allow", "skip"]
    jitter: Length
    start_at: Time | None
    end_at: Time | None


class ScheduleFields(ScheduleOptions, total=False):
    """A new schedule beside its cron expression and job."""

    id: str
    paused: bool


class ScheduleUpdateFields(ScheduleOptions, total=False):
    """All fields of a schedule that can change; ``job`` is replaced as a whole, but a secret it does not name."""

    cron: str
    job: ScheduledJob


class DestinationFields(TypedDict, total=False):
    """Settings of a destination: what is left out stays, None returns to the default."""

    concurrency: int | None
    rate: Rate | dict[str, Any] | None
    paused: bool
    secrets: list[str] | None
    retry: RetryFields | RetryRequest | None
    auth: dict[str, str] | None
    tls: dict[str, str] | None


class TenantFields(TypedDict, total=False):
    """Limits and weight of a tenant: what is left out stays, None takes a limit away."""

    pending_jobs: int | None
    pending_bytes: int | None
    creates_per_second: int | None
    weight: int


def to_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The API's form of these fields: times and durations as text, ``body`` as ``body_base64``.

    Raises:
        InvalidTime: a datetime without a zone, or a negative timedelta.
        InvalidRequest: bytes as ``payload``, a ``Raw`` payload that is not JSON, text as ``body``, or both of them.
    """
    if "payload" in fields and "body" in fields:
        raise InvalidRequest("payload and body are both given; a job sends one of them", field="body")
    return {_name(name): _value(name, value) for name, value in fields.items()}


def _name(name: str) -> str:
    return "body_base64" if name == "body" else name


def _value(name: str, value: Any) -> Any:
    if name == "payload":
        if isinstance(value, (bytes, bytearray, memoryview)):
            raise InvalidRequest("payload takes a JSON value; give bytes as body=…", field="payload")
        if isinstance(value, Raw):
            check_raw(value)
        return value
    if name == "body":
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise InvalidRequest("body takes bytes; give a JSON value as payload=…", field="body")
        return base64.b64encode(value).decode()
    return _plain(name, value)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return time_text(value, field=name)
    if isinstance(value, timedelta):
        return _length_text(value, field=name)
    if isinstance(value, Mapping):
        return to_json(value) if name in ("job", "retry", "catch_up", "rate") else value
    if isinstance(value, list):
        return [_plain(name, item) for item in value]
    return value


def time_text(value: Time, *, field: str) -> str:
    """RFC 3339 in UTC with milliseconds; text passes through.

    Raises:
        InvalidTime: a datetime without a zone, which would mean another instant on another machine.
    """
    if isinstance(value, str):
        return value
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidTime(
            f"{field} is a datetime without a time zone; use datetime.now(UTC) or value.replace(tzinfo=…)", field=field
        )
    milliseconds = (value - _EPOCH) // _MS
    if milliseconds < 0:
        raise InvalidTime(f"{field} is before 1970", field=field)
    return format_time(milliseconds)


def _length_text(value: timedelta, *, field: str) -> str:
    milliseconds = value // _MS
    if milliseconds < 0:
        raise InvalidTime(f"{field} is a negative timedelta", field=field)
    return format_duration(milliseconds)
