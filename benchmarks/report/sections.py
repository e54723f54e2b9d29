"""Writes the section of each part: its picture, what it comes to, its table, and how it was measured. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from report.figures import Part, Row, listed, median, missing, named, percent, picture, shown, source, span, table

from hookline.node.dispatch.fairness import FAST_MS

FULL_MACHINE: Final = 0.9  # of its cores; from here on the machine decides, not Hookline
_ROOM: Final = 0.7  # of the best rate: below it the slots are the limit, not the CPU


def section(name: str, part: Part | None) -> list[str]:
    """The lines of one section; what was not measured says so."""
    return [*WRITTEN[name](part), "", source(part)] if part is not None and part.rows else missing(name)


def allowed(row: Row) -> float:
    """Jobs a second if each slot began its next webhook as soon as the last had ended."""
    return float(row["slots"]) * 1_000 / float(row["webhook_ms"])


def of_slots(row: Row) -> float:
    """The share of that which was reached."""
    return median(row["rate"]) / allowed(row)


def capacity(part: Part) -> list[str]:
    """Rates of one cluster, by webhook time and slots."""
    lines = [picture("capacity", "Jobs a second over the time that a webhook takes, by slots")]
    for nodes in part.values("nodes"):
        lines += ["", _reached(nodes, part.like(nodes=nodes))]
        lines += ["", *_matrix(part, nodes, "jobs/s, share of the slots", _rate_cell)]
        lines += ["", *_matrix(part, nodes, "CPU of a job; memory of the leader", _cost_cell)]
    return lines


def _reached(nodes: int, rows: Sequence[Row]) -> str:
    at_best = max(median(row["rate"]) for row in rows)
    words = [f"**{named(nodes).capitalize()}** did {at_best:,.0f} jobs/s at best."]
    bound = [row for row in rows if row["webhook_ms"] and allowed(row) < at_best * _ROOM]
    quick = [of_slots(row) for row in bound if row["webhook_ms"] <= FAST_MS]
    slow = [of_slots(row) for row in bound if row["webhook_ms"] > FAST_MS]
    if quick:
        words.append(f"Where slots were the limit, it reached {span(quick)} of what they allow.")
    if slow:
        words.append(f"With webhooks of more than {FAST_MS:,} ms, it reached {span(slow)}.")
    return " ".join(words)


def _matrix(part: Part, nodes: int, head: str, cell: Callable[[Row], str]) -> list[str]:
    heads = [f"{named(nodes)}, webhook: {head}", *(f"{slots:,} slots" for slots in part.values("slots"))]
    rows = []
    for webhook_ms in part.values("webhook_ms"):
        found = [part.like(nodes=nodes, webhook_ms=webhook_ms, slots=slots) for slots in part.values("slots")]
        rows.append([f"{webhook_ms:,} ms", *(cell(one[0]) if one else "" for one in found)])
    return table(heads, rows)


def _rate_cell(row: Row) -> str:
    return shown(row["rate"]) + (f", {of_slots(row):.2f}" if row["webhook_ms"] else "")


def _cost_cell(row: Row) -> str:
    return f"{sum(row['cpu_us'].values()):,.0f} µs; {row['rss_mib']:,.0f} MiB"


def clusters(part: Part) -> list[str]:
    """How clusters add up, at full load and at a rate that was asked for."""
    lines = [picture("clusters", "Jobs a second and CPU of a job, by the number of clusters")]
    for nodes in part.values("nodes"):
        full = part.like(nodes=nodes, asked=0)
        lines += ["", f"**Clusters of {named(nodes)}, all that they can do.** {_ended(full)}", ""]
        rows = [
            (row["clusters"], shown(row["rate"]), f"{row['linear']:.3f}", shown(row["cpu_us"]), percent(row["busy"]))
            for row in full
        ]
        lines += table(("clusters", "jobs/s", "of linear", "CPU µs a job, all processes", "cores busy"), rows, 0)
        asked = [row for row in part.like(nodes=nodes) if row["asked"]]
        if asked:
            lines += [
                "",
                f"**Clusters of {named(nodes)}, {asked[0]['asked']:,} jobs/s asked of each.** {_cpu(asked)}",
                "",
            ]
            rows = [
                (row["clusters"], shown(row["rate"]), shown(row["cpu_us"]), shown(row["lag_p99"]), percent(row["busy"]))
                for row in asked
            ]
            heads = ("clusters", "jobs/s", "CPU µs a job, all processes", "lag p99, ms", "cores busy")
            lines += table(heads, rows, 0)
    return lines


def _ended(rows: Sequence[Row]) -> str:
    """Tells whether Hookline or the machine ended the line."""
    several = [row for row in rows if row["clusters"] > 1]
    roomy = [row for row in several if row["busy"] < FULL_MACHINE]
    packed = [row for row in several if row["busy"] >= FULL_MACHINE]
    words = []
    if roomy:
        words.append(
            f"While the machine had room, {listed([row['clusters'] for row in roomy])} clusters did"
            f" {span((row['linear'] for row in roomy), _three)} of that many times one."
        )
    if packed:
        words.append(
            f"With {listed([row['clusters'] for row in packed])} clusters"
            f" {span((row['busy'] for row in packed), percent)} of the cores were busy: there the machine ends the"
            " line, not Hookline."
        )
    return " ".join(words)


def _three(value: float) -> str:
    return f"{value:.3f}"


def _cpu(asked: Sequence[Row]) -> str:
    rows = [row for row in asked if row["busy"] < FULL_MACHINE]
    if not rows:
        return "The machine is full with one."
    first, last = (median(row["cpu_us"]) for row in _ends(rows))
    few, many = (row["clusters"] for row in _ends(rows))
    cpu = f"{first:,.0f} µs of CPU with {few}, and {last:,.0f} with {many}: {last / first:.2f} times"
    return f"While the machine had room, a job took {cpu}." if few != many else ""


def modes(part: Part) -> list[str]:
    """Rates and lags of attempts elsewhere."""
    lines = [picture("modes", "Jobs a second by mode and number of runners, and what coordination costs"), ""]
    heads = (
        "mode",
        "runners",
        "slots each",
        "jobs/s, 200 ms",
        "overhead",
        "jobs/s, 0 ms",
        "lag p50, ms",
        "lag p99, ms",
    )
    rows = []
    for row in part.rows:
        rates = shown(row["rate_200"]), percent(row["overhead"]), shown(row["rate_0"])
        lags = shown(row["lag_p50"]), shown(row["lag_p99"])
        rows.append((f"`{row['mode']}`", row["runners"], row["slots"], *rates, *lags))
    return lines + table(heads, rows)


def creating(part: Part) -> list[str]:
    """How long creates take."""
    heads = ("nodes", "connections", "jobs a create", "jobs/s", "p50, ms", "p99, ms")
    rows = [
        (row["nodes"], row["connections"], row["batch"], *(shown(row[key]) for key in ("rate", "p50_ms", "p99_ms")))
        for row in part.rows
    ]
    return [picture("creating", "How long a create takes, by connections"), "", *table(heads, rows, 0)]


_LAGS: Final = ("p50_ms", "p99_ms", "max_ms")


def lag(part: Part) -> list[str]:
    """How late jobs arrive under a steady load."""
    heads = ("nodes", "jobs/s", "p50, ms", "p99, ms", "latest, ms")
    rows = [(row["nodes"], row["per_s"], *(shown(row[key]) for key in _LAGS)) for row in part.rows]
    return [picture("lag", "How late jobs arrive under a steady load"), "", *table(heads, rows, 0)]


def herd(part: Part) -> list[str]:
    """How late jobs arrive that are due at one instant."""
    heads = ("nodes", "jobs at one instant", "p50, ms", "p99, ms", "latest, ms", "jobs/s until the last")
    rows = [(row["nodes"], row["count"], *(shown(row[key]) for key in (*_LAGS, "drain_per_s"))) for row in part.rows]
    return [picture("herd", "How late jobs arrive that are due at one instant"), "", *table(heads, rows, 0)]


def backlog(part: Part) -> list[str]:
    """Start, rate and memory of a node with pending jobs."""
    empty, full = ({key: median(row[key]) for key in ("start_s", "rate", "after_mib")} for row in _ends(part.rows))
    words = (
        f"With {part.rows[-1]['pending']:,} jobs pending a node starts in {full['start_s']:.2f} s instead of"
        f" {empty['start_s']:.2f}, delivers {full['rate'] / empty['rate']:.2f} times as many jobs a second as an empty"
        f" one, and has {full['after_mib']:,.0f} MiB of memory instead of {empty['after_mib']:,.0f}."
    )
    heads = ("pending", "start, s", "jobs/s", "MiB when ready", "MiB after the load", "GiB on disk")
    keys = ("start_s", "rate", "ready_mib", "after_mib", "disk_gib")
    rows = [(row["pending"], *(shown(row[key]) for key in keys)) for row in part.rows]
    return [
        picture("backlog", "Start, rate and memory of a node, empty and with many pending jobs"),
        "",
        words,
        "",
        *table(heads, rows, 0),
    ]


def _ends(rows: Sequence[Row]) -> tuple[Row, Row]:
    return rows[0], rows[-1]


def failover(part: Part) -> list[str]:
    """How long nothing is delivered when a leader is killed."""
    rows = [(row["pending"], row["kills"], shown(row["gap_ms"])) for row in part.rows]
    lines = [picture("failover", "How long nothing is delivered after the leader is killed"), ""]
    return lines + table(("pending", "kills", "gap, ms"), rows, 0)


def plan(part: Part) -> list[str]:
    """Rates by `hookline plan` beside those that came."""
    heads = (
        "nodes",
        "webhook, ms",
        "slots",
        "planned jobs/s",
        "measured",
        "error",
        "planned CPU of the leader",
        "measured",
    )
    rows = []
    for row in part.rows:
        case = row["nodes"], row["webhook_ms"], row["slots"]
        rates = f"{row['planned']:,.0f}", shown(row["rate"]), percent(row["error"])
        rows.append((*case, *rates, f"{row['planned_leader_us']:,.0f} µs a job", shown(row["leader_us"])))
    worst = max(part.rows, key=lambda row: abs(row["error"]))
    words = f"It missed none of these by more than {percent(abs(worst['error']))}."
    return [picture("plan", "Jobs a second as planned, and as measured"), "", words, "", *table(heads, rows, 0)]


WRITTEN: Final[Mapping[str, Callable[[Any], list[str]]]] = {
    one.__name__: one for one in (capacity, clusters, modes, creating, lag, herd, backlog, failover, plan)
}
