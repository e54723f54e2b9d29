"""The state of ``hookline top``'s screen, and what keys do to it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

ViewKind = Literal["overview", "cluster", "destination", "job"]
Sorting = Literal["name", "backlog", "lag", "rate"]
SORTINGS: Final[tuple[Sorting, ...]] = ("name", "backlog", "lag", "rate")
KEYS: Final = "↑↓ choose  Enter open  Esc back  s sort  Space pause  q quit"
_UP: Final = ("up", "k")
_DOWN: Final = ("down", "j")
_IN: Final = ("enter", "right", "l")
_BACK: Final = ("escape", "left", "backspace", "h")
_PAGE: Final = 10


class TopView(NamedTuple):
    """One thing that can be looked at, by its name."""

    kind: ViewKind
    name: str = ""


@dataclass(frozen=True, slots=True)
class TopScreen:
    """The view that is shown, and how.

    Attributes:
        views: the way there from the overview, which is the first.
        chosen: for each of them, the place of the row that is chosen.
        is_over: somebody has had enough.
    """

    views: tuple[TopView, ...] = (TopView("overview"),)
    chosen: tuple[int, ...] = (0,)
    sorting: Sorting = "name"
    is_paused: bool = False
    is_over: bool = False

    @property
    def view(self) -> TopView:
        """The one that is shown."""
        return self.views[-1]

    @property
    def row(self) -> int:
        """The row that is chosen there."""
        return self.chosen[-1]


def pressed(screen: TopScreen, key: str, targets: Sequence[TopView | None]) -> TopScreen:
    """The screen after a key.

    Args:
        screen: before it.
        key: a letter, or the name of another key.
        targets: where each row that can be chosen leads; None: nowhere.
    """
    last = max(0, len(targets) - 1)
    row = min(screen.row, last)
    if key == "q":
        return replace(screen, is_over=True)
    if key in (" ", "p"):
        return replace(screen, is_paused=not screen.is_paused)
    if key == "s":
        following = SORTINGS[(SORTINGS.index(screen.sorting) + 1) % len(SORTINGS)]
        return replace(screen, sorting=following)
    moves = {"home": -last, "end": last, "pageup": -_PAGE, "pagedown": _PAGE}
    moves |= dict.fromkeys(_UP, -1) | dict.fromkeys(_DOWN, 1)
    if key in moves:
        return replace(screen, chosen=(*screen.chosen[:-1], max(0, min(last, row + moves[key]))))
    if key in _IN and targets and (target := targets[row]) is not None:
        return replace(screen, views=(*screen.views, target), chosen=(*screen.chosen[:-1], row, 0))
    if key in _BACK and len(screen.views) > 1:
        return replace(screen, views=screen.views[:-1], chosen=screen.chosen[:-1])
    return screen
