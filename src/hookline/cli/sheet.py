"""Tables that fit: on a terminal they are cut to its width, everywhere else each row is one whole line.

A row never folds. When a terminal is narrow, long texts are cut with "…" first, then the least important columns go,
and only then the ids are cut.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from hookline.visible import visible_line

Form = Literal["table", "wide", "ids"]
_GAP: Final = 2
_LEAST: Final = 8  # characters of a text that is cut


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: in capitals; ``--columns`` takes it in small letters.
        rank: the higher, the earlier it is left out for want of room; 0: never.
        is_long: its texts may be cut before a column is left out.
        is_number: set to the right.
    """

    name: str
    rank: int = 0
    is_long: bool = False
    is_number: bool = False


@dataclass(slots=True)
class Sheet:
    """A table; each cell is a text, perhaps with a style.

    Attributes:
        title, caption: a line before and behind it, where people read it.
        form: ``table`` fits a terminal; ``wide`` is whole; ``ids`` the first column only.
    """

    columns: Sequence[Column]
    rows: list[list[Text]] = field(default_factory=list)
    title: str | None = None
    caption: str | None = None
    form: Form = "table"

    def add(self, *cells: str | Text) -> None:
        """One row, with a cell for each column."""
        texts = (cell if isinstance(cell, Text) else Text(cell) for cell in cells)
        self.rows.append([Text(visible_line(text.plain), style=text.style) for text in texts])

    def pick(self, names: Sequence[str]) -> None:
        """Keep these columns, in this order. Raises ValueError with what there is."""
        known = {column.name.lower(): place for place, column in enumerate(self.columns)}
        if unknown := [name for name in names if name.lower() not in known]:
            raise ValueError(f"there is no column {', '.join(unknown)}; there are {','.join(known)}")
        places = [known[name.lower()] for name in names]
        self.columns = [self.columns[place] for place in places]
        self.rows = [[row[place] for place in places] for row in self.rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As rich asks for it; print it with ``soft_wrap=True``."""
        if self.form == "ids":
            yield from (row[0] for row in self.rows)
        else:
            width = options.max_width if console.is_terminal and self.form == "table" else None
            yield from self._lines(width)

    def tsv(self) -> str:
        """Whole, with tabs between the cells; rich would make spaces of them."""
        lines = [[column.name for column in self.columns], *([cell.plain for cell in row] for row in self.rows)]
        return "".join("\t".join(cells) + "\n" for cells in lines)

    def _lines(self, width: int | None) -> Iterator[Text]:
        widths = self._widths()
        if width is not None:
            widths = fit(self.columns, widths, width)
        if self.title is not None:
            yield _cut(Text(self.title, style="italic"), width)
        yield self._line([Text(column.name, style="bold") for column in self.columns], widths)
        if width is not None:
            yield Text("─" * (sum(found + _GAP for found in widths if found) - _GAP), style="dim")
        for row in self.rows:
            yield self._line(row, widths)
        if self.caption is not None:
            yield Text(self.caption, style="italic")

    def _widths(self) -> list[int]:
        return [
            max([cell_len(column.name), *(cell_len(row[place].plain) for row in self.rows)])
            for place, column in enumerate(self.columns)
        ]

    def _line(self, cells: Sequence[Text], widths: Sequence[int]) -> Text:
        line = Text()
        shown = [
            (cell, width, column) for cell, width, column in zip(cells, widths, self.columns, strict=True) if width
        ]
        for place, (cell, width, column) in enumerate(shown):
            cut = _cut(cell, width)
            padding = " " * (width - cell_len(cut.plain))
            is_last = place == len(shown) - 1
            if column.is_number:
                line.append(padding)
            line.append_text(cut)
            if not is_last:
                line.append(" " * _GAP if column.is_number else padding + " " * _GAP)
        line.rstrip()
        return line


def fit(columns: Sequence[Column], widths: Sequence[int], limit: int) -> list[int]:
    """How wide each column is within ``limit`` characters; 0: it is left out. Pure."""
    found = list(widths)
    order = sorted(range(len(found)), key=lambda place: -columns[place].rank)  # the least important first
    for place in [*order, *order]:
        excess = _excess(found, limit)
        if excess <= 0:
            break
        _shrink(columns, found, excess)
        if _excess(found, limit) > 0 and columns[place].rank:
            found[place] = 0
            for other, column in enumerate(columns):  # what was cut for it may have its room
                if found[other] and column.is_long:
                    found[other] = widths[other]
    _shrink(columns, found, _excess(found, limit))
    for place, width in enumerate(found):  # nothing is left but to cut what should stay whole
        if (excess := _excess(found, limit)) > 0 and width:
            found[place] = max(1, width - excess)
    return found


def _excess(widths: Sequence[int], limit: int) -> int:
    shown = [width for width in widths if width]
    return sum(shown) + _GAP * (len(shown) - 1) - limit


def _shrink(columns: Sequence[Column], widths: list[int], excess: int) -> None:
    """Cut the long texts, the longest first, by ``excess`` characters, if they have so many."""
    while excess > 0:
        long = [place for place, column in enumerate(columns) if column.is_long and widths[place] > _LEAST]
        if not long:
            return
        widths[max(long, key=lambda place: widths[place])] -= 1
        excess -= 1


def _cut(text: Text, width: int | None) -> Text:
    if width is None or cell_len(text.plain) <= width:
        return text
    return Text(set_cell_size(text.plain, width - 1) + "…", style=text.style)


@dataclass(frozen=True, slots=True)
class Facts:
    """One thing in detail: a name and a value a line. Values fold on a terminal only."""

    pairs: Iterable[tuple[str, Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As rich asks for it; print it with ``soft_wrap=True``."""
        pairs = list(self.pairs)
        indent = max((len(name) for name, _ in pairs), default=0) + _GAP
        for name, value in pairs:
            lines = value.split("\n") if "\n" in value.plain else [value]
            if console.is_terminal and options.max_width - indent >= 2 * _LEAST:
                lines = [part for line in lines for part in line.wrap(console, options.max_width - indent)]
            for number, line in enumerate(lines):
                head = Text(("" if number else name).ljust(indent), style="bold")
                yield head.append_text(line)
