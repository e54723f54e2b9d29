"""Judges what was claimed by what was measured. Pure: each claim has its bounds here, and nowhere else."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from report.figures import Measured, Part, Row, listed, median, most, named, percent, shown, table
from report.sections import FULL_MACHINE

LEADER_RATE: Final = 350
OF_500: Final = 485
LINEAR: Final = 0.97
CPU_RISE_MAX: Final = 1.1
WORKERS: Final[Mapping[int, tuple[float, float]]] = {3: (500, 700), 6: (800, 1_000), 9: (900, 1_100)}
OVERHEAD: Final = (0.10, 0.20)
CREATE_MS: Final = 15
LAG_MS: Final = 20
HERD: Final = (2_000, 100)  # jobs, ms
FAILOVER_MS: Final = 2_000
BACKLOG_MB: Final = 400
PLAN_ERROR: Final = 0.10
_MB: Final = 2**20 / 1e6  # of a MiB
SECTIONS: Final[Mapping[str, str]] = {  # by part, the anchor of the heading that it has in the page
    "capacity": "one-cluster",
    "clusters": "several-clusters",
    "modes": "leader-hybrid-workers",
    "creating": "creating-jobs",
    "lag": "how-late-jobs-are",
    "herd": "many-jobs-at-one-instant",
    "backlog": "many-pending-jobs",
    "failover": "when-a-leader-dies",
    "plan": "what-the-plan-says",
}


class Judged(NamedTuple):
    """Holds what was measured and the verdict: ``met``, ``missed``, or ``other`` with the difference."""

    measured: str
    verdict: str


class Claim(NamedTuple):
    """One claim, by the part that measures it."""

    words: str
    part: str
    judge: Callable[[Part], Judged | None]


def judged(found: Mapping[str, tuple[str, bool]]) -> Judged | None:
    """Of several cases, each with what was measured and whether the claim holds there; None: there is no case."""
    if not found:
        return None
    measured = "; ".join(f"{label}: {words}" if label else words for label, (words, _) in found.items())
    held = [label for label, (_, holds) in found.items() if holds]
    if len(held) == len(found):
        return Judged(measured, "met")
    return Judged(measured, f"other: met with {listed(held)}" if held else "missed")


def within(value: float, words: str, low: float, high: float, below: str) -> Judged:
    """Of a claim with two ends, and what it is called to be below them."""
    return Judged(words, below if value < low else "met" if value <= high else "other: more than claimed")


def at_least_of_leader(bound: float) -> Callable[[Part], Judged | None]:
    """Of the rate of one cluster with 200 ms webhooks and 100 slots."""

    def judge(part: Part) -> Judged | None:
        rows = part.like(webhook_ms=200, slots=100)
        return judged(
            {named(row["nodes"]): (f"{shown(row['rate'])} jobs/s", median(row["rate"]) >= bound) for row in rows}
        )

    return judge


def linear(part: Part) -> Judged | None:
    """By rows of a machine that has room: a full one says nothing about clusters."""
    rows = [row for row in part.like(asked=0) if row["clusters"] > 1]
    if not rows:
        return None
    words = []
    for nodes in dict.fromkeys(row["nodes"] for row in rows):
        cells = (f"{row['linear']:.3f} with {row['clusters']}" for row in rows if row["nodes"] == nodes)
        words.append(f"clusters of {named(nodes)}: {', '.join(cells)}")
    missed = [row for row in rows if row["linear"] < LINEAR]
    if not missed:
        verdict = "met"
    elif all(row["busy"] >= FULL_MACHINE for row in missed):
        full = "; ".join(f"{row['clusters']} of {named(row['nodes'])}: {percent(row['busy'])} busy" for row in missed)
        verdict = f"other: met until the machine is full ({full})"
    else:
        verdict = "missed"
    return Judged("; ".join(words), verdict)


def same_cpu(part: Part) -> Judged | None:
    """With as much asked of each cluster, where the machine has room; the first row has one."""
    found = {}
    for nodes in part.values("nodes"):
        asked = [row for row in part.like(nodes=nodes) if row["asked"]]
        rows = [row for row in asked if row["busy"] < FULL_MACHINE]
        ratios = {row["clusters"]: median(row["cpu_us"]) / median(rows[0]["cpu_us"]) for row in rows[1:]}
        if ratios:
            words = ", ".join(f"{ratio:.2f} with {count}" for count, ratio in ratios.items())
            if len(rows) < len(asked):
                full = listed([row["clusters"] for row in asked if row not in rows])
                words += f" (with {full} the machine is full)"
            found[f"clusters of {named(nodes)}"] = (words, max(ratios.values()) <= CPU_RISE_MAX)
    return judged(found)


def _workers(part: Part, count: int, pick: Callable[[Iterable[int]], int]) -> Row | None:
    """So many workers, each with the least slots or with the most that were measured."""
    slots = [row["slots"] for row in part.like(mode="workers", runners=count)]
    return part.like(mode="workers", runners=count, slots=pick(slots))[0] if slots else None


def rate_of_workers(count: int) -> Callable[[Part], Judged | None]:
    """With the most slots."""

    def judge(part: Part) -> Judged | None:
        row = _workers(part, count, max)
        if row is None:
            return None
        words = f"{shown(row['rate_200'])} jobs/s with {row['slots']:,} slots each"
        return within(median(row["rate_200"]), words, *WORKERS[count], "missed")

    return judge


def overhead_of_workers(part: Part) -> Judged | None:
    """With the least slots, so that the machine has room."""
    rows = [row for count in WORKERS if (row := _workers(part, count, min))]
    if not rows:
        return None
    words = ", ".join(f"{percent(row['overhead'])} with {row['runners']}" for row in rows)
    worst = max(median(row["overhead"]) for row in rows)
    return within(worst, words, *OVERHEAD, "other: less than claimed")


def sublinear(part: Part) -> Judged | None:
    """Nine workers against three, with the least slots."""
    few, many = _workers(part, min(WORKERS), min), _workers(part, max(WORKERS), min)
    if few is None or many is None:
        return None
    ratio = median(many["rate_200"]) / median(few["rate_200"])
    words = f"{many['runners']} do {ratio:.2f} times what {few['runners']} do, with {many['slots']} slots each"
    is_less = ratio * few["runners"] / many["runners"] < LINEAR
    return Judged(words, "met" if is_less else "other: linear")


def hybrid_between(part: Part) -> Judged | None:
    """By what coordination costs, with the least slots."""
    slots = min(part.values("slots"), default=0)
    leader, hybrid = part.like(mode="leader", slots=slots), part.like(mode="hybrid", slots=slots)
    workers = _workers(part, min(WORKERS), min)
    if not leader or not hybrid or workers is None:
        return None
    rows = {"leader": leader[0], "hybrid": hybrid[0], f"{workers['runners']} workers": workers}
    words = ", ".join(f"{name} {percent(row['overhead'])}" for name, row in rows.items())
    low, middle, high = (median(row["overhead"]) for row in rows.values())
    return Judged(words, "met" if low <= middle <= high else "other: not in between")


def below(key: str, bound: float, **wanted: object) -> Callable[[Part], Judged | None]:
    """Of a figure's median, in ms, by nodes."""

    def judge(part: Part) -> Judged | None:
        rows = part.like(**wanted)
        return judged({named(row["nodes"]): (f"{shown(row[key])} ms", median(row[key]) < bound) for row in rows})

    return judge


