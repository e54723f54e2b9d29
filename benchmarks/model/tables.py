"""The tables of docs/explanation/internet-scale.md: what each column says of a row."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from model.costs import MANY, REQUESTS
from report.figures import Row, digits

Columns = Mapping[str, Callable[[Row], str]]

LIMIT: Final = 0.10  # of the model's error


def table(rows: Sequence[Row], columns: Columns) -> list[str]:
    """Markdown; columns whose cells are all words go to the left."""
    cells = [[show(row) for show in columns.values()] for row in rows]
    sides = ["--:" if any(_is_number(row[place]) for row in cells) else "---" for place in range(len(columns))]
    lines = [columns, sides, *cells]
    return [f"| {' | '.join(line)} |" for line in lines]


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:2] in {f"{sign}{digit}" for sign in "+-" for digit in range(10)}


def number(value: float | None) -> str:
    """Three figures, or a whole number; a dash when there is none."""
    return "–" if value is None else digits(value)


def after(value_ms: float | None) -> str:
    """A time, with its unit."""
    if value_ms is None:
        return "–"
    return f"{number(value_ms / 1_000)} s" if value_ms >= 1_000 else f"{number(value_ms)} ms"


def numbers(row: Row, *names: str) -> str:
    """Several figures in a cell."""
    return " / ".join(number(row[name]) for name in names)


def _runs(it: Row) -> str:
    spread = f" ({number(it['low'])}–{number(it['high'])})" if it["low"] != it["high"] else ""
    return number(it["measured"]) + spread


def _seconds(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:,.0f} s"


def _law(it: Row, role: int) -> str:
    law = it["deliver"]
    us, more = law["by_role"][role], law["dearer"][role]
    if not any(us):
        return "–"
    crowded = f"; {more:.0%} more with {MANY:,} under way" if more else ""
    return ", ".join(f"{number(count)}: {number(each)}" for count, each in zip(law["jobs"], us, strict=True)) + crowded


COSTS: Final[Columns] = {
    "a delivery, jobs in a round: leader’s CPU, µs": lambda it: _law(it, 0),
    "… followers’": lambda it: _law(it, 1),
    "… etcd’s": lambda it: _law(it, 2),
    f"a create, leader’s CPU, µs: the request ({REQUESTS} at a time) + each job in it": lambda it: " + ".join(
        number(it[name][0]) for name in ("request_us", "create_us")
    ),
    "an append, ms: median, deviation of its logarithm": lambda it: numbers(it, "append_ms", "append_sigma"),
    "an idle second, CPU ms: leader / followers / etcd": lambda it: " / ".join(number(one * 1e3) for one in it["idle"]),
    "a slot between two attempts, ms": lambda it: number(it["between_s"] * 1e3),
    "the receiver, CPU µs a job": lambda it: number(it["receiver_us"]),
}

VALIDATION: Final[Columns] = {
    "measured by": lambda it: it["part"],
    "case": lambda it: it["case"],
    "figure": lambda it: it["figure"],
    "measured (min–max)": _runs,
    "model": lambda it: number(it["model"]),
    "error": lambda it: f"{it['error']:+.1%}",
    "verdict": lambda it: "" if abs(it["error"]) <= LIMIT else "over 10 %",
}

BY_FIGURE: Final[Columns] = {
    "figure": lambda it: it["figure"],
    "how many": lambda it: f"{it['count']}",
    "within 10 %": lambda it: f"{it['within']}",
    "median error": lambda it: f"{it['middle']:.1%}",
    "largest": lambda it: f"{it['largest']:+.1%}",
}

STEADY: Final[Columns] = {
    "clusters": lambda it: f"{it['clusters']:,}",
    "jobs/s each": lambda it: f"{it['per_cluster']:,.0f}",
    "slots": lambda it: f"{it['slots']}",
    "asked in all": lambda it: f"{it['asked']:,.0f}",
    "delivered, jobs/s": lambda it: f"{it['rate']:,.0f}",
    "of what was asked": lambda it: f"{it['rate'] / it['asked']:.1%}",
    "lag p50 / p99 / p99.9, ms": lambda it: numbers(it, "lag_p50_ms", "lag_p99_ms", "lag_p999_ms"),
    "create p50 / p99, ms": lambda it: numbers(it, "create_p50_ms", "create_p99_ms"),
    "leader’s core": lambda it: f"{it['leader_busy']:.0%}",
    "jobs simulated": lambda it: f"{it['jobs']:,}",
}

BALANCE: Final[Columns] = {
    "clusters": lambda it: f"{it['clusters']:,}",
    "strategy": lambda it: it["strategy"],
    "emptiest": lambda it: f"{it['least']:.2f}",
    "fullest": lambda it: f"{it['most']:.2f}",
    "deviation": lambda it: f"{it['deviation']:.1%}",
    "of chance alone": lambda it: f"{it['chance']:.1%}",
    "full when the mean is at": lambda it: f"{min(1.0, it['full_at']):.0%}",
    "lag p99 with a mean of 85 %": lambda it: after(it["lag_p99_ms"]),
    "clusters that cannot keep up then": lambda it: f"{it['overfull']:,}",
}

HERDS: Final[Columns] = {
    "share due at second 0": lambda it: f"{it['share']:.0%}",
    "jobs of a cluster": lambda it: f"{it['together']:,}",
    "jitter": lambda it: f"{it['jitter_s']:,.0f} s" if it["jitter_s"] else "none",
    "lag p50": lambda it: after(it["p50_ms"]),
    "lag p99": lambda it: after(it["p99_ms"]),
    "latest": lambda it: after(it["max_ms"]),
    "nothing waits any more after": lambda it: (
        _seconds(it["drained_s"], "not in this minute") if it["share"] else "nothing waits"
    ),
}

LOSS: Final[Columns] = {
    "clusters": lambda it: f"{it['clusters']:,}",
    "lost for": lambda it: f"{it['outage_s']:,.0f} s",
    "creates that others get more": lambda it: f"{it['others_more']:.2%}",
    "slots that they use": lambda it: number(it["others_running"]),
    "their lag p99 meanwhile": lambda it: after(it["lag_p99_ms"]),
    "its jobs that wait when it is back": lambda it: f"{it['backlog']:,}",
    "caught up after": lambda it: _seconds(it["caught_up_s"], "not in this run"),
    "latest job": lambda it: after(it["late_ms"]),
    "sent a second time": lambda it: f"{it['again']:,}",
}

STORM: Final[Columns] = {
    "how it is lost": lambda it: "machines vanish" if it["is_silent"] else "connections are refused",
    "proxies have": lambda it: "health and breakers" if it["protected"] else "neither",
    "calls of clients, a second": lambda it: number(it["calls_per_s"]),
    "tries at the cluster, a second": lambda it: number(it["tries_per_s"]),
    "most in a second": lambda it: f"{it['tries_most']:,}",
    "taken elsewhere": lambda it: f"{it['elsewhere']:,}",
    "503 to the end": lambda it: f"{it['unavailable']:,}",
    "504": lambda it: f"{it['unclear']:,}",
    "without id, p50 / p99 ms": lambda it: " / ".join(number(one) for one in it["waited_ms"]["minted"]),
}

ZONE: Final[Columns] = {
    "clusters": lambda it: f"{it['clusters']:,}",
    "leaders lost": lambda it: f"{it['lost']:,}",
    "latest job": lambda it: after(it["lag_max_ms"]),
    "sent a second time": lambda it: f"{it['again']:,}",
    "lag p99, ms, in the second of the loss and the next four": lambda it: ", ".join(
        number(one) for one in it["p99_by_second"][5:10]
    ),
}

MOVING: Final[Columns] = {
    "clusters before": lambda it: f"{it['clusters']:,}",
    "share of ids that move": lambda it: f"{it['share']:.3%}",
    "jobs that move": lambda it: f"{it['jobs']:,}",
    "seconds": lambda it: number(it["seconds"]),
    "jobs/s": lambda it: number(it["per_s"]),
    "freeze p50 / longest, ms": lambda it: numbers(it, "freeze_p50_ms", "freeze_max_ms"),
    "lag p99 of the new cluster": lambda it: after(it["lag_p99_ms"]),
    "calls that ran out of time": lambda it: f"{it['late_calls']:,}",
}

DECISIONS: Final[Columns] = {
    "clusters": lambda it: f"{it['clusters']:,}",
    "home of an id, µs": lambda it: number(it["home_us"]),
    "choice for a create without id, µs": lambda it: number(it["choice_us"]),
    "reading a topology with a ring, s": lambda it: f"{it['router_s']:.2f}",
    "its document, KiB": lambda it: f"{it['document'] / 1_024:.0f}",
    "while a change is under way, KiB": lambda it: (
        f"{it['document_moving'] / 1_024:.0f}"
        + (f", over the limit of {it['document_max'] // 1_024}" if it["document_moving"] > it["document_max"] else "")
    ),
}
