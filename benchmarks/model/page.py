"""Turns what a run kept into the parts of docs/explanation/internet-scale.md: pure."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from marked_page import filled
from model import tables
from model.tables import LIMIT, table
from report.figures import Row

Found = Mapping[str, Any]


def written(page: str, found: Found) -> str:
    """The page with each part filled between its marks."""
    return filled(page, {name: part(found) for name, part in PARTS.items()})


def summary(found: Found) -> list[str]:
    """When it was run, what was read, and how far the model is off."""
    parts = ", ".join(found["parts"]) or "none yet"
    lines = [
        f"- Run on {found['date']} by `{found['command']}` (`make model`).",
        f"- Costs: those of `hookline plan`, measured on {found['measured_on']}: {found['machine']}.",
        f"- Other parts of `make numbers` that were there: {parts}.",
    ]
    if checks := found["checks"]:
        within = sum(abs(one["error"]) <= LIMIT for one in checks)
        worst = max(checks, key=lambda one: abs(one["error"]))
        lines += [
            f"- Of {len(checks)} figures that were measured and not fitted, the model is within 10 % of {within}.",
            f"- The largest error is {worst['error']:+.0%}: {worst['figure']}, {worst['case']}.",
        ]
    return lines


def fitted(found: Found) -> list[str]:
    """Lists what the model was given."""
    one, three = found["costs"]["1"], found["costs"]["3"]
    rows = [f"| {name} | {show(one)} | {show(three)} |" for name, show in tables.COSTS.items()]
    return ["| cost | one node | three nodes |", "|---|---|---|", *rows]


def by_figure(found: Found) -> list[str]:
    """How many figures of each kind are within 10 %."""
    rows: list[Row] = []
    for figure in dict.fromkeys(one["figure"] for one in found["checks"]):
        errors = sorted((one["error"] for one in found["checks"] if one["figure"] == figure), key=abs)
        rows.append(
            {
                "figure": figure,
                "count": len(errors),
                "within": sum(abs(error) <= LIMIT for error in errors),
                "middle": abs(errors[len(errors) // 2]),
                "largest": errors[-1],
            }
        )
    return table(rows, tables.BY_FIGURE)


def _of(name: str, columns: tables.Columns, found: Found) -> list[str]:
    rows: Sequence[Row] = found[name]
    return table(rows, columns)


PARTS: Final[Mapping[str, Callable[[Found], list[str]]]] = {
    "summary": summary,
    "fitted": fitted,
    "by figure": by_figure,
    "validation": partial(_of, "checks", tables.VALIDATION),
    "steady": partial(_of, "steady", tables.STEADY),
    "balance": partial(_of, "balance", tables.BALANCE),
    "herds": partial(_of, "herds", tables.HERDS),
    "loss": partial(_of, "loss", tables.LOSS),
    "storm": partial(_of, "storm", tables.STORM),
    "zone": partial(_of, "zone", tables.ZONE),
    "moving": partial(_of, "moving", tables.MOVING),
    "decisions": partial(_of, "decisions", tables.DECISIONS),
}