def create_in_time(part: Part) -> Judged | None:
    """By connections: the more there are, the longer each waits."""
    measured, held = [], []
    rows = part.like(batch=1)
    for nodes in dict.fromkeys(row["nodes"] for row in rows):
        waits = {row["connections"]: median(row["p99_ms"]) for row in rows if row["nodes"] == nodes}
        words = ", ".join(f"{shown(ms)} ms over {connections}" for connections, ms in waits.items())
        measured.append(f"{named(nodes)}: {words}")
        in_time = [connections for connections, ms in waits.items() if ms < CREATE_MS]
        if in_time:
            held.append(f"over {listed(in_time)} with {named(nodes)}")
    if not rows:
        return None
    if all(median(row["p99_ms"]) < CREATE_MS for row in rows):
        return Judged("; ".join(measured), "met")
    return Judged("; ".join(measured), f"other: met {'; '.join(held)}" if held else "missed")


def failover(part: Part) -> Judged | None:
    """By the longest gap of all kills."""
    return judged(
        {
            f"{row['pending']:,} pending": (f"{shown(row['gap_ms'])} ms", most(row["gap_ms"]) <= FAILOVER_MS)
            for row in part.rows
        }
    )


def backlog(part: Part) -> Judged | None:
    """By the most memory that a node with pending jobs had."""
    rows = [row for row in part.rows if row["pending"]]
    return judged(
        {
            f"{row['pending']:,} pending": (
                f"{median(row['after_mib']) * _MB:,.0f} MB",
                most(row["after_mib"]) * _MB < BACKLOG_MB,
            )
            for row in rows
        }
    )


