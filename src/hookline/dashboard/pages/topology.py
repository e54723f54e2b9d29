"""Clusters, their nodes, and at a proxy which share of the ids each has and where an id is at home."""

from typing import Any, NamedTuple

from starlette.responses import Response

from hookline.client.answers import Cluster, Route
from hookline.dashboard.pages.overview import seen_clusters
from hookline.dashboard.visits import PageRow, Visit
from hookline.errors import HooklineError
from hookline.protocol.topology import Topology


class ClusterRow(NamedTuple):
    """A cluster of the topology. ``share``: of the ids, by its weight; ``seen``: None while it cannot be reached."""

    name: str
    shard: int
    share: float
    seen: Cluster | None
    reason: str


async def _show(visit: Visit) -> Response:
    clusters = await seen_clusters(visit)
    if clusters is None:
        return visit.page("topology.html", rows=[], topology=None, route=None, wanted="", wrong="", is_tenant=True)
    seen = {one.name: one for one in clusters.data}
    topology = await visit.client.topology() if visit.desk.host.server == "proxy" else None
    shares = shares_of(topology) if topology else dict.fromkeys(seen, 1.0)
    shards = {one.name: one.shard for one in (topology.all_clusters() if topology else clusters.data)}
    rows = [
        ClusterRow(name, shard, shares.get(name, 0.0), seen.get(name), clusters.reasons.get(name, ""))
        for name, shard in shards.items()
    ]
    wanted, wrong = visit.asks().get("id", "").strip(), ""
    route: Route | None = None
    if wanted and topology:
        try:
            route = await visit.client.route(wanted)
        except HooklineError as error:
            wrong = error.detail
    values: dict[str, Any] = {"rows": rows, "topology": topology, "route": route, "wanted": wanted, "wrong": wrong}
    return visit.page("topology.html", **values, is_tenant=False)


def shares_of(topology: Topology) -> dict[str, float]:
    """The share of new ids that each cluster gets: by weight on a ring, else the same for all."""
    weights = {one.name: one.weight if topology.strategy == "ring" else 1 for one in topology.clusters}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


PAGES = (PageRow("GET", "/clusters", "read", _show),)
