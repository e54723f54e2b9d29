"""Chooses the tenants that metrics name, so that their number is bounded however many tenants there are. Pure."""

from collections import Counter
from collections.abc import Mapping
from heapq import nlargest

from hookline.protocol.tenants import tenant_name

NAMED_MAX = 50
OTHER = "other"


def named_figures(by_tenant: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """The figures of the busiest tenants by their names, and the sums of all others as ``OTHER``.

    Args:
        by_tenant: jobs by state, and ``pending_bytes``.
    """
    busiest = set(nlargest(NAMED_MAX, by_tenant, key=lambda tenant: _work(by_tenant[tenant])))
    found: dict[str, Counter[str]] = {}
    for tenant, figures in by_tenant.items():
        name = tenant_name(tenant) if tenant in busiest else OTHER
        found.setdefault(name, Counter()).update(figures)
    return {name: dict(figures) for name, figures in found.items()}


def _work(figures: Mapping[str, int]) -> tuple[int, int]:
    """First what is to be done, then all that is there."""
    return figures["pending"] + figures["running"], sum(figures.values())
