"""Computes what loads cost a month, as ``hookline plan`` does. Pure."""

from typing import Final, NamedTuple

from report.figures import percent, picture, table

from hookline.cli.plan.calibration import Calibration
from hookline.cli.plan.command import plan
from hookline.cli.plan.model import CapacityPlan, LoadShape, decide
from hookline.cli.plan.prices import Cloud, DeliveryService, PriceTable

RATES: Final = (10, 350, 1_050, 3_500, 35_000, 350_000)
NODES: Final = (1, 3)
MONTH_S: Final = 730 * 3_600
_HEADS: Final = ("jobs/s", "nodes each", "clusters", "slots", "machines", "filled", "a month", "a million jobs")
_MOST: Final = 1_000_000


class Cost(NamedTuple):
    """Holds the plan of one load at one cloud."""

    cloud: Cloud
    rate: int
    nodes: int
    plan: CapacityPlan

    @property
    def month(self) -> float | None:
        """None: the table has no machine that is large enough."""
        return self.plan.monthly_cost if self.plan.machine else None

    @property
    def million(self) -> float | None:
        """The same for a million jobs."""
        return None if self.month is None else per_million(self.month, self.rate)


def load(rate: float) -> LoadShape:
    """The load that ``hookline plan --rate`` takes when nothing else is given."""
    given = plan.__kwdefaults__
    assert given is not None
    return LoadShape(
        rate=rate,
        webhook_ms=given["webhook_ms"],
        payload=given["payload"],
        pending=round(rate * 3_600),
        retention_days=given["retention_days"],
        attempts=given["attempts"],
        batch=given["batch"],
    )


def cost(rate: int, nodes: int, cloud: Cloud, known: Calibration) -> Cost:
    """Of one load at one cloud."""
    return Cost(cloud, rate, nodes, decide(load(rate), known, cloud, [], nodes=nodes))


def costs(known: Calibration, prices: PriceTable) -> list[Cost]:
    """Of all rates at all clouds."""
    return [cost(rate, nodes, cloud, known) for cloud in prices.cloud for rate in RATES for nodes in NODES]


def per_million(month: float, rate: float) -> float:
    """The cost of a million jobs."""
    return month / (rate * MONTH_S / 1e6)


def most_of_one_cluster(nodes: int, cloud: Cloud, known: Calibration) -> int:
    """The most jobs a second for which the plan takes one cluster."""
    low, high = 1, _MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle, nodes, cloud, known).plan.clusters == 1 else (low, middle)
    return low


def break_even(service: DeliveryService, nodes: int, cloud: Cloud, known: Calibration) -> float | None:
    """Jobs a second from which the smallest cluster costs less than a service paid by the call."""
    month = cost(1, nodes, cloud, known).month
    return None if month is None or service.million_jobs is None else month / service.million_jobs / MONTH_S * 1e6


def section(known: Calibration, prices: PriceTable) -> list[str]:
    """Tables of all clouds, then of the services."""
    lines = [picture("cost", "Cost of a million jobs over jobs a second")]
    found = costs(known, prices)
    for cloud in prices.cloud:
        lines += ["", f"**{cloud.name}**, in {cloud.currency}:", ""]
        lines += table(_HEADS, [_cells(one) for one in found if one.cloud is cloud], 0)
        lines += ["", f"*Prices of {cloud.date}. {cloud.source}.*"]
    services = [(f"{rate:,}", *(_money(service.cost(rate)) for service in prices.service)) for rate in RATES]
    heads = ("jobs/s", *(f"{service.name}, {service.currency} a month" for service in prices.service))
    lines += [
        "",
        "**Services that deliver for a price**; —: it is not offered at that rate:",
        "",
        *table(heads, services, 0),
    ]
    return [*lines, "", *(f"*{one.name}: {one.date}, {one.source}.*" for one in prices.service)]


def _cells(one: Cost) -> list[str]:
    plan = one.plan
    needed = [f"{figure:,}" for figure in (one.rate, one.nodes, plan.clusters, plan.slots)]
    return [*needed, _machines(one), percent(plan.filled), _money(one.month), _money(one.million)]


def _machines(one: Cost) -> str:
    proxies = f" and {one.plan.proxies} proxies" if one.plan.proxies else ""
    return f"{one.plan.nodes:,} × {one.plan.machine or 'none is large enough'}{proxies}"


def _money(value: float | None) -> str:
    return (
        "—"
        if value is None
        else f"{value:,.0f}"
        if value >= 100
        else f"{value:.2f}"
        if value >= 0.0995
        else f"{value:.3f}"
    )
