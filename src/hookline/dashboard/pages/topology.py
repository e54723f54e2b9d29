"""Clusters, their nodes and modes; at a proxy which share of the ids each has, where an id is at home, what moves."""

from typing import Any, Final, NamedTuple

from starlette.responses import Response

from hookline.client.answers import Cluster, Route
from hookline.dashboard.live import LivePart, Sight, event_stream, mark_of
from hookline.dashboard.pages.overview import seen_clusters
from hookline.dashboard.visits import PageRow, Visit
from hookline.errors import HooklineError, InvalidRequest
from hookline.protocol.modes import ATTEMPTING, Mode
from hookline.protocol.topology import Topology

MODES: Final[tuple[Mode, ...]] = tuple(ATTEMPTING)


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
        return visit.page(
            "topology.html", rows=[], topology=None, route=None, wanted="", wrong="", live="", is_tenant=True
        )
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
    values |= {"modes": MODES, "move": None, "live": ""}
    if topology is not None:
        move = await visit.client.topology_status()
        values |= {"move": move, "live": f"/dashboard/clusters/stream?seen={mark_of(move)}"}
    return visit.page("topology.html", **values, is_tenant=False)


async def _stream(visit: Visit) -> Response:
    async def look() -> Sight:
        move = await visit.client.topology_status()
        return mark_of(move), lambda: visit.text("move_now.html", move=move)

    return event_stream(visit, LivePart("part", look, visit.asks().get("seen", "")), pace=2)


async def _set_mode(visit: Visit) -> Response:
    sent = await visit.form()
    wanted = next((mode for mode in MODES if mode == sent.get("mode")), None)
    if wanted is None:
        raise InvalidRequest("the mode is leader, hybrid or workers", field="mode")
    await visit.client.set_mode(wanted, _named(visit, sent))
    return visit.look_at("/clusters?done=mode")


async def _hand_over(visit: Visit) -> Response:
    await visit.client.hand_over(_named(visit, await visit.form()))
    return visit.look_at("/clusters?done=handover")


def _named(visit: Visit, sent: dict[str, str]) -> str | None:
    """The cluster that is meant; a node has but its own."""
    return sent.get("name", "") if visit.desk.host.server == "proxy" else None


async def _pause(visit: Visit) -> Response:
    await visit.form()
    await visit.client.pause_move()
    return visit.look_at("/clusters?done=paused")


async def _resume(visit: Visit) -> Response:
    await visit.form()
    await visit.client.resume_move()
    return visit.look_at("/clusters?done=resumed")


async def _abort(visit: Visit) -> Response:
    await visit.form()
    await visit.client.abort_move()
    return visit.look_at("/clusters?done=aborted")


def shares_of(topology: Topology) -> dict[str, float]:
    """The share of new ids that each cluster gets: by weight on a ring, else the same for all."""
    weights = {one.name: one.weight if topology.strategy == "ring" else 1 for one in topology.clusters}
    return {name: weight / sum(weights.values()) for name, weight in weights.items()}


PAGES = (
    PageRow("GET", "/clusters", "read", _show),
    PageRow("GET", "/clusters/stream", "read", _stream),
    PageRow("POST", "/clusters/mode", "admin", _set_mode),
    PageRow("POST", "/clusters/handover", "admin", _hand_over),
    PageRow("POST", "/clusters/move/pause", "admin", _pause),
    PageRow("POST", "/clusters/move/resume", "admin", _resume),
    PageRow("POST", "/clusters/move/abort", "admin", _abort),
)
