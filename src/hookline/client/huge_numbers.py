"""Reading JSON with numbers that no float holds, or that are too long for Python's int. Pure.

JSON (RFC 8259) knows no bounds, and Hookline keeps payloads as they came. Such a number becomes a ``Decimal``, which
the SDK sends as a number again; one beyond even that stays text.
"""

import json
import math
from decimal import Decimal, DecimalException
from typing import Any

_INT_DIGITS_MAX = 4_300  # what Python turns into an int, and back, without being asked twice


def loads(document: bytes) -> Any:
    """The value. Raises ValueError, RecursionError."""
    return json.loads(document, parse_int=_int, parse_float=_float, parse_constant=_refuse)


def _int(text: str) -> Any:
    return int(text) if len(text) <= _INT_DIGITS_MAX else _decimal(text)


def _float(text: str) -> Any:
    found = float(text)
    return found if math.isfinite(found) else _decimal(text)


def _decimal(text: str) -> Any:
    try:
        return Decimal(text)
    except DecimalException:
        return text


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
