"""The clusters as their nodes see them, and the proxy itself: its health and its metrics."""

from typing import Any

from msgspec import Raw

from hookline.errors import ClusterNotFound, HooklineError, InvalidRequest
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.http_api.metrics_reply import metrics_reply
from hookline.http_api.probes import get_livez as answer_livez
from hookline.http_api.probes import readiness
from hookline.peers.sender import NodeAnswer
from hookline.protocol.calls import CALLS
from hookline.protocol.http_moves import TopologyStatus
from hookline.protocol.topology import ClusterEntry
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.lists import none_reachable, with_incomplete
from hookline.proxy.api.passing import call_of, reply_of
from hookline.proxy.api.progress import read_moves
from hookline.proxy.move_status import status_of

_MOVES_MS = 2_000  # who reads metrics does not wait longer for clusters that are away


async def list_clusters(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /clusters``."""
    request.query()
    call = call_of(request, target=CALLS["getCluster"].path)
    answers = await api.ask_all(lambda _: call, api.deadline_ms(request))
    views = [Raw(one.body) for one in answers.values() if isinstance(one, NodeAnswer) and one.status == 200]
    incomplete = [name for name, one in answers.items() if not isinstance(one, NodeAnswer) or one.status != 200]
    if not views:
        raise none_reachable(incomplete, is_all=True)
    reasons = {name: _reason(api, name, answers[name]) for name in incomplete}
    return answer(200, with_incomplete({"data": views}, incomplete) | ({"reasons": reasons} if reasons else {}))


def _reason(api: ProxyApi, name: str, one: NodeAnswer | HooklineError) -> str:
    """Why the cluster is missing."""
    entry = api.known.topology.cluster(name)
    if entry is not None and api.health.is_silent(entry):
        return api.health.why_silent(entry)
    return one.detail if isinstance(one, HooklineError) else str(one.problem.get("detail", f"it answered {one.status}"))


async def get_one(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /clusters/{name}``."""
    request.query()
    return await _pass_on(api, request, _named(api, request), "getCluster")


async def change_one(api: ProxyApi, request: ApiRequest) -> Reply:
    """``PATCH /clusters/{name}``."""
    return await _pass_on(api, request, _named(api, request), "changeCluster")


async def change_only(api: ProxyApi, request: ApiRequest) -> Reply:
    """``PATCH /cluster``: when there is only one."""
    return await _pass_on(api, request, _only(api), "changeCluster")


async def hand_one_over(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /clusters/{name}/handover``."""
    return await _pass_on(api, request, _named(api, request), "handover")


async def get_only(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /cluster``: when there is only one."""
    request.query()
    return await _pass_on(api, request, _only(api), "getCluster")


async def hand_only_over(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /cluster/handover``: when there is only one."""
    return await _pass_on(api, request, _only(api), "handover")


async def get_livez(_api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /livez``."""
    return await answer_livez(request)


async def get_readyz(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /readyz``: 200 when a cluster can take jobs and the proxy does not stop."""
    return readiness(request, _why_not(api))


async def get_health(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /health``: 200 when a cluster can take jobs and the proxy does not stop, else 503 and why."""
    request.query()
    why_not = _why_not(api)
    body: dict[str, Any] = {
        "status": "ok" if why_not is None else "unavailable",
        "role": "proxy",
        "epoch": api.known.epoch,
        "topology": api.known.version.digest,
        "clusters": [_cluster_health(api, entry) for entry in api.clusters()],
    }
    if why_not is not None:
        body["detail"] = why_not
    return answer(200 if why_not is None else 503, body)


def _why_not(api: ProxyApi) -> str | None:
    """The reason to send it no requests; None: it takes them."""
    if api.is_leaving:
        return "the proxy stops; requests are still answered for a moment, send new ones elsewhere"
    if not any(api.forwarder.can_take_calls(entry) for entry in api.known.topology.clusters):
        locked_out = api.health.why_locked_out
        return locked_out or "no cluster can be reached; /clusters and the list here say which nodes are down"
    return api.known.why_not


async def get_metrics(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /metrics``."""
    request.query()
    api.metrics.in_flight.set(api.in_flight)
    status = TopologyStatus(api.known.epoch, "stable")
    if api.known.topology.previous is not None:
        deadline_ms = min(api.deadline_ms(request), api.clock.boot_ms() + _MOVES_MS)
        told = await read_moves(api, deadline_ms)
        status = status_of(api.known.topology, api.known.version, told, [])
    api.metrics.moving(status)
    api.metrics.states(api.known, api.health, api.forwarder.breakers)
    return metrics_reply(api.metrics, request)


def _cluster_health(api: ProxyApi, entry: ClusterEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "state": api.health.cluster_state(entry),
        "breaker": api.forwarder.breaker(entry).state,
        "leader": api.health.leader(entry),
        "nodes": [_node_health(api, url) for url in entry.nodes],
    }


def _node_health(api: ProxyApi, url: str) -> dict[str, str]:
    node = api.health.node(url)
    return {"url": url, "state": node.state} | ({"detail": node.stranger} if node.stranger else {})


async def _pass_on(api: ProxyApi, request: ApiRequest, entry: ClusterEntry, name: str) -> Reply:
    deadline_ms = api.deadline_ms(request)
    body = await request.whole_body()
    one = await api.ask(entry, call_of(request, body, target=CALLS[name].path), deadline_ms)
    if isinstance(one, HooklineError):
        raise one
    return reply_of(one)


def _named(api: ProxyApi, request: ApiRequest) -> ClusterEntry:
    name = request.path["name"]
    entry = api.known.topology.cluster(name)
    if entry is None:
        known = ", ".join(entry.name for entry in api.clusters())
        raise ClusterNotFound(f"there is no cluster {name[:80]!r}; there are {known}")
    return entry


def _only(api: ProxyApi) -> ClusterEntry:
    clusters = api.clusters()
    if len(clusters) != 1:
        names = ", ".join(entry.name for entry in clusters)
        raise InvalidRequest(
            f"there are {len(clusters)} clusters: {names}; name one as in /clusters/{clusters[0].name}"
        )
    return clusters[0]