def plan_error(part: Part) -> Judged | None:
    """Of each case."""
    return judged(
        {
            f"{row['webhook_ms']:,} ms, {row['slots']:,} slots, {named(row['nodes'])}": (
                percent(row["error"]),
                abs(row["error"]) <= PLAN_ERROR,
            )
            for row in part.rows
        }
    )


CLAIMS: Final[Sequence[Claim]] = (
    Claim(
        f"A leader alone does {LEADER_RATE} jobs/s, with 200 ms webhooks", "capacity", at_least_of_leader(LEADER_RATE)
    ),
    Claim(f"It does ≥ {OF_500} of the 500 jobs/s that 100 slots allow", "capacity", at_least_of_leader(OF_500)),
    Claim(f"Clusters add up: n of them do ≥ {LINEAR} of n times one", "clusters", linear),
    Claim(f"A job costs the same CPU in each of many clusters: ≤ {CPU_RISE_MAX} times", "clusters", same_cpu),
    *(
        Claim(f"{count} distributed workers do {low:,.0f} to {high:,.0f} jobs/s", "modes", rate_of_workers(count))
        for count, (low, high) in WORKERS.items()
    ),
    Claim(
        f"Coordinating workers costs {OVERHEAD[0] * 100:.0f} to {OVERHEAD[1] * 100:.0f} % of the rate",
        "modes",
        overhead_of_workers,
    ),
    Claim(f"Workers add up to less than linear: < {LINEAR} of it", "modes", sublinear),
    Claim("A hybrid costs more than the leader alone and less than workers", "modes", hybrid_between),
    Claim(
        f"A create takes < {CREATE_MS} ms at p99, one by one over so many connections",
        "creating",
        create_in_time,
    ),
    Claim(f"At {LEADER_RATE} jobs/s a job is < {LAG_MS} ms late at p99", "lag", below("p99_ms", LAG_MS)),
    Claim(
        f"Of {HERD[0]:,} jobs due at one instant < {HERD[1]} ms late at p99",
        "herd",
        below("p99_ms", HERD[1], count=HERD[0]),
    ),
    Claim(f"A killed leader is replaced within {FAILOVER_MS / 1_000:.0f} s, each time", "failover", failover),
    Claim(f"Ten million pending jobs fit into < {BACKLOG_MB} MB of memory", "backlog", backlog),
    Claim(f"`hookline plan` misses what a cluster does by ≤ {PLAN_ERROR * 100:.0f} %", "plan", plan_error),
)


def rows(measured: Measured) -> list[tuple[str, str, str]]:
    """Judges all claims: each one's words, what was measured, and the verdict."""
    found = []
    for claim in CLAIMS:
        part = measured.get(claim.part)
        judgement = claim.judge(part) if part is not None else None
        words, verdict = judgement or ("not measured yet", "—")
        found.append((f"{claim.words} ([{claim.part}](#{SECTIONS[claim.part]}))", words, verdict))
    return found


def section(measured: Measured) -> list[str]:
    """The one table."""
    return table(("claimed", "measured", "verdict"), rows(measured), 3)
