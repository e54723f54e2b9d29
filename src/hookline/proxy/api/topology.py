"""The topology: shown, replaced, and where an id or key goes by it, step by step."""

from typing import Any

from hookline.errors import EpochTaken, HooklineError, InvalidRequest, InvalidTopology
from hookline.http_api.exchange import Reply, answer
from hookline.protocol.ids import check_id, check_key, shard_hint
from hookline.protocol.routing import Route, Router
from hookline.protocol.topology import (
    TOPOLOGY_BYTES_MAX,
    Topology,
    check_change,
    encode_topology,
    parse_topology,
    parse_topology_file,
)
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.passing import Incoming, reply_of
from hookline.proxy.giver import giving
from hookline.proxy.sender import Answer


async def get_topology(api: ProxyApi, request: Incoming) -> Reply:
    """``GET /topology``."""
    request.query()
    return Reply(200, api.known.document)


async def put_topology(api: ProxyApi, request: Incoming) -> Reply:
    """``PUT /topology``: the first cluster of the present one decides between two who apply at once; then all get it.

    A cluster that is down learns it later. Applying the same again is fine.
    """
    deadline_ms = api.deadline_ms(request)
    new = await _read(request)
    if new != api.known.topology:
        if new.epoch == api.known.epoch:
            raise EpochTaken(f"epoch {new.epoch} is another topology; fetch it, and apply yours as {new.epoch + 1}")
        check_change(api.known.topology, new)
        first = api.known.topology.clusters[0]
        call = giving(encode_topology(new))
        decision = await api.ask(first, call, deadline_ms)
        if isinstance(decision, HooklineError):
            raise decision
        if decision.status >= 300:
            return reply_of(decision)
        if not api.known.learn(new) and api.known.topology != new:
            raise EpochTaken
    call = giving(api.known.document)
    answers = await api.ask_all(lambda _: call, deadline_ms)
    return answer(200, {"epoch": new.epoch, "clusters": {name: _outcome(one) for name, one in answers.items()}})


async def get_route(api: ProxyApi, request: Incoming) -> Reply:
    """``GET /topology/route?id=`` or ``?key=``."""
    query = request.query("id", "key")
    if len(query) != 1:
        raise InvalidRequest("give either id or key", field="id")
    router = api.known.router
    if "id" in query:
        return answer(200, explain_id(router, check_id(query["id"])))
    return answer(200, explain_key(router, check_key(query["key"])))


def explain_id(router: Router, wanted: str) -> dict[str, Any]:
    """Where an id is at home, and why."""
    route = router.home(wanted)
    hint = shard_hint(wanted)
    if route.rule == "hint":
        steps = [f"the id was minted for shard {hint}, which is cluster {route.cluster.name}"]
    elif hint is not None:
        steps = [f"the id was minted for shard {hint}, which no cluster has", *_placed(router, route)]
    else:
        steps = ["the id is no minted one, so the strategy decides", *_placed(router, route)]
    new = router.new_home(wanted)
    if new.cluster.name != route.cluster.name:
        steps.append(
            f"cluster {route.cluster.name} is on its way out: a new job with this id goes to {new.cluster.name}"
        )
    steps += _moved(router.previous_home(wanted))
    return {"id": wanted, **_view(route), "steps": steps}


def explain_key(router: Router, key: str) -> dict[str, Any]:
    """Where an idempotency key is at home, and why."""
    route = router.key_home(key)
    steps = ["the strategy decides for keys", *_placed(router, route), *_moved(router.previous_home(key, is_key=True))]
    return {"key": key, **_view(route), "steps": steps}


def _view(route: Route) -> dict[str, Any]:
    return {"rule": route.rule, "hash": route.hash, "cluster": route.cluster.name, "shard": route.cluster.shard}


def _placed(router: Router, route: Route) -> list[str]:
    clusters = router.topology.clusters
    if route.rule == "ring":
        return [f"hash {route.hash}: the next point on the ring of {len(clusters)} belongs to {route.cluster.name}"]
    position = [entry.name for entry in clusters].index(route.cluster.name)
    return [
        f"FNV-1a hash {route.hash} modulo {len(clusters)} clusters is {position}",
        f"cluster number {position} of the topology, counted from 0, is {route.cluster.name}",
    ]


def _moved(previous: Route | None) -> list[str]:
    if previous is None:
        return []
    return [f"a change is under way: it was at home at {previous.cluster.name}, which is asked too"]


async def _read(request: Incoming) -> Topology:
    request.query()
    media = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
    if media != "application/toml":
        return parse_topology(await request.body(TOPOLOGY_BYTES_MAX))
    try:
        return parse_topology_file((await request.whole_body(TOPOLOGY_BYTES_MAX)).decode())
    except UnicodeDecodeError as error:
        raise InvalidTopology("the file is not UTF-8") from error


def _outcome(one: Answer | HooklineError) -> str:
    if isinstance(one, HooklineError):
        return one.detail
    return "ok" if one.status < 300 else str(one.problem.get("detail", f"it answered {one.status}"))
