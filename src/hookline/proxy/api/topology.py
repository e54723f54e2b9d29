"""The topology: shown, replaced, and where an id or key goes by it, step by step."""

from typing import Any

from hookline.errors import InvalidRequest, InvalidTopology
from hookline.http_api.addresses import acting
from hookline.http_api.forwarded_headers import is_asked_to_force
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.protocol import http
from hookline.protocol.ids import check_id, check_key, shard_hint
from hookline.protocol.routing import Home, Router
from hookline.protocol.topology import Topology, parse_topology, parse_topology_file
from hookline.protocol.topology_change import is_completed
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.deciding import check_in_force, decide, push_to_all


async def get_topology(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /topology``."""
    request.query()
    return Reply(200, api.known.document)


async def put_topology(api: ProxyApi, request: ApiRequest) -> Reply:
    """``PUT /topology``: the decider of the present one takes it first, so that there is one of each epoch; then all.

    A cluster that is down learns it later. Applying the same again is fine.
    """
    deadline_ms = api.deadline_ms(request)
    is_forced = is_asked_to_force(request)
    given = await read_topology(request)
    check_in_force(api)
    notes: list[str] = []
    if not is_completed(given, api.known.topology):
        refusal = await decide(api, given, request, deadline_ms, notes, is_forced=is_forced)
        if refusal is not None:
            return refusal
    applied = http.TopologyApplied(api.known.epoch, await push_to_all(api, deadline_ms, acting(request)), notes)
    return answer(200, applied)


async def get_route(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /topology/route?id=`` or ``?key=``."""
    query = request.query("id", "key")
    if len(query) != 1:
        raise InvalidRequest("give either id or key", field="id")
    router = api.known.router
    if "id" in query:
        return answer(200, explain_id(router, check_id(query["id"])))
    return answer(200, explain_key(router, check_key(query["key"])))


def explain_id(router: Router, wanted: str) -> dict[str, Any]:
    """The home of an id, and why it is."""
    route = router.home(wanted)
    hint = shard_hint(wanted)
    if route.rule == "hint":
        steps = [f"the id was minted for shard {hint}, which is cluster {route.cluster.name}"]
    elif hint is not None:
        steps = [f"the id was minted for shard {hint}, which no cluster has", *_placed(router, route)]
    else:
        steps = ["the id is not a minted one, so the strategy decides", *_placed(router, route)]
    new = router.new_home(wanted)
    if new.cluster.name != route.cluster.name:
        steps.append(
            f"cluster {route.cluster.name} is on its way out: a new job with this id goes to {new.cluster.name}"
        )
    steps += _moved(router.previous_home(wanted))
    return {"id": wanted, **_view(route), "steps": steps}


def explain_key(router: Router, key: str) -> dict[str, Any]:
    """The home of an idempotency key, and why it is."""
    route = router.key_home(key)
    steps = ["the strategy decides for keys", *_placed(router, route), *_moved(router.previous_home(key, is_key=True))]
    return {"key": key, **_view(route), "steps": steps}


def _view(route: Home) -> dict[str, Any]:
    return {"rule": route.rule, "hash": route.hash, "cluster": route.cluster.name, "shard": route.cluster.shard}


def _placed(router: Router, route: Home) -> list[str]:
    clusters = router.topology.clusters
    if route.rule == "ring":
        return [f"hash {route.hash}: the next point on the ring of {len(clusters)} belongs to {route.cluster.name}"]
    position = [entry.name for entry in clusters].index(route.cluster.name)
    return [
        f"FNV-1a hash {route.hash} modulo {len(clusters)} clusters is {position}",
        f"cluster number {position} of the topology, counted from 0, is {route.cluster.name}",
    ]


def _moved(previous: Home | None) -> list[str]:
    if previous is None:
        return []
    return [f"a change is under way: it was at home at {previous.cluster.name}, which is asked too"]


async def read_topology(request: ApiRequest) -> Topology:
    """The document that came, JSON or TOML. Raises InvalidTopology."""
    media = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
    if media != "application/toml":
        return parse_topology(await request.body())
    try:
        return parse_topology_file((await request.whole_body()).decode())
    except UnicodeDecodeError as error:
        raise InvalidTopology("the file is not UTF-8") from error
