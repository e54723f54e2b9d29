"""Holds what was measured against what Hookline wants to be: pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from peers.catalogue import PYTHON
from peers.report import BARE, DELIVERIES, ENQUEUES, HERD, middle

ONE: Final = "Hookline, one node"
THREE: Final = "Hookline, three nodes"
RESTATE: Final = "Restate, three nodes"
FAST, SINGLE, SLOW = DELIVERIES
_HERD_MS: Final = 100

Kept = Mapping[str, Any]
Figure = tuple[str, float]  # whose, and how much


class Goal(NamedTuple):
    """One of them.

    Attributes:
        words: as it was set.
        ours: which Hookline, and its figure; None: not measured.
        best: the best of those it is compared with; None: likewise, or it is compared with nobody.
        least: of the ratio of ours to theirs; None: ours has to be lower than ``limit``, or than theirs.
        limit: which ours may not reach.
    """

    words: str
    ours: float | None
    best: Figure | None
    least: float | None = None
    limit: float | None = None

    @property
    def verdict(self) -> str:
        """Reached, missed, or not measured."""
        limit = self.limit if self.limit is not None else self.best and self.best[1]
        if self.ours is None or limit is None:
            return "not measured"
        is_reached = self.ours < limit if self.least is None else self.ours >= self.least * limit
        return "reached" if is_reached else "**missed**"

    @property
    def row(self) -> str:
        """Of the table."""
        ours = "—" if self.ours is None else f"{self.ours:,.0f}"
        best = "—" if self.best is None else f"{self.best[0]}: {self.best[1]:,.0f}"
        ratio = f"{self.ours / self.best[1]:.2f}" if self.ours is not None and self.best is not None else "—"
        return f"| {self.words} | {ours} | {best} | {ratio} | {self.verdict} |"


def goals(kept: Kept) -> list[Goal]:
    """All of them, for what one run kept."""
    singles = [name for name, peer in kept["peers"].items() if peer["copies"] == 1 and not name.startswith("Hookline")]
    python = [name for name in singles if kept["peers"][name]["language"] == PYTHON]
    others = [name for name in kept["peers"] if not name.startswith("Hookline")]

    def of(name: str, case: str, figure: str = "rate") -> float | None:
        runs = kept["found"].get(name, {}).get(case)
        return middle(runs, figure) if runs else None

    def best(names: list[str], case: str, figure: str = "rate", pick: Callable[..., Figure] = max) -> Figure | None:
        known = [(name, value) for name in names if (value := of(name, case, figure)) is not None]
        return pick(known, key=lambda one: one[1]) if known else None

    def ahead(words: str, mine: str, names: list[str], case: str, least: float = 1.0) -> Goal:
        return Goal(f"{words}: {case}, a second", of(mine, case), best(names, case), least)

    def below(words: str, mine: str, names: list[str], case: str, figure: str) -> Goal:
        return Goal(f"{words}: {case}", of(mine, case, figure), best(names, case, figure, min))

    return [
        ahead("one node, ahead of all single copies", ONE, singles, FAST),
        ahead("one node, 1.2 × the best one in Python", ONE, python, ENQUEUES[0], 1.2),
        ahead("one node, 0.99 of the bare loop", ONE, [BARE], SLOW, 0.99),
        below("one node, the least CPU of all, µs a job", ONE, others, SLOW, "cpu_us"),
        Goal(f"one node, 2,000 at one instant: p99 below {_HERD_MS} ms", of(ONE, HERD, "p99"), None, limit=_HERD_MS),
        ahead("three nodes, 0.8 of the best single copy", THREE, singles, FAST, 0.8),
        ahead("three nodes, 0.8 of the best single copy", THREE, singles, SINGLE, 0.8),
        *(ahead("three nodes, ahead of Restate's three", THREE, [RESTATE], case) for case in (FAST, SINGLE, SLOW)),
        ahead("three nodes, ahead of Restate's three", THREE, [RESTATE], ENQUEUES[0]),
        below("three nodes, ahead of Restate's three, ms at p99", THREE, [RESTATE], HERD, "p99"),
    ]


def table(kept: Kept) -> list[str]:
    """The table of the page."""
    head = "| goal | Hookline | best of the others | ratio | |"
    return [head, "|---|--:|--:|--:|---|", *(goal.row for goal in goals(kept))]
