"""Reads what was measured, and writes figures as the page shows them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Row = Mapping[str, Any]


class Part(NamedTuple):
    """One part of the measurements.

    Attributes:
        name: of its section.
        command: that measures it again.
        machine: on which it was measured.
        date: when.
        runs: of each figure; 0: the rows tell by their spread.
        rows: flat; a figure of several runs has ``median``, ``min`` and ``max``.
    """

    name: str
    command: str
    machine: str
    date: str
    runs: int
    rows: Sequence[Row]

    def like(self, **wanted: object) -> list[Row]:
        """The rows that have these values."""
        return [row for row in self.rows if all(row.get(key) == value for key, value in wanted.items())]

    def values(self, key: str) -> list[Any]:
        """All values of one key, each once, in their order."""
        return list(dict.fromkeys(row[key] for row in self.rows))


Measured = Mapping[str, Part]


def read(results: Path, capacity: Path) -> dict[str, Part]:
    """Read all parts that were measured: a file each, and what ``capacity.py`` keeps for ``hookline plan``."""
    found = {}
    if capacity.exists():
        found["capacity"] = _capacity(json.loads(capacity.read_text(encoding="utf-8")))
    return found | read_results(results)


def read_results(results: Path) -> dict[str, Part]:
    """Read the parts that have a file each."""
    found = {}
    for path in sorted(results.glob("*.json")):
        kept = json.loads(path.read_text(encoding="utf-8"))
        found[kept["part"]] = Part(**{"name" if key == "part" else key: value for key, value in kept.items()})
    return found


def _capacity(kept: Mapping[str, Any]) -> Part:
    rows = [
        row | {"rate": {"median": row["rate"], "min": row["slowest"], "max": row["fastest"]}} for row in kept["deliver"]
    ]
    return Part("capacity", "make numbers ARGS='--only capacity'", kept["machine"], kept["date"], 0, rows)


def median(value: Any) -> float:
    """The median of a figure, or the figure of a single run."""
    return float(value["median"] if isinstance(value, Mapping) else value)


def least(value: Any) -> float:
    """The smallest of all runs."""
    return float(value["min"] if isinstance(value, Mapping) else value)


def most(value: Any) -> float:
    """The largest of all runs."""
    return float(value["max"] if isinstance(value, Mapping) else value)


def shown(value: Any, unit: str = "") -> str:
    """The median, and both ends where they differ: ``497 (495–499)``."""
    middle, low, high = (digits(one) for one in (median(value), least(value), most(value)))
    spread = f" ({low}–{high})" if low != middle or high != middle else ""
    return f"{middle}{unit and ' '}{unit}{spread}"


def percent(share: Any) -> str:
    """A share, such as ``98 %``; below a tenth with one decimal, so that small ones do not all look alike."""
    value = median(share) * 100
    text = f"{value:.1f}" if abs(value) < 9.95 else f"{value:.0f}"
    return f"{'0.0' if text == '-0.0' else text} %"


def digits(value: float) -> str:
    """Three digits that count, all those before the point: 4,945, 24.6, 0.53."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 or value == 0 else f"{value:.2f}"


def span(values: Iterable[float], write: Any = digits) -> str:
    """The smallest to the largest: ``0.97 to 1.02``, or one of them if they look alike."""
    ends = sorted(values)
    low, high = write(ends[0]), write(ends[-1])
    return low if low == high else f"{low} to {high}"


def listed(words: Sequence[Any]) -> str:
    """With commas, and ``and`` before the last."""
    texts = [f"{word:,}" if isinstance(word, int) else str(word) for word in words]
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else "".join(texts)


def named(nodes: int) -> str:
    """The words for a cluster of so many nodes."""
    return {1: "one node", 3: "three nodes"}[nodes]


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], words: int = 1) -> list[str]:
    """A table; the first columns, so many, are words, and the others figures."""
    marks = ["---"] * words + ["--:"] * (len(heads) - words)
    lines = [f"| {' | '.join(heads)} |", f"|{'|'.join(marks)}|"]
    return lines + [
        f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else str(cell) for cell in row)} |" for row in rows
    ]


def source(part: Part) -> str:
    """The line below a section: when, how often, with which command and on which machine."""
    runs = f"; runs of each: {part.runs}" if part.runs else ""
    return f"*Measured on {part.date} with `{part.command}`; {part.machine}{runs}.*"


def picture(name: str, words: str) -> str:
    """The picture of a section."""
    return f"![{words}](../images/numbers/{name}.svg)"


def missing(name: str) -> list[str]:
    """The line of a section that was not measured."""
    return [f"Not measured yet: `make numbers ARGS='--only {name}'` measures it."]
