"""Destinations: each cluster has its own view of one, and its settings are set on all."""

from hookline.errors import ClusterUnavailable, HooklineError
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.peers.sender import NodeAnswer
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.lists import DESTINATIONS, none_reachable, read_view, with_incomplete
from hookline.proxy.api.passing import call_of, or_gone, reply_of
from hookline.proxy.merging import join_destinations

_NOT_FOUND = 404


async def get_destination(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /destinations/{host}``."""
    call = call_of(request)
    answers = await api.ask_all(lambda _: call, api.deadline_ms(request))
    incomplete = _without_answer(answers)
    views = [one for one in answers.values() if isinstance(one, NodeAnswer) and one.status == 200]
    if views:
        joined = join_destinations([read_view(view.body, DESTINATIONS.fields) for view in views])
        return answer(200, with_incomplete(joined, incomplete))
    if incomplete:
        raise none_reachable(incomplete, is_all=True)
    return reply_of(next(one for one in answers.values() if isinstance(one, NodeAnswer)))


async def put_destination(api: ProxyApi, request: ApiRequest) -> Reply:
    """``PUT /destinations/{host}``: all clusters take it, or it is said which did not; repeating it does no harm."""
    answers = await _ask_all(api, request)
    refusal = next((one for one in answers.values() if isinstance(one, NodeAnswer) and 400 <= one.status < 500), None)
    if refusal is not None:
        return reply_of(refusal)
    _check_all_took_it(answers)
    views = [read_view(one.body, DESTINATIONS.fields) for one in answers.values() if isinstance(one, NodeAnswer)]
    return answer(200, join_destinations(views))


async def delete_destination(api: ProxyApi, request: ApiRequest) -> Reply:
    """``DELETE /destinations/{host}``: likewise; a cluster that does not know it has nothing to delete."""
    answers = await _ask_all(api, request)
    taken = [one for one in answers.values() if isinstance(one, NodeAnswer)]
    refusal = next((one for one in taken if 400 <= one.status < 500 and one.status != _NOT_FOUND), None)
    if refusal is not None:
        return reply_of(refusal)
    _check_all_took_it(answers)
    return reply_of(min((or_gone(one, request.call) for one in taken), key=lambda one: one.status))


async def _ask_all(api: ProxyApi, request: ApiRequest) -> dict[str, NodeAnswer | HooklineError]:
    deadline_ms = api.deadline_ms(request)
    call = call_of(request, await request.whole_body())
    return await api.ask_all(lambda _: call, deadline_ms)


def _check_all_took_it(answers: dict[str, NodeAnswer | HooklineError]) -> None:
    if missing := _without_answer(answers):
        raise ClusterUnavailable(
            f"{', '.join(missing)} did not take the settings, the other clusters may have; repeat the request",
            retry_after_s=1,
            clusters=missing,
        )


def _without_answer(answers: dict[str, NodeAnswer | HooklineError]) -> list[str]:
    return sorted(name for name, one in answers.items() if not isinstance(one, NodeAnswer) or one.status >= 500)
