"""Whether a program shows what a page says it shows, where that is the same each time.

Ids, times, sizes, durations and large numbers differ from run to run; so do the widths of a table's columns. ``…`` in a
page stands for anything: in a line for its rest or for the rest of a word, alone for lines that are left out.
"""

import json
import re
from typing import Any

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)"
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# (what changes, as a page has it; what may stand in its place). The first that fits counts.
_CHANGING = (
    (_TIME, _TIME),
    (_ID, _ID),
    (r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", r"[0-9a-f]{8,}"),
    (r"\b[\d.,]+ (?:ms|s)\b", r"[\d.,]+ (?:ms|s)"),
    (r"\b\d+(?= bytes\b)|(?<=term )\d+|\b[\d,]{4,}\b", r"[\d.,]+"),
    ("─+", "─+"),
    ("…", ".*"),
)
_any_of_them = re.compile("|".join(f"({pattern})" for pattern, _ in _CHANGING))


def missing(expected: str, actual: str) -> str | None:
    """The first line of what a page shows that was not shown, or not in this order; None if all are there."""
    if (wanted := _document(expected)) is not None:
        return None if _is_in(wanted, _document(actual)) else expected
    lines = [" ".join(line.split()) for line in actual.splitlines()]
    at = 0
    for line in expected.splitlines():
        if line.strip() in ("", "…"):
            continue
        pattern = _pattern(" ".join(line.split()))
        at = next((number for number, found in enumerate(lines[at:], at + 1) if pattern.fullmatch(found)), 0)
        if at == 0:
            return line
    return None


def _pattern(line: str) -> re.Pattern[str]:
    parts, end = [], 0
    for found in _any_of_them.finditer(line):
        assert found.lastindex
        parts += [re.escape(line[end : found.start()]), _CHANGING[found.lastindex - 1][1]]
        end = found.end()
    return re.compile("".join([*parts, re.escape(line[end:])]))


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_in(wanted: Any, found: Any) -> bool:
    """All fields are there, with the same words; numbers only have to be numbers."""
    match wanted:
        case dict():
            return isinstance(found, dict) and all(
                name in found and _is_in(value, found[name]) for name, value in wanted.items()
            )
        case list():
            return isinstance(found, list) and len(found) == len(wanted) and all(map(_is_in, wanted, found))
        case str():
            return isinstance(found, str) and _pattern(wanted).fullmatch(found) is not None
        case bool() | None:
            return wanted is found
        case _:
            return isinstance(found, int | float) and not isinstance(found, bool)
