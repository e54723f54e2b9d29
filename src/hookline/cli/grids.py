"""Tables of rich, for what is not a list of jobs or the like. Imported where one is printed only."""

from collections.abc import Sequence

from rich import box
from rich.table import Table


def table(columns: Sequence[str], *, keep: Sequence[str] = ("ID",), right: Sequence[str] = ()) -> Table:
    """An empty table; the columns in ``keep`` never wrap, those in ``right`` hold numbers."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in columns:
        grid.add_column(
            name, overflow="fold", no_wrap=name in keep, justify="right" if name in right else "left", min_width=3
        )
    return grid
