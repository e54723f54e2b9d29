"""The ids by which a caller's own logs know a request."""

from collections.abc import Iterable
from typing import Final

_CHARS_MAX: Final = 128


def request_ids(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """``trace_id`` from ``traceparent`` and ``request_id`` from ``X-Request-Id``, those that are there and fit."""
    found = {}
    for name, value in headers:
        if name == b"traceparent":
            parts = value.decode("latin-1").split("-")
            if len(parts) == 4 and len(parts[1]) == 32 and parts[1].isalnum():
                found["trace_id"] = parts[1]
        elif name == b"x-request-id":
            text = value.decode("latin-1")
            if 0 < len(text) <= _CHARS_MAX and text.isprintable():
                found["request_id"] = text
    return found
