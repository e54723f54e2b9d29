"""Draws the pictures of the page, one for each part."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from plots import Panel, Series, bars, lines
from report.claims import FAILOVER_MS, HERD, LAG_MS, OVERHEAD, WORKERS
from report.costs import NODES, costs
from report.figures import Measured, Part, Row, least, median, most, named
from report.sections import FULL_MACHINE, allowed

from hookline.cli.plan.calibration import Calibration
from hookline.cli.plan.prices import PriceTable


def draw(directory: Path, measured: Measured, known: Calibration, prices: PriceTable) -> list[Path]:
    """Draw the parts that were measured, and what they cost; returns the files."""
    drawn = []
    for name, make in PICTURES.items():
        part = measured.get(name)
        if part is not None and part.rows:
            drawn.append(directory / f"{name}.svg")
            make(drawn[-1], part)
    drawn.append(directory / "cost.svg")
    _cost(drawn[-1], known, prices)
    return drawn


def _series(name: str, rows: Sequence[Row], x: str, y: str, *, scale: float = 1, words: bool = False) -> Series:
    """A figure of each row over another, with its spread."""
    return Series(
        name,
        [f"{row[x]:,}" if words else row[x] for row in rows],
        [median(row[y]) * scale for row in rows],
        [least(row[y]) * scale for row in rows],
        [most(row[y]) * scale for row in rows],
    )


def _capacity(path: Path, part: Part) -> None:
    panels = []
    for nodes in part.values("nodes"):
        shown = []
        for slots in part.values("slots"):
            rows = [row for row in part.like(nodes=nodes, slots=slots) if row["webhook_ms"]]
            if rows:
                shown.append(_series(f"{slots:,} slots", rows, "webhook_ms", "rate"))
                ideal = [allowed(row) for row in rows]
                shown.append(Series(f"{slots:,} slots allow", [row["webhook_ms"] for row in rows], ideal))
        panels.append(Panel(shown, "webhook, ms", "jobs/s", named(nodes), log_x=True, log_y=True))
    lines(path, panels, width=9, height=4.4)


def _clusters(path: Path, part: Part) -> None:
    rates, cpu = [], []
    for nodes in part.values("nodes"):
        name = f"clusters of {named(nodes)}"
        full = part.like(nodes=nodes, asked=0)
        rates.append(_series(name, full, "clusters", "rate"))
        if nodes == part.values("nodes")[0]:
            one = median(full[0]["rate"]) / full[0]["clusters"]
            rates.append(Series("linear", [row["clusters"] for row in full], [one * row["clusters"] for row in full]))
        asked = [row for row in part.like(nodes=nodes) if row["asked"] and row["busy"] < FULL_MACHINE]
        cpu.append(_series(name, asked, "clusters", "cpu_us"))
    panels = [
        Panel(rates, "clusters", "jobs/s", "all that they can do, on one machine"),
        Panel(cpu, "clusters", "CPU of a job, µs", "as much asked of each, with room"),
    ]
    lines(path, panels, width=9, height=4)


def _modes(path: Path, part: Part) -> None:
    few, many = min(part.values("slots")), max(part.values("slots"))
    rates = _by_mode(part, many, "rate_200")
    claimed = list(WORKERS.values())
    rates.append(_claimed("workers, as claimed", claimed))
    overheads = [
        *_by_mode(part, few, "overhead", scale=100),
        _claimed("as claimed", [(OVERHEAD[0] * 100, OVERHEAD[1] * 100)] * len(claimed)),
    ]
    panels = [
        Panel(rates, "runners", "jobs/s, 200 ms webhooks", f"{many:,} slots each"),
        Panel(overheads, "runners", "overhead, %", f"{few:,} slots each"),
    ]
    lines(path, panels, width=9, height=4)


def _claimed(name: str, ends: Sequence[tuple[float, float]]) -> Series:
    """Error bars over the claimed numbers of workers."""
    middles = [(low + high) / 2 for low, high in ends]
    return Series(name, list(WORKERS), middles, [low for low, _ in ends], [high for _, high in ends])


def _by_mode(part: Part, slots: int, key: str, scale: float = 1) -> list[Series]:
    by_mode: dict[str, list[Row]] = {}
    for row in part.like(slots=slots):
        by_mode.setdefault(row["mode"], []).append(row)
    return [_series(mode, rows, "runners", key, scale=scale) for mode, rows in by_mode.items()]


def _creating(path: Path, part: Part) -> None:
    panels = []
    for key, words in (("p50_ms", "half of them"), ("p99_ms", "all but one in a hundred")):
        shown = [
            _series(named(nodes), part.like(nodes=nodes, batch=1), "connections", key) for nodes in part.values("nodes")
        ]
        panels.append(Panel(shown, "connections", "ms until answered", words, log_x=True, log_y=True))
    lines(path, panels, width=9)


_LAGS: Final = {"p50_ms": "p50", "p99_ms": "p99", "max_ms": "latest"}


def _lag(path: Path, part: Part) -> None:
    groups = [f"{named(row['nodes'])}, {row['per_s']:,} jobs/s" for row in part.rows]
    shown = [_grouped(words, groups, part.rows, key) for key, words in _LAGS.items()]
    bars(path, Panel(shown, "", "ms late", log_y=True, levels={f"{LAG_MS} ms": LAG_MS}))


def _grouped(name: str, groups: Sequence[str], rows: Sequence[Row], key: str) -> Series:
    found = _series(name, rows, key, key)
    return found._replace(x=list(groups))


def _herd(path: Path, part: Part) -> None:
    panels = []
    for nodes in part.values("nodes"):
        rows = part.like(nodes=nodes)
        shown = [_grouped(words, [f"{row['count']:,} jobs" for row in rows], rows, key) for key, words in _LAGS.items()]
        panels.append(Panel(shown, "", "ms late", named(nodes), log_y=True, levels={f"{HERD[1]} ms": HERD[1]}))
    bars(path, panels, width=9)


def _backlog(path: Path, part: Part) -> None:
    figures = (("start_s", "start, s"), ("rate", "jobs/s"), ("after_mib", "memory after the load, MiB"))
    bars(
        path,
        [Panel([_series("", part.rows, "pending", key, words=True)], "pending", words) for key, words in figures],
        width=9,
    )


def _failover(path: Path, part: Part) -> None:
    shown = [_series("", part.rows, "pending", "gap_ms", words=True)]
    level = {"claimed": float(FAILOVER_MS)}
    bars(path, Panel(shown, "pending", "nothing delivered for ms", log_y=True, levels=level), width=6)


def _plan(path: Path, part: Part) -> None:
    groups = [f"{row['webhook_ms']:,} ms, {row['slots']:,} slots,\n{named(row['nodes'])}" for row in part.rows]
    shown = [_grouped("planned", groups, part.rows, "planned"), _grouped("measured", groups, part.rows, "rate")]
    bars(path, Panel(shown, "", "jobs/s"))


def _cost(path: Path, known: Calibration, prices: PriceTable) -> None:
    found = costs(known, prices)
    panels = []
    for currency in dict.fromkeys(cloud.currency for cloud in prices.cloud):
        shown = []
        for cloud in prices.cloud:
            for nodes in NODES:
                mine = [one for one in found if one.cloud is cloud and one.nodes == nodes and one.million is not None]
                if mine and cloud.currency == currency:
                    name = f"{cloud.name}, {named(nodes)}"
                    shown.append(Series(name, [one.rate for one in mine], [one.million or 0.0 for one in mine]))
        for service in prices.service:
            rates = [one.rate for one in found if one.cloud is prices.cloud[0] and one.nodes == NODES[0]]
            if service.currency == currency and service.million_jobs is not None:
                shown.append(Series(service.name, rates, [service.million_jobs] * len(rates)))
        panels.append(Panel(shown, "jobs/s", f"{currency} for a million jobs", log_x=True, log_y=True))
    lines(path, panels, width=9, height=4)


PICTURES: Final[Mapping[str, Callable[[Path, Any], None]]] = {
    "capacity": _capacity,
    "clusters": _clusters,
    "modes": _modes,
    "creating": _creating,
    "lag": _lag,
    "herd": _herd,
    "backlog": _backlog,
    "failover": _failover,
    "plan": _plan,
}
