"""Calls about one job or schedule: its home is asked first, then wherever else it may be.

"There is none" is only said when everybody who may have it said so.
"""

import asyncio
from collections.abc import Sequence

from hookline.errors import ClusterUnavailable
from hookline.http_api.exchange import Reply
from hookline.http_api.hops import SAFE_METHODS
from hookline.protocol.ids import check_id
from hookline.protocol.limits import REQUEST_BYTES_MAX
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.passing import Incoming, call_of, reply_of
from hookline.proxy.forwarder import ROUTES_MAX, StaleRoute, topology_is_changing
from hookline.proxy.sender import Answer, Call

_NOT_THERE = frozenset({"job_not_found", "schedule_not_found"})


async def read(api: ProxyApi, request: Incoming) -> Reply:
    """A call that only reads."""
    return await _on_one(api, request, is_repeatable=True)


async def set_to(api: ProxyApi, request: Incoming) -> Reply:
    """A change that may be made twice, such as a cancel."""
    return await _on_one(api, request, is_repeatable=True)


async def change(api: ProxyApi, request: Incoming) -> Reply:
    """A change that must not be made twice."""
    return await _on_one(api, request, is_repeatable=False)


async def _on_one(api: ProxyApi, request: Incoming, *, is_repeatable: bool) -> Reply:
    deadline_ms = api.deadline_ms(request)
    wanted = check_id(request.path["id"])
    body = await request.whole_body(REQUEST_BYTES_MAX)
    call = call_of(request, body, is_repeatable=is_repeatable)
    for _ in range(ROUTES_MAX):
        try:
            return reply_of(await _find(api, call, wanted, deadline_ms))
        except StaleRoute:
            continue
    raise topology_is_changing()


async def _find(api: ProxyApi, call: Call, wanted: str, deadline_ms: float) -> Answer:
    router = api.known.router
    home, previous, others = places(router, wanted)
    missing: Answer | None = None
    failure: ClusterUnavailable | None = None
    for cluster in (home, *previous):
        answer = await _ask(api, cluster, call, deadline_ms, router)
        if isinstance(answer, ClusterUnavailable):
            failure = failure or answer
        elif not _is_missing(answer):
            return answer
        else:
            missing = missing or answer
    for answer in await _ask_others(api, others, call, deadline_ms, router):
        if isinstance(answer, ClusterUnavailable):
            failure = failure or answer
        elif not _is_missing(answer):
            return answer
    if failure is not None or missing is None:
        raise _may_have_it(wanted, failure)
    return missing


async def _ask_others(
    api: ProxyApi, others: Sequence[ClusterEntry], call: Call, deadline_ms: float, router: Router
) -> "list[Answer | ClusterUnavailable]":
    """Those who only read side by side; changes one after the other, until one is no "there is none"."""
    if call.method not in SAFE_METHODS:
        answers: list[Answer | ClusterUnavailable] = []
        for cluster in others:
            answers.append(await _ask(api, cluster, call, deadline_ms, router))
            if isinstance(answers[-1], Answer) and not _is_missing(answers[-1]):
                break
        return answers
    try:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(_ask(api, cluster, call, deadline_ms, router)) for cluster in others]
    except* StaleRoute as group:
        raise StaleRoute from group
    return [task.result() for task in asked]


async def _ask(
    api: ProxyApi, cluster: ClusterEntry, call: Call, deadline_ms: float, router: Router
) -> "Answer | ClusterUnavailable":
    try:
        return await api.forwarder.to_cluster(cluster, call, deadline_ms, epoch=router.topology.epoch)
    except ClusterUnavailable as error:
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


def _is_missing(answer: Answer | ClusterUnavailable) -> bool:
    return isinstance(answer, Answer) and answer.status == 404 and answer.code in _NOT_THERE


def _may_have_it(wanted: str, failure: ClusterUnavailable | None) -> ClusterUnavailable:
    cluster = failure.figures.get("cluster", "") if failure else ""
    return ClusterUnavailable(
        f"cluster {cluster} may have {wanted} and cannot be reached; ask again when it is back",
        retry_after_s=failure.retry_after_s if failure else 1,
        cluster=cluster,
    )
