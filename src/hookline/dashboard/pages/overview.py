"""The first page: is all well, how much goes through, and what needs somebody's attention."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from starlette.responses import Response

from hookline.client import requests
from hookline.client.answers import ClusterList, DestinationPage, Health
from hookline.dashboard.attention import concerns_of
from hookline.dashboard.history import ChartHistory
from hookline.dashboard.live import LivePart, Sight, event_stream, mark_of
from hookline.dashboard.visits import PageRow, Visit
from hookline.errors import DeadlineExceeded, Forbidden, Unavailable

T = TypeVar("T")
_DESTINATIONS: Final = 200
_CONCERNS_S: Final = 5.0
_NEARLY: Final = 0.9
_MINUTE: Final = timedelta(minutes=1)


class Seen(NamedTuple):
    """The service as this visitor may see it; without ``clusters`` a key of another tenant, which may not."""

    health: Health
    clusters: ClusterList | None
    destinations: DestinationPage


async def _see(visit: Visit) -> Seen:
    """All that can be seen now: where nobody leads, health and clusters are what there is to see."""
    asked = requests.list_destinations(limit=_DESTINATIONS, cursor=None).giving(DestinationPage)
    destinations = await _or_else(visit.client.send(asked), DestinationPage([], None))
    return Seen(await visit.client.health(), await seen_clusters(visit), destinations)


async def _or_else(asked: Awaitable[T], otherwise: T) -> T:
    try:
        return await asked
    except (Unavailable, DeadlineExceeded):
        return otherwise


async def seen_clusters(visit: Visit) -> ClusterList | None:
    """All clusters of a proxy, or the one of a node; None: the key is of a tenant that may not see them."""
    try:
        if visit.desk.host.server == "proxy":
            return await _or_else(visit.client.clusters(), ClusterList([]))
        return ClusterList([await visit.client.cluster()])
    except Forbidden:
        return None


async def _show(visit: Visit) -> Response:
    seen = await _see(visit)
    newest = await _or_else(visit.client.list_jobs_page(limit=1), None)
    values = _values(visit, seen)
    live = f"/dashboard/overview/stream?seen={_mark(values)}"
    return visit.page("overview.html", is_empty=newest is not None and not newest.data, live=live, **values)


def _values(visit: Visit, seen: Seen) -> dict[str, Any]:
    history, clusters = visit.desk.history, seen.clusters
    figures = [one.figures for one in clusters.data if one.figures is not None] if clusters else []
    newest = history.samples[-1] if history.samples and clusters else None
    return {
        "health": seen.health,
        "clusters": clusters,
        "concerns": concerns_of(seen.health, clusters or ClusterList([]), seen.destinations.data),
        "backlog": sum(one.jobs.get("pending", 0) + one.jobs.get("running", 0) for one in figures),
        "dead": sum(one.jobs.get("dead", 0) for one in figures),
        "running": sum(one.slots_used for one in figures),
        "slots": sum(one.slots_max for one in figures),
        "newest": newest,
        "success": history.success_rate((visit.now - _MINUTE).timestamp()) if clusters else None,
        "nodes_by_url": {node.url: node for one in seen.health.clusters for node in one.nodes},
        "breakers": {one.name: one.breaker for one in seen.health.clusters},
    }


def _mark(values: dict[str, Any]) -> str:
    return mark_of({name: value for name, value in values.items() if name != "newest"})


async def _stream(visit: Visit) -> Response:
    history, told_s = visit.desk.history, 0.0
    kept: list[Seen] = []
    kept_s = 0.0

    async def samples() -> Sight:
        nonlocal told_s
        await _sampled(visit, history)
        newer = [one for one in history.samples if one.at_s > told_s]
        told_s = newer[-1].at_s if newer else told_s
        return mark_of(told_s), lambda: msgspec.json.encode(newer).decode()

    async def words() -> Sight:
        nonlocal kept_s
        now_s = visit.desk.host.clock.boot_ms() / 1_000
        if not kept or now_s > kept_s + _CONCERNS_S:
            kept[:], kept_s = [await _see(visit)], now_s
        seen = kept[0]
        if seen.clusters is not None:
            seen = seen._replace(clusters=await _sampled(visit, history))
        values = _values(visit, seen)
        return _mark(values), lambda: visit.text("overview_now.html", **values)

    looks: list[tuple[str, Callable[[], Awaitable[Sight]], str]] = [("part", words, visit.asks().get("seen", ""))]
    if await seen_clusters(visit) is not None:
        looks.append(("sample", samples, ""))
    return event_stream(visit, *(LivePart(*one) for one in looks))


async def _sampled(visit: Visit, history: ChartHistory) -> ClusterList:
    """The clusters now; all who look share one sample a second."""
    least_s = visit.now.timestamp() - visit.desk.settings.look_s * _NEARLY
    if history.is_older_than(least_s):
        found = await seen_clusters(visit)
        if history.is_older_than(least_s) and found is not None:  # nobody else took one meanwhile
            history.take(found, visit.now.timestamp())
    return history.clusters


PAGES = (
    PageRow("GET", "", "read", _show),
    PageRow("GET", "/overview/stream", "read", _stream),
)
