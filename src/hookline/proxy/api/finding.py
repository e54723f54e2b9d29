"""Calls about one job or schedule: asks its home first, then the other clusters that may have it.

"There is none" is only said when everybody who may have it said so. While a change of the topology is under way, a read
goes on to the next cluster also when one stays silent; a change of a job never does, as it may have been made.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from hookline.errors import (
    Arriving,
    ClusterUnavailable,
    DeadlineExceeded,
    HooklineError,
    Moved,
)
from hookline.http_api.messages import ApiRequest, Reply
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.ids import check_id
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.following import follow, pause
from hookline.proxy.api.passing import call_of, or_gone, reply_of
from hookline.proxy.rerouting import StaleRoute, rerouted

_Failure = ClusterUnavailable | DeadlineExceeded
_NOT_THERE = frozenset({"job_not_found", "schedule_not_found"})


async def on_home(api: ProxyApi, request: ApiRequest) -> Reply:
    """A call that reads or changes what has the id in its path."""
    deadline_ms = api.deadline_ms(request)
    wanted = check_id(request.path["id"])
    call = call_of(request, await request.whole_body())
    return reply_of(or_gone(await rerouted(partial(_find, api, call, wanted, deadline_ms)), request.call))


async def _find(api: ProxyApi, call: NodeCall, wanted: str, deadline_ms: float) -> NodeAnswer:
    """The answer of whoever has it. What is on its way, and given up by its old home, is waited for."""
    while (answer := await _find_once(api, call, wanted, deadline_ms)).code == Arriving.code:
        await pause(api, deadline_ms)
    return answer


async def _find_once(api: ProxyApi, call: NodeCall, wanted: str, deadline_ms: float) -> NodeAnswer:
    router = api.known.router
    home, previous, others = places(router, wanted)
    first = [home, *previous]
    missing: NodeAnswer | None = None
    failure: _Failure | None = None
    for number, cluster in enumerate(first, 1):
        has_next = number < len(first) or bool(others)
        until_ms = _share(api, deadline_ms) if has_next and _may_ask_after_silence(router, call) else deadline_ms
        answer = await _ask(api, cluster, call, until_ms, router)
        if isinstance(answer, HooklineError):
            failure = failure or answer
        elif not _is_missing(answer):
            return answer
        else:
            missing = _missing(missing, answer)
    for answer in await _ask_others(api, others, call, deadline_ms, router):
        if isinstance(answer, HooklineError):
            failure = failure or answer
        elif not _is_missing(answer):
            return answer
        else:
            missing = _missing(missing, answer)
    if failure is not None:
        raise _may_have_it(wanted, failure)
    assert missing is not None
    return missing


def _may_ask_after_silence(router: Router, call: NodeCall) -> bool:
    """While a change is under way, a silent cluster must not hide what another one has. Only for calls that read."""
    return router.topology.previous is not None and call.is_safe


def _share(api: ProxyApi, deadline_ms: float) -> float:
    """Until when to wait for a cluster after which others are to be asked: half of the time that is left."""
    now_ms = api.clock.boot_ms()
    return now_ms + (deadline_ms - now_ms) / 2


async def _ask_others(
    api: ProxyApi, others: Sequence[ClusterEntry], call: NodeCall, deadline_ms: float, router: Router
) -> list[NodeAnswer | _Failure]:
    """The answers up to the first that is not "there is none".

    Calls that only read are made side by side, changes one after the other.
    """
    answers: list[NodeAnswer | _Failure] = []
    if not call.is_safe:
        for cluster in others:
            answers.append(await _ask(api, cluster, call, deadline_ms, router))
            if _is_final(answers[-1]):
                break
        return answers
    try:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(_ask(api, cluster, call, deadline_ms, router)) for cluster in others]
            for answered in asyncio.as_completed(asked):
                answers.append(await answered)
                if _is_final(answers[-1]):
                    break
            for task in asked:
                task.cancel()
    except* StaleRoute as group:
        raise StaleRoute from group
    return answers


async def _ask(
    api: ProxyApi, cluster: ClusterEntry, call: NodeCall, deadline_ms: float, router: Router
) -> NodeAnswer | _Failure:
    """Its answer, or that of the cluster it says to ask; or why there is none.

    Raises DeadlineExceeded when it may have made a change: nobody else may.
    """
    try:
        answer = await api.forwarder.to_cluster(cluster, call, deadline_ms, version=router.version)
        if answer.code != Moved.code:
            return answer
        return await follow(api, answer, cluster, call, deadline_ms, router.version)
    except ClusterUnavailable as error:
        return error
    except DeadlineExceeded as error:
        if not call.is_safe:
            raise
        return error


def places(router: Router, wanted: str) -> tuple[ClusterEntry, list[ClusterEntry], list[ClusterEntry]]:
    """Its home; where it was at home before a change; all others that may have it.

    An id that was minted by a cluster is there and nowhere else, unless a change is under way.
    """
    home = router.home(wanted).cluster
    route = router.previous_home(wanted)
    previous = [] if route is None or route.cluster.name == home.name else [route.cluster]
    if router.hinted(wanted) is not None and router.topology.previous is None:
        return home, previous, []
    known = {home.name, *(entry.name for entry in previous)}
    return home, previous, [entry for entry in router.topology.all_clusters() if entry.name not in known]


def _is_final(answer: NodeAnswer | _Failure) -> bool:
    return isinstance(answer, NodeAnswer) and not _is_missing(answer)


def _is_missing(answer: NodeAnswer) -> bool:
    """On its way there it may still be at its old home."""
    return answer.code == Arriving.code or (answer.status == 404 and answer.code in _NOT_THERE)


def _missing(first: NodeAnswer | None, second: NodeAnswer) -> NodeAnswer:
    """Of two answers "there is none" the one that says more: it is on its way, or a try before may have deleted it."""
    if first is not None and Arriving.code in (first.code, second.code):
        return first if first.code == Arriving.code else second
    return first if first is not None and not second.is_after_ambiguous else second


def _may_have_it(wanted: str, failure: _Failure) -> _Failure:
    cluster = failure.figures.get("cluster", "")
    if isinstance(failure, DeadlineExceeded):
        return DeadlineExceeded(f"cluster {cluster} may have {wanted} and did not answer in time", cluster=cluster)
    return ClusterUnavailable(
        f"cluster {cluster} may have {wanted} and cannot be reached; ask again when it is back",
        retry_after_s=failure.retry_after_s,
        cluster=cluster,
    )
