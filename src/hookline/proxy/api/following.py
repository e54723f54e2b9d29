"""Goes after what moves between clusters: to where an answer says that it is, and again when it is on its way.

A cluster that gave something up, or whose names are kept elsewhere, answers ``moved`` with the shard to ask. One that
has it, but inert still, answers ``arriving``: its old home may have given it up or not.
"""

import asyncio

import msgspec

from hookline.errors import (
    Arriving,
    ClusterUnavailable,
    DeadlineExceeded,
    JobNotFound,
    Moved,
    ScheduleNotFound,
)
from hookline.http_api.forwarded_headers import FALLBACK
from hookline.http_api.messages import PROBLEM_JSON
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.calls import CALLS
from hookline.protocol.internal_http import MESSAGEPACK, Absence, AbsenceRequest
from hookline.protocol.moves import JOB, KEY, SCHEDULE, Pointer
from hookline.protocol.topology import ClusterEntry, Version
from hookline.proxy.api.context import ProxyApi

_HOPS_MAX = 20
_PAUSE_S = 0.02
_encode = msgspec.msgpack.Encoder().encode

ALLOW = (FALLBACK, b"allow")
"""A cluster that is not the home looks whether it has it all the same."""


def is_on_its_way(answer: NodeAnswer) -> bool:
    """Does it say that it moved, or moves?"""
    return answer.status in (421, 503) and answer.code in (Moved.code, Arriving.code)


async def follow(
    api: ProxyApi,
    answer: NodeAnswer,
    cluster: ClusterEntry,
    call: NodeCall,
    deadline_ms: float,
    version: Version,
    *,
    asked: AbsenceRequest | None = None,
) -> NodeAnswer:
    """The answer of the cluster where it is, in the end.

    Args:
        api: the proxy's.
        answer: the first one, of ``cluster``.
        cluster: whom it came from.
        call: what was asked.
        deadline_ms: as the forwarder takes it.
        version: of the topology that chose the cluster.
        asked: the names of what is created; None: nothing is.

    Raises:
        ClusterUnavailable, DeadlineExceeded, StaleRoute: as the forwarder.
    """
    for _ in range(_HOPS_MAX):
        if not is_on_its_way(answer):
            return answer
        if answer.code == Moved.code:
            there = _cluster_of(api, answer)
            is_kept = bool(answer.problem.get("kept"))
            is_gone: bool | NodeAnswer = there is None
            if asked is not None and is_kept and there is not None:
                is_gone = await is_absent(api, there, asked, deadline_ms, version)
            if isinstance(is_gone, NodeAnswer):
                return is_gone
            if asked is not None and is_kept and is_gone:
                await _forget(api, cluster, asked, answer, deadline_ms, version)
            elif there is None and asked is None and is_kept:
                return _nowhere(call)
            elif there is None:
                raise ClusterUnavailable("what has that id was at a cluster that is not in the topology any more")
            else:
                cluster = there
        else:
            await pause(api, deadline_ms)
        # Whoever is asked now is asked as the one that has it, whoever is the home.
        answer = await api.forwarder.to_cluster(
            cluster, call if asked is None else call.with_headers(ALLOW), deadline_ms, version=version
        )
    return answer


async def pause(api: ProxyApi, deadline_ms: float) -> None:
    """Until it may have arrived. Raises DeadlineExceeded."""
    if api.clock.boot_ms() + _PAUSE_S * 1_000 >= deadline_ms:
        raise DeadlineExceeded("what has that id is moving to another cluster and did not arrive in time")
    await asyncio.sleep(_PAUSE_S * (1 + api.clock.random()))


def _nowhere(call: NodeCall) -> NodeAnswer:
    """It went with its cluster."""
    error = ScheduleNotFound() if call.target.startswith("/schedules/") else JobNotFound()
    return NodeAnswer(error.http_status, msgspec.json.encode(error.to_problem()), PROBLEM_JSON)


def _cluster_of(api: ProxyApi, answer: NodeAnswer) -> ClusterEntry | None:
    shard = answer.problem.get("shard")
    return next((entry for entry in api.known.topology.all_clusters() if entry.shard == shard), None)


async def is_absent(
    api: ProxyApi, cluster: ClusterEntry, asked: AbsenceRequest, deadline_ms: float, version: Version
) -> bool | NodeAnswer:
    """Has the cluster nothing of that name? Its answer, if it finds that there is something wrong with the question.

    Raises:
        ClusterUnavailable: it could not say; nothing was accepted.
        DeadlineExceeded, StaleRoute: as the forwarder.
    """
    inquiry = NodeCall.to(CALLS["confirmAbsence"], msgspec.json.encode(asked))
    answer = await api.forwarder.to_cluster(cluster, inquiry, deadline_ms, version=version)
    if answer.status >= 500:
        name = f"the id {asked.id}" if asked.id is not None else f"the Idempotency-Key {asked.key}"
        raise ClusterUnavailable(
            f"cluster {cluster.name} could not say whether it has {name}; the request was not accepted",
            retry_after_s=1,
            cluster=cluster.name,
        )
    return msgspec.json.decode(answer.body, type=Absence).absent if answer.status == 200 else answer


async def _forget(
    api: ProxyApi,
    cluster: ClusterEntry,
    asked: AbsenceRequest,
    answer: NodeAnswer,
    deadline_ms: float,
    version: Version,
) -> None:
    """Tell the home that it may make what is nowhere."""
    kind = JOB if asked.kind == "job" else SCHEDULE
    for one, name in ((KEY, asked.key), (kind, asked.id)):
        if name is not None:
            gone = Pointer(one, asked.tenant, name, int(answer.problem.get("shard", -1)), 0)
            call = NodeCall.to(CALLS["forgetPointer"], _encode(gone)).with_headers((b"content-type", MESSAGEPACK))
            await api.forwarder.to_cluster(cluster, call, deadline_ms, version=version)
