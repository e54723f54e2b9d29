"""Reads a receiver's answer. Pure."""

from datetime import UTC
from email.utils import parsedate_to_datetime

from hookline.protocol.limits import RETRY_AFTER_MS_MAX


def is_success(status: int) -> bool:
    """Only 2xx is: a redirect is not followed, so it delivers nothing."""
    return 200 <= status < 300


def parse_retry_after(value: str | None, now_ms: int) -> int | None:
    """``Retry-After`` (RFC 9110: seconds or an HTTP date) as milliseconds from now, capped; None if unreadable."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(int(value[:12]) * 1_000, RETRY_AFTER_MS_MAX)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(0, int(at.timestamp() * 1_000) - now_ms), RETRY_AFTER_MS_MAX)
