"""Tables that fit: on a terminal they are cut to its width, everywhere else each row is one whole line.

A row never folds. When a terminal is narrow, long texts are cut with "…" first, then the least important columns go,
and only then the ids are cut.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from hookline.visible import visible, visible_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

Form = Literal["table", "wide", "ids"]
_GAP: Final = 2
_LEAST: Final = 8  # characters of a text that is cut


class Words(NamedTuple):
    """A text in a style of rich's, which is only imported where there is a terminal to show it."""

    text: str
    style: str = ""

    def __rich__(self) -> "Text":
        from rich.text import Text

        return Text(self.text, style=self.style)


Line = list[Words]


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
    rows: list[Line] = field(default_factory=list)
    title: str | None = None
    caption: str | None = None
    form: Form = "table"

    def add(self, *cells: str | Words) -> None:
        """One row, with a cell for each column."""
        words = (cell if isinstance(cell, Words) else Words(cell) for cell in cells)
        self.rows.append([Words(visible_line(one.text), one.style) for one in words])

    def pick(self, names: Sequence[str]) -> None:
        """Keep these columns, in this order. Raises ValueError with what there is."""
        known = {column.name.lower(): place for place, column in enumerate(self.columns)}
        if unknown := [name for name in names if name.lower() not in known]:
            raise ValueError(f"there is no column {', '.join(unknown)}; there are {','.join(known)}")
        places = [known[name.lower()] for name in names]
        self.columns = [self.columns[place] for place in places]
        self.rows = [[row[place] for place in places] for row in self.rows]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """As rich asks for it; print it with ``soft_wrap=True``."""
        for line in self.lines(options.max_width if console.is_terminal and self.form == "table" else None):
            yield _assembled(line)

    def tsv(self) -> str:
        """Whole, with tabs between the cells; rich would make spaces of them."""
        lines = [[column.name for column in self.columns], *([cell.text for cell in row] for row in self.rows)]
        return "".join("\t".join(cells) + "\n" for cells in lines)

    def lines(self, width: int | None = None) -> Iterator[Line]:
        """Gives what is printed: all of it, or what fits into ``width`` characters."""
        if self.form == "ids":
            yield from (row[:1] for row in self.rows)
            return
        widths = self._widths()
        if width is not None:
            widths = fit(self.columns, widths, width)
        if self.title is not None:
            yield [_cut(Words(self.title, "italic"), width)]
        yield self._line([Words(column.name, "bold") for column in self.columns], widths)
        if width is not None:
            yield [Words("─" * (sum(found + _GAP for found in widths if found) - _GAP), "dim")]
        for row in self.rows:
            yield self._line(row, widths)
        if self.caption is not None:
            yield [Words(self.caption, "italic")]

    def _widths(self) -> list[int]:
        return [
            max([cell_len(column.name), *(cell_len(row[place].text) for row in self.rows)])
            for place, column in enumerate(self.columns)
        ]

    def _line(self, cells: Sequence[Words], widths: Sequence[int]) -> Line:
        line: Line = []
        shown = [
            (cell, width, column) for cell, width, column in zip(cells, widths, self.columns, strict=True) if width
        ]
        for place, (cell, width, column) in enumerate(shown):
            cut = _cut(cell, width)
            padding = " " * (width - cell_len(cut.text))
            is_last = place == len(shown) - 1
            if column.is_number:
                line.append(Words(padding))
            line.append(cut)
            if not is_last:
                line.append(Words(" " * _GAP if column.is_number else padding + " " * _GAP))
        return _stripped(line)


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


def cell_len(text: str) -> int:
    """How many places of a terminal it takes."""
    if text.isascii():
        return len(text)
    from rich import cells

    return cells.cell_len(text)


def _cut(words: Words, width: int | None) -> Words:
    if width is None or cell_len(words.text) <= width:
        return words
    from rich.cells import set_cell_size

    return Words(set_cell_size(words.text, width - 1) + "…", words.style)


def _stripped(line: Line) -> Line:
    while line and not line[-1].text.rstrip():
        line.pop()
    return [*line[:-1], Words(line[-1].text.rstrip(), line[-1].style)] if line else line


def _assembled(line: Line) -> "Text":
    from rich.text import Text

    return Text.assemble(*line)


@dataclass(frozen=True, slots=True)
class Facts:
    """One thing in detail: a name and a value a line. Values fold on a terminal only."""

    pairs: Sequence[tuple[str, Words]]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """As rich asks for it; print it with ``soft_wrap=True``."""
        from rich.text import Text

        room = options.max_width - self._indent()
        for head, value in self.lines():
            text, begin = value.__rich__(), head.__rich__()
            is_folded = console.is_terminal and room >= 2 * _LEAST
            for number, part in enumerate(text.wrap(console, room) if is_folded else [text]):
                yield Text.assemble(Text(" " * len(head.text)) if number else begin, part)

    def lines(self) -> Iterator[Line]:
        """Gives what is printed where nothing folds: two parts a line."""
        indent = self._indent()
        for name, value in self.pairs:
            for number, part in enumerate(value.text.split("\n")):
                yield [Words(("" if number else name).ljust(indent), "bold"), Words(part, value.style)]

    def _indent(self) -> int:
        return max((len(name) for name, _ in self.pairs), default=0) + _GAP


def facts(pairs: Iterable[tuple[str, object]]) -> Facts:
    """One thing in detail: a name and a value per line; pairs without a value are left out."""
    given = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
    return Facts([(name, value if isinstance(value, Words) else Words(visible(str(value)))) for name, value in given])
