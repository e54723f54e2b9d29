"""Says from the figures when to take what: the last part of the page. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from report.costs import break_even, cost, most_of_one_cluster
from report.figures import Measured, Row, median, most, named, percent, shown, span
from report.sections import FULL_MACHINE, of_slots

from hookline.cli.plan.calibration import Calibration
from hookline.cli.plan.prices import Cloud, PriceTable

_LITTLE: Final = 10  # jobs a second
_WEBHOOK_MS: Final = 200
_FIGURES: Final = ("p50_ms", "p99_ms")


class Known(NamedTuple):
    """All that advice is made from."""

    measured: Measured
    calibration: Calibration
    prices: PriceTable

    def rows(self, name: str, **wanted: object) -> list[Row]:
        """Of a part that have these values; none if it was not measured."""
        part = self.measured.get(name)
        return part.like(**wanted) if part is not None else []

    @property
    def cloud(self) -> Cloud:
        """The first of the table."""
        return self.prices.cloud[0]

    def month(self, nodes: int) -> str:
        """Cost of a little load."""
        month = cost(_LITTLE, nodes, self.cloud, self.calibration).month
        return "more than the table has" if month is None else f"{month:,.2f} {self.cloud.currency} a month"

    def most(self, nodes: int) -> int:
        """The most jobs a second that the plan gives to one cluster."""
        return most_of_one_cluster(nodes, self.cloud, self.calibration)


def one_node(known: Known) -> Iterable[str]:
    """While it will do."""
    webhooks = f"{_WEBHOOK_MS} ms webhooks, created one by one"
    yield f"The plan takes one cluster for up to {known.most(1):,} jobs/s of {webhooks}."
    for best in _best(known.rows("capacity", nodes=1, webhook_ms=_WEBHOOK_MS), "rate"):
        rate = f"{median(best['rate']):,.0f} of them a second"
        yield f"It delivered {rate} with {best['slots']:,} slots while nothing was created."
    yield f"At {_LITTLE} jobs/s it costs {known.month(1)} at {known.cloud.name}."
    for row in known.rows("lag", nodes=1):
        yield f"At {row['per_s']:,} jobs/s a job is {shown(row['p99_ms'])} ms late at p99."
    for row in known.rows("backlog"):
        if row["pending"]:
            back = f"it is back {shown(row['start_s'])} s after a start, in {shown(row['after_mib'])} MiB"
            yield f"With {row['pending']:,} jobs pending {back}."


def three_nodes(known: Known) -> Iterable[str]:
    """Weighs what they give against what they take."""
    kills = known.rows("failover")
    if kills:
        longest = max(most(row["gap_ms"]) for row in kills)
        count = sum(row["kills"] for row in kills)
        yield f"In {count} kills of a leader nothing was delivered for at most {longest:,.0f} ms."
    both = zip(*(_best(known.rows("capacity", nodes=nodes), "rate") for nodes in (1, 3)), strict=False)
    for one, three in both:
        ratio = f"{median(three['rate']) / median(one['rate']):.2f} times that of one node"
        yield f"The best rate is {ratio}, with all nodes on one machine."
    for row in known.rows("capacity", nodes=3, webhook_ms=_WEBHOOK_MS, slots=100):
        slots = f"{of_slots(row):.3f} of what {row['slots']} slots allow"
        yield f"With {_WEBHOOK_MS} ms webhooks they reach {slots}."
    lags = {row["nodes"]: row for row in known.rows("lag")}
    if {1, 3} <= lags.keys():
        late = f"{shown(lags[3]['p99_ms'])} ms late at p99, with one node {shown(lags[1]['p99_ms'])}"
        yield f"At {lags[3]['per_s']:,} jobs/s a job is {late}."
    yield f"At {_LITTLE} jobs/s they cost {known.month(3)} at {known.cloud.name}, one node {known.month(1)}."


def several_clusters(known: Known) -> Iterable[str]:
    """From which rate, and what shows that they add up."""
    rates = f"{known.most(3):,} jobs/s for clusters of three nodes, beyond {known.most(1):,} for those of one"
    yield f"The plan takes a second cluster beyond {rates}: {_WEBHOOK_MS} ms webhooks, created one by one."
    full = [row for row in known.rows("clusters", asked=0) if row["clusters"] > 1 and row["busy"] < FULL_MACHINE]
    if full:
        shares = span((row["linear"] for row in full), lambda share: f"{share:.3f}")
        count = max(row["clusters"] for row in full)
        yield f"While the machine had room, up to {count} clusters did {shares} of their number times one."
    asked = [row for row in known.rows("clusters") if row["asked"] and row["busy"] < FULL_MACHINE]
    alone = {row["nodes"]: median(row["cpu_us"]) for row in asked if row["clusters"] == 1}
    ratios = [median(row["cpu_us"]) / alone[row["nodes"]] for row in asked if row["clusters"] > 1]
    if ratios:
        times = f"{span(ratios)} times the CPU that it takes with one"
        yield f"With as much asked of each cluster, and room on the machine, a job took {times}."


def elsewhere(known: Known) -> Iterable[str]:
    """Weighs what hybrid and workers bring against what they cost."""
    found = known.rows("modes")
    few = min((row["slots"] for row in found), default=0)
    for mode, words in (("leader", "The leader alone"), ("hybrid", "Hybrid"), ("workers", "Workers")):
        mine = [row for row in found if row["mode"] == mode and row["slots"] == few]
        if mine:
            lost = span((median(row["overhead"]) for row in mine), percent)
            lags = span(median(row["lag_p50"]) for row in mine)
            yield f"{words}, {few} slots each: {lost} less than the slots allow, and jobs {lags} ms late at p50."
    workers = _best([row for row in found if row["mode"] == "workers"], "rate_200")
    leader = _best(known.rows("capacity", nodes=3, webhook_ms=_WEBHOOK_MS), "rate")
    for best, alone in zip(workers, leader, strict=False):
        many = f"{median(best['rate_200']):,.0f} jobs/s, by {best['runners']} of them with {best['slots']:,} slots each"
        one = f"a leader alone with {alone['slots']:,} slots did {median(alone['rate']):,.0f}"
        yield f"The best rate of workers was {many}; {one}."


def another(known: Known) -> Iterable[str]:
    """Lists the figures that speak for something else."""
    for service in known.prices.service:
        for cloud in (one for one in known.prices.cloud if one.currency == service.currency):
            one, three = (break_even(service, nodes, cloud, known.calibration) for nodes in (1, 3))
            if one is not None and three is not None:
                less = f"less than one node at {cloud.name} below {one:.2g} jobs/s, less than three below {three:.2g}"
                yield f"{service.name}, costs {less}."
    for row in known.rows("creating", connections=1, batch=1):
        waits = " and ".join(f"{shown(row[key])} ms at {key.removesuffix('_ms')}" for key in _FIGURES)
        yield f"A create, with no other beside it, waits for {_disks(row['nodes'])}: {waits}."
    for row in _best(known.rows("herd"), "max_ms"):
        last = f"{median(row['max_ms']) / 1_000:.1f} s late, with {named(row['nodes'])} on this machine"
        yield f"Of {row['count']:,} jobs due at one instant the last is {last}."


def _best(rows: Iterable[Row], key: str) -> list[Row]:
    """The row with the highest figure, if there is one."""
    return sorted(rows, key=lambda row: median(row[key]))[-1:]


def _disks(nodes: int) -> str:
    return "a disk" if nodes == 1 else "two disks of three"


ADVICE: Final[Mapping[str, Callable[[Known], Iterable[str]]]] = {
    "one-node": one_node,
    "three-nodes": three_nodes,
    "more-clusters": several_clusters,
    "elsewhere": elsewhere,
    "another": another,
}


def section(name: str, known: Known) -> list[str]:
    """A list of what the figures say."""
    return [f"- {line}" for line in ADVICE[name](known)] or ["Not measured yet."]
