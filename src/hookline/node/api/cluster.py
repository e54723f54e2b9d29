"""The calls about the node itself: its cluster, whether it is fit."""

from typing import Literal

import msgspec

from hookline.errors import Conflict
from hookline.http_api import strict_json
from hookline.http_api.forwarded_headers import FORWARDED, PROXY
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.http_api.probes import get_livez as answer_livez
from hookline.http_api.probes import readiness
from hookline.node.api.audit import current_note
from hookline.node.api.clocks import clock_complaint, clock_view
from hookline.node.api.context import Api
from hookline.peers.sender import UNREADABLE, NodeCall, NotSent, Unclear
from hookline.protocol import http
from hookline.protocol.calls import CALLS
from hookline.protocol.commands import SetMode
from hookline.protocol.jobs import Outcome, State

_ASK_S = 1.0  # the leader, who runs attempts
_CHANGES = msgspec.json.Decoder(http.ClusterChange)
_FREE = "this cluster was taken out of the topology and has handed everything over: it can be switched off"


class _Led(msgspec.Struct):
    """The part of a cluster that only its leader knows."""

    runners: list[http.RunnerView] = []
    figures: http.ClusterFigures | None = None


async def get_cluster(api: Api, request: ApiRequest) -> Reply:
    """``GET /cluster``: the nodes as this one sees them."""
    request.query()
    return answer(200, await _view(api, request))


async def change_cluster(api: Api, request: ApiRequest) -> Reply:
    """``PATCH /cluster``: which runners make attempts."""
    body = await request.body()
    strict_json.check_utf8(body)
    change = strict_json.decode(_CHANGES, body)
    await api.propose(SetMode(change.mode))
    return answer(200, await _view(api, request))


async def _view(api: Api, request: ApiRequest) -> http.Cluster:
    config, role = api.config, api.services.role
    position, led = role.position(), await _led(api, request)
    return http.Cluster(
        config.cluster,
        config.shard,
        api.services.replica.term,
        role.leader_name(),
        role.nodes(),
        clock_view(api),
        position.cluster_id or None,
        position.generation,
        api.services.kept_aside(),
        api.services.replica.mode,
        led.runners,
        _can_be_switched_off(api),
        led.figures,
    )


def _can_be_switched_off(api: Api) -> bool:
    """The topology has this cluster no more, and nothing of it is needed here."""
    replica = api.services.replica
    if not replica.has_left or replica.moved_epoch != api.ownership.epoch:
        return False
    router = api.ownership.router()
    return router is not None and router.topology.cluster(api.config.cluster) is None


async def _led(api: Api, request: ApiRequest) -> _Led:
    """The leader is asked for it."""
    known = api.services.delivery.runners()
    if known is not None:
        return _Led([http.RunnerView(*one) for one in known], _figures(api))
    url = api.services.role.leader_url()
    if url is None or request.caller.is_forwarded:
        return _Led()
    call = NodeCall.to(CALLS["readCluster"], b"", (FORWARDED, b"1"))
    try:
        reply = await api.services.sender.send(url, call, _ASK_S)
        return msgspec.json.decode(reply.body, type=_Led) if reply.status == 200 else _Led()
    except (NotSent, Unclear, *UNREADABLE):
        return _Led()


def _figures(api: Api) -> http.ClusterFigures:
    metrics, counters = api.services.metrics, api.services.replica.counters
    lags = metrics.due_lag.counts
    used, most = api.services.delivery.slots()
    return http.ClusterFigures(
        {state.label: counters[state.label] for state in State},
        {outcome.label: metrics.attempts.labels(outcome.label).count for outcome in Outcome},
        used,
        most,
        [round(bound * 1_000) for bound in lags if bound != float("inf")],
        list(lags.values()),
    )


async def get_position(api: Api, request: ApiRequest) -> Reply:
    """``GET /internal/position``: where this node's state is, for the other nodes."""
    request.query()
    return answer(200, api.services.role.position())


async def handover(api: Api, request: ApiRequest) -> Reply:
    """``POST /cluster/handover``: let another node lead."""
    await request.no_body()
    if (api.config.etcd or len(api.services.role.nodes()) > 1) and (noting := current_note()) is not None:
        await noting.write()  # before: afterwards another node leads
    if not api.services.role.hand_over():
        raise Conflict("this cluster has one node; there is no other to hand over to")
    return Reply(202, b"{}")


async def get_livez(_api: Api, request: ApiRequest) -> Reply:
    """``GET /livez``."""
    return await answer_livez(request)


async def get_readyz(api: Api, request: ApiRequest) -> Reply:
    """``GET /readyz``: 200 when the node takes jobs, by itself or through the leader it knows."""
    is_stopping = api.services.is_stopping()
    return readiness(request, "the node stops; send requests to another one" if is_stopping else _why_not(api))


async def get_health(api: Api, request: ApiRequest) -> Reply:
    """``GET /health``: 200 when the node takes requests, else 503 and why."""
    request.query()
    if (listens := request.header(PROXY)) is not None and (client := request.scope.get("client")) is not None:
        api.services.on_proxy(client[0], listens)
    why_not = _why_not(api)
    usage = {name: http.Usage(used, limit) for name, (used, limit) in _usage(api).items()}
    role: Literal["leader", "follower", "halted"] = "leader" if api.services.role.is_leading() else "follower"
    held = _why_held(api)
    status: Literal["ok", "degraded", "unavailable"] = "ok" if held is None else "degraded"
    if why_not is not None:
        status = "unavailable"
    if api.services.role.halted() is not None:
        role = "halted"
    version, kept = api.ownership.version, api.services.replica.topology
    can_be_switched_off = _can_be_switched_off(api)
    health = http.Health(
        status,
        role,
        usage,
        why_not or held or (_FREE if can_be_switched_off else clock_complaint(api)),
        version.epoch,
        api.services.replica.term,
        clock=clock_view(api),
        topology=version.digest or None,
        decided_by=None if kept is None else kept.decided_by,
        cluster=api.config.cluster,
        shard=api.config.shard,
        cluster_id=api.services.role.position().cluster_id or None,
        kept_aside=api.services.kept_aside(),
        moved=api.services.replica.moved_epoch,
        can_be_switched_off=can_be_switched_off,
        asks_for_keys=api.config.root_key is not None,
    )
    return answer(200 if why_not is None else 503, health)


def _why_not(api: Api) -> str | None:
    return api.services.is_ready() or api.ownership.why_not()


def _why_held(api: Api) -> str | None:
    if not (missing := api.services.delivery.lacking_keys()):
        nobody = api.services.delivery.why_nobody_attempts()
        return None if nobody is None else f"the mode is {api.services.replica.mode}, but {nobody}; jobs wait"
    return (
        f"jobs are held: their secrets are sealed with key {', '.join(missing)}, which this node does not have; "
        "give that key in --secret-key-file or HOOKLINE_SECRET_KEY and start again"
    )


def _usage(api: Api) -> dict[str, tuple[int, int]]:
    return api.services.admission.usage() | {"slots": api.services.delivery.slots()}
