"""Settings that all clusters have, of destinations and of tenants: each has its own view, and all are told a change."""

from hookline.errors import ClusterUnavailable, HooklineError
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.peers.sender import NodeAnswer
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.lists import DESTINATIONS, TENANTS, Listing, none_reachable, read_view, with_incomplete
from hookline.proxy.api.passing import call_of, or_gone, reply_of
from hookline.proxy.merging import Item

_NOT_FOUND = 404


async def get_destination(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /destinations/{host}``."""
    return await _get(api, request, DESTINATIONS)


async def put_destination(api: ProxyApi, request: ApiRequest) -> Reply:
    """``PUT /destinations/{host}``."""
    return await _put(api, request, DESTINATIONS)


async def get_tenant(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /tenants/{tenant}``."""
    return await _get(api, request, TENANTS)


async def put_tenant(api: ProxyApi, request: ApiRequest) -> Reply:
    """``PUT /tenants/{tenant}``."""
    return await _put(api, request, TENANTS)


async def _get(api: ProxyApi, request: ApiRequest, listing: Listing) -> Reply:
    """One of them, as all clusters together see it."""
    call = call_of(request)
    answers = await api.ask_all(lambda _: call, api.deadline_ms(request))
    incomplete = _without_answer(answers)
    views = [one for one in answers.values() if isinstance(one, NodeAnswer) and one.status == 200]
    if views:
        return answer(200, with_incomplete(_joined(listing, views), incomplete))
    if incomplete:
        raise none_reachable(incomplete, is_all=True)
    return reply_of(next(one for one in answers.values() if isinstance(one, NodeAnswer)))


async def _put(api: ProxyApi, request: ApiRequest, listing: Listing) -> Reply:
    """All clusters take it, or it is said which did not; repeating it does no harm."""
    answers = await _ask_all(api, request)
    taken = [one for one in answers.values() if isinstance(one, NodeAnswer)]
    refusal = next((one for one in taken if 400 <= one.status < 500), None)
    if refusal is not None:
        return reply_of(refusal)
    _check_all_took_it(answers)
    return answer(200, _joined(listing, taken))


async def delete_settings(api: ProxyApi, request: ApiRequest) -> Reply:
    """``DELETE`` of either: all clusters take it, likewise. One that does not know it has nothing to delete."""
    answers = await _ask_all(api, request)
    taken = [one for one in answers.values() if isinstance(one, NodeAnswer)]
    refusal = next((one for one in taken if 400 <= one.status < 500 and one.status != _NOT_FOUND), None)
    if refusal is not None:
        return reply_of(refusal)
    _check_all_took_it(answers)
    return reply_of(min((or_gone(one, request.call) for one in taken), key=lambda one: one.status))


def _joined(listing: Listing, views: list[NodeAnswer]) -> Item:
    assert listing.join is not None
    return listing.join([read_view(view.body, listing.fields) for view in views])


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
