"""Draws the pictures of the documentation: SVG, readable on a light page and on a dark one, the same bytes each time.

The background is transparent and every colour has much the same contrast to white and to a dark page. Text stays text.
There is no date in a file, and its ids come from a fixed salt: drawing again what has not changed changes nothing.
"""

import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

COLORS: Final = ("#2f83d4", "#d46a0c", "#2d9365", "#a263d8", "#d9484f", "#8a7a2c", "#7e7e7e")
INK: Final = "#7e7e7e"  # text, axes
_GRID: Final = "#7e7e7e40"
_MARKERS: Final = "osD^vPX"
_STYLES: Final[Sequence[Any]] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 2)))
_MARKED_POINTS: Final = 40  # a line of more points has no marks
_LOOKS: Final[Any] = {  # Any: matplotlib wants a literal type for each name
    "svg.hashsalt": "hookline",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "path.simplify_threshold": 0.2,
}


class Series(NamedTuple):
    """One line, or the bars of one colour.

    Attributes:
        name: what the legend says; empty: nothing.
        x: where the points are; of bars the groups, by their names.
        y: how high they are; NaN: there is none.
        low: where error bars, or a band, begin; None: there are none.
        high: where they end.
    """

    name: str
    x: Sequence[Any]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


class Panel(NamedTuple):
    """One diagram of a picture.

    Attributes:
        series: what it shows.
        x_label: with the unit.
        y_label: with the unit.
        title: above it.
        log_x: the axis is logarithmic.
        log_y: likewise.
        from_zero: the vertical axis begins at 0; not of a logarithmic one.
        band: ``low`` and ``high`` of lines are a shaded band and not error bars.
        steps: a line keeps its height until the next point.
        points: there are no lines between them.
        moments: vertical lines, by what is written beside them.
        levels: horizontal lines, likewise.
    """

    series: Sequence[Series]
    x_label: str
    y_label: str
    title: str = ""
    log_x: bool = False
    log_y: bool = False
    from_zero: bool = True
    band: bool = False
    steps: bool = False
    points: bool = False
    moments: Mapping[str, float] = {}
    levels: Mapping[str, float] = {}


def lines(path: Path, panels: Panel | Sequence[Panel], *, width: float = 8.0, height: float = 3.6) -> None:
    """Draw lines through points; several panels are side by side. Width and height in inches of 72 pixels, in all."""
    _draw(path, panels, _lines, (width, height))


def bars(path: Path, panels: Panel | Sequence[Panel], *, width: float = 8.0, height: float = 3.6) -> None:
    """Draw bars, those of one group beside each other; ``x`` of all series of a panel are the same names."""
    _draw(path, panels, _bars, (width, height))


def number(value: float) -> str:
    """Write a number as the axes do: 0.05, 1.5, 20, 1,000, 20k, 1M."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= (10 * unit if name == "k" else unit):
            return f"{value / unit:g}{name}"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.6g}"


def _draw(
    path: Path,
    panels: Panel | Sequence[Panel],
    into: Callable[[Axes, Panel], None],
    size: tuple[float, float],
) -> None:
    all_panels = [panels] if isinstance(panels, Panel) else list(panels)
    with _looks():
        figure = Figure(figsize=size, layout="constrained")
        for axes, panel in zip(_row(figure, len(all_panels)), all_panels, strict=True):
            into(axes, panel)
            _finish(axes, panel)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_settled(drawn.getvalue()), encoding="utf-8")


@contextmanager
def _looks() -> Iterator[None]:
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_LOOKS)
        yield


def _row(figure: Figure, count: int) -> Iterable[Axes]:
    return [figure.add_subplot(1, count, place + 1) for place in range(count)]


def _settled(svg: str) -> str:
    """Without trailing blanks, and of so few digits that another processor's last bits do not show."""
    shorter = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", svg)
    return "\n".join(line.rstrip() for line in shorter.splitlines()) + "\n"


def _lines(axes: Axes, panel: Panel) -> None:
    for place, one in enumerate(panel.series):
        color = COLORS[place % len(COLORS)]
        style: dict[str, Any] = {
            "color": color,
            "linestyle": "" if panel.points else _STYLES[place % len(_STYLES)],
            "marker": _MARKERS[place % len(_MARKERS)] if panel.points or len(one.x) <= _MARKED_POINTS else "",
            "markersize": 5,
            "label": one.name,
            "drawstyle": "steps-post" if panel.steps else "default",
        }
        if one.low is None or one.high is None:
            axes.plot(one.x, one.y, **style)
        elif panel.band:
            axes.plot(one.x, one.y, **style)
            axes.fill_between(one.x, one.low, one.high, color=color, alpha=0.2, linewidth=0)
        else:
            axes.errorbar(one.x, one.y, yerr=_errors(one), capsize=3, **style)


def _bars(axes: Axes, panel: Panel) -> None:
    groups, each = list(panel.series[0].x), 0.8 / len(panel.series)
    for place, one in enumerate(panel.series):
        if list(one.x) != groups:
            raise ValueError(f"the groups of {one.name!r} are not those of {panel.series[0].name!r}")
        middles = [group - 0.4 + each * (place + 0.5) for group in range(len(groups))]
        errors = None if one.low is None else _errors(one)
        axes.bar(
            middles,
            one.y,
            each * 0.92,
            yerr=errors,
            capsize=3,
            ecolor=INK,
            color=COLORS[place % len(COLORS)],
            label=one.name,
        )
    axes.set_xticks(range(len(groups)), [str(group) for group in groups])
    axes.grid(visible=False, axis="x")


def _errors(one: Series) -> list[list[float]]:
    assert one.low is not None
    assert one.high is not None
    below = [max(0.0, y - low) for y, low in zip(one.y, one.low, strict=True)]
    above = [max(0.0, high - y) for y, high in zip(one.y, one.high, strict=True)]
    return [below, above]


def _finish(axes: Axes, panel: Panel) -> None:
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.set_title(panel.title)
    if panel.log_x:
        axes.set_xscale("log")
    if panel.log_y:
        axes.set_yscale("log")
    elif panel.from_zero:
        axes.set_ylim(bottom=min(0.0, *(y for one in panel.series for y in one.y if not math.isnan(y)), 0.0))
    for words, x in panel.moments.items():
        axes.axvline(x, color=INK, linewidth=1, linestyle=":")
        axes.text(x, 1.0, f" {words}", transform=axes.get_xaxis_transform(), va="top", ha="left", fontsize=9)
    for words, y in panel.levels.items():
        axes.axhline(y, color=INK, linewidth=1, linestyle=":")
        axes.text(1.0, y, words, transform=axes.get_yaxis_transform(), va="bottom", ha="right", fontsize=9)
    _write_numbers(axes, panel)
    if any(one.name for one in panel.series):
        axes.legend(fontsize=9)


def _write_numbers(axes: Axes, panel: Panel) -> None:
    named = bool(panel.series) and any(isinstance(x, str) for x in panel.series[0].x)
    chosen = [(axes.yaxis, panel.log_y)] if named else [(axes.yaxis, panel.log_y), (axes.xaxis, panel.log_x)]
    for axis, logarithmic in chosen:
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        if logarithmic:
            low, high = axis.get_view_interval()
            few = high / max(low, 1e-12) < 1e3
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
            axis.set_minor_formatter(NullFormatter())
