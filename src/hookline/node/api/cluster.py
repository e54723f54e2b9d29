"""The calls about the node itself: its cluster, whether it is fit, its metrics."""

from importlib.metadata import version

from hookline.errors import Conflict
from hookline.node.api.context import Api
from hookline.node.api.exchange import Reply, Request, answer
from hookline.protocol import http
from hookline.protocol.jobs import State

_VERSION = version("hookline")
_PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


async def get_cluster(api: Api, request: Request) -> Reply:
    """``GET /cluster``. A single node is always its leader, and durable as far as it has applied."""
    request.query()
    config, replica = api.config, api.services.replica
    node = http.NodeView(config.node, config.url, "leader", replica.applied, replica.applied, _VERSION)
    return answer(200, http.Cluster(config.cluster, config.shard, replica.term, config.node, [node]))


async def handover(api: Api, request: Request) -> Reply:
    """``POST /cluster/handover``: there is nobody to hand over to."""
    await request.no_body()
    raise Conflict("this cluster has one node; there is no other to hand over to")


async def get_health(api: Api, request: Request) -> Reply:
    """``GET /health``: 200 when the node takes requests, else 503 and why."""
    request.query()
    why_not = api.services.is_ready()
    usage = {name: http.Usage(used, limit) for name, (used, limit) in _usage(api).items()}
    health = http.Health("ok" if why_not is None else "unavailable", "leader", usage, why_not)
    return answer(200 if why_not is None else 503, health)


async def get_metrics(api: Api, request: Request) -> Reply:
    """``GET /metrics``: what only changes with the state is read here, when somebody looks."""
    request.query()
    metrics, counters = api.services.metrics, api.services.replica.counters
    for state in State:
        metrics.jobs.labels(state.label).set(counters[state.label])
    usage = _usage(api)
    slots_used, slots_max = usage.pop("slots")
    metrics.slots_used.set(slots_used)
    metrics.slots_max.set(slots_max)
    for name, (used, limit) in usage.items():
        metrics.limit_used.labels(name).set(used)
        metrics.limit_max.labels(name).set(limit)
    metrics.applied_index.set(api.services.replica.applied)
    metrics.term.set(api.services.replica.term)
    return Reply(200, metrics.text(), _PROMETHEUS)


def _usage(api: Api) -> dict[str, tuple[int, int]]:
    return api.services.admission.usage() | {"slots": api.services.delivery.slots()}
