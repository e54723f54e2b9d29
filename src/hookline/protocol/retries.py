"""The retry policy of a job or destination: read, checked and completed. Pure."""

import re
from functools import lru_cache

from msgspec import UNSET, UnsetType

from hookline.errors import InvalidRequest, InvalidTime
from hookline.protocol import http, limits
from hookline.protocol.durations import format_duration, parse_duration
from hookline.protocol.http import Duration, RetryRequest, RetryWord
from hookline.protocol.jobs import RetryPolicy
from hookline.protocol.limits import check_between

DEFAULT_RETRY = RetryPolicy()
_NO_ANSWER = ("connection", "timeout")
_CLASSES = ("3xx", "4xx", "5xx")
_STATUS = re.compile(r"[3-9][0-9]{2}", re.ASCII)
_SUCCESS = re.compile(r"2[0-9x]{2}", re.ASCII)
_ALLOWED = f"a status from 300 to 999 such as 429, {', '.join(_CLASSES)}, {' and '.join(_NO_ANSWER)}"


def retry_of(retry: RetryRequest | UnsetType) -> RetryPolicy:
    """The retry policy. Raises InvalidRequest, InvalidTime."""
    if retry is UNSET:
        return DEFAULT_RETRY
    waits = _waits(retry.schedule)
    attempts = retry.max_attempts
    if attempts is None:
        attempts = len(waits) + 1 if waits else DEFAULT_RETRY.max_attempts
    check_between("retry.max_attempts", attempts, 1, limits.ATTEMPTS_MAX)
    factor = DEFAULT_RETRY.factor_milli / 1000 if retry.factor is None else retry.factor
    check_between("retry.factor", factor, 1, 100)
    initial_ms = _positive("retry.initial", retry.initial)
    max_ms = _positive("retry.max", retry.max)
    if initial_ms is not None and max_ms is not None and max_ms < initial_ms:
        raise InvalidTime("retry.max is shorter than retry.initial", field="retry.max")
    if initial_ms is None:
        initial_ms = min(DEFAULT_RETRY.initial_ms, max_ms or DEFAULT_RETRY.initial_ms)
    on, not_on = _conditions(retry.on, retry.not_on)
    return RetryPolicy(
        max_attempts=attempts,
        initial_ms=initial_ms,
        factor_milli=round(factor * 1000),
        max_ms=max(DEFAULT_RETRY.max_ms, initial_ms) if max_ms is None else max_ms,
        schedule_ms=waits,
        budget_ms=_positive("retry.budget", retry.budget),
        on=on,
        not_on=not_on,
        has_waits=_has_waits(retry),
    )


def _has_waits(retry: RetryRequest) -> bool:
    waits = (retry.max_attempts, retry.initial, retry.factor, retry.max, retry.schedule, retry.budget)
    return any(one is not None for one in waits)


def _waits(schedule: list[Duration] | None) -> tuple[int, ...]:
    if not schedule:
        return ()
    _check_length("retry.schedule", len(schedule), "waits")
    return tuple(parse_duration(wait, field="retry.schedule") for wait in schedule)


def _positive(field: str, duration: Duration | None) -> int | None:
    if duration is None:
        return None
    ms = parse_duration(duration, field=field)
    if ms < 1:
        raise InvalidTime(f"{field} must be at least 1 ms", field=field)
    return ms


def _conditions(
    on: list[RetryWord] | None, not_on: list[RetryWord] | None
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    retried = None if on is None else _words("retry.on", on)
    not_retried = () if not_on is None else _words("retry.not_on", not_on)
    if both := [word for word in retried or () if word in not_retried]:
        raise InvalidRequest(
            f"{', '.join(both)} is in retry.on and in retry.not_on; leave it in one of them", field="retry.not_on"
        )
    return retried, not_retried


def _words(field: str, given: list[RetryWord]) -> tuple[str, ...]:
    _check_length(field, len(given), "entries")
    return tuple(dict.fromkeys(_word(field, one) for one in given))


def _word(field: str, given: RetryWord) -> str:
    word = str(given).strip().lower()
    if word in _CLASSES or word in _NO_ANSWER or _STATUS.fullmatch(word):
        return word
    why = "is a success, which is never tried again" if _SUCCESS.fullmatch(word) else "is not known"
    raise InvalidRequest(f"{field} has {str(given)[:40]!r}, which {why}; allowed are {_ALLOWED}", field=field)


def _check_length(field: str, length: int, what: str) -> None:
    if length > limits.RETRY_SCHEDULE_MAX:
        raise InvalidRequest(f"{field} has {length} {what}; at most {limits.RETRY_SCHEDULE_MAX}", field=field)


@lru_cache(maxsize=1024)
def retry_view(policy: RetryPolicy) -> http.RetryView:
    """A retry policy in full, as users see it."""
    return http.RetryView(
        max_attempts=policy.max_attempts,
        initial=format_duration(policy.initial_ms),
        factor=policy.factor_milli / 1000,
        max=format_duration(policy.max_ms),
        schedule=[format_duration(wait) for wait in policy.schedule_ms],
        budget=None if policy.budget_ms is None else format_duration(policy.budget_ms),
        on=_shown(policy.retried),
        not_on=_shown(policy.not_retried),
    )


def given_retry(policy: RetryPolicy) -> RetryRequest | None:
    """The choices of a policy, as a client could post them; None: there were none."""
    if not policy.has_waits and not policy.has_conditions:
        return None
    conditions = RetryRequest(
        on=None if policy.on is None else _shown(policy.on), not_on=_shown(policy.not_on) if policy.not_on else None
    )
    if not policy.has_waits:
        return conditions
    return RetryRequest(
        max_attempts=policy.max_attempts,
        initial=format_duration(policy.initial_ms),
        factor=policy.factor_milli / 1_000,
        max=format_duration(policy.max_ms),
        schedule=[format_duration(wait) for wait in policy.schedule_ms] or None,
        budget=None if policy.budget_ms is None else format_duration(policy.budget_ms),
        on=conditions.on,
        not_on=conditions.not_on,
    )


def _shown(words: tuple[str, ...]) -> list[RetryWord]:
    return [int(word) if word.isdecimal() else word for word in words]
