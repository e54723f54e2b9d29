"""API keys: the proxy makes them, and every cluster gets the same."""

from msgspec.structs import replace

from hookline.errors import AllClustersUnavailable, ClusterUnavailable, HooklineError, KeyNotFound, TooManyKeys
from hookline.http_api.addresses import acting
from hookline.http_api.keys import MintedKey, key_view, minted, own_key, page_of, rotated, sees
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.peers.sender import NodeAnswer
from hookline.protocol.api_keys import KeptApiKey, encode_key
from hookline.proxy.api.context import ProxyApi


async def create_key(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /keys``. A cluster that cannot be reached gets the key later."""
    key = await minted(request, api.clock, api.keys.known.merged.values())
    missing = await _given(api, request, key)
    return answer(201, key.view(missing), [(b"location", b"/keys/" + key.id.encode())])


async def list_keys(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /keys``."""
    missing = await _pulled(api, with_uses=True)
    page = page_of(api.keys.known.merged.values(), request)
    return answer(200, replace(page, incomplete=sorted(missing)))


async def get_own(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /keys/self``: by itself, as it has looked at the key just now."""
    request.query()
    return answer(200, own_key(request.caller, api.keys.known.merged.get(request.caller.key)))


async def get_key(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /keys/{id}``."""
    request.query()
    await _pulled(api, with_uses=True)
    return answer(200, key_view(_found(api, request)))


async def rotate_key(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /keys/{id}/rotate``. A cluster that cannot be reached gets the new text later."""
    async with api.keys.changing:
        await _pulled(api)
        key = await rotated(request, _found(api, request), api.clock)
        missing = await _given(api, request, key)
    return answer(200, key.view(missing))


async def revoke_key(api: ProxyApi, request: ApiRequest) -> Reply:
    """``DELETE /keys/{id}``: every cluster has taken it, or it is said which has not; repeating it does no harm."""
    await request.no_body()
    async with api.keys.changing:
        await _pulled(api)
        known = api.keys.known.merged.get(request.path["id"])
        clusters = {entry.name for entry in api.clusters()}
        is_told = not any(known and known.id in dict(api.keys.known.lacking(name)) for name in clusters)
        is_seen = known is not None and sees(request.caller, known.record.tenant)
        if known is None or not is_seen or (known.record.revoked_ms is not None and is_told):
            raise KeyNotFound
        record = known.record if known.record.revoked_ms is not None else known.record.revoked(api.clock.wall_ms())
        answers = await api.keys.give_all([(known.id, encode_key(record))], *acting(request))
        await api.keys.pull()
    if missing := _missing(answers):
        raise ClusterUnavailable(
            f"{', '.join(missing)} did not take it, the other clusters have; it is told to them when they can be"
            " reached, and to be sure repeat the call",
            retry_after_s=1,
            clusters=missing,
        )
    return Reply(204)


async def _pulled(api: ProxyApi, *, with_uses: bool = False) -> list[str]:
    """Names the clusters that did not tell their keys. Raises AllClustersUnavailable when none did."""
    missing = await api.keys.pull(with_uses=with_uses)
    if len(missing) == len(api.clusters()):
        raise AllClustersUnavailable(retry_after_s=1)
    return missing


async def _given(api: ProxyApi, request: ApiRequest, key: MintedKey) -> list[str]:
    """Give it to all clusters; those that did not take it. Raises what all of them refused it with."""
    answers = await api.keys.give_all([(key.id, key.kept().blob)], *acting(request))
    await api.keys.pull()  # so that it is valid here at once
    missing = _missing(answers)
    if len(missing) == len(answers):
        raise _refusal(answers)
    return missing


def _refusal(answers: dict[str, NodeAnswer | None]) -> HooklineError:
    if any(one is not None and one.code == TooManyKeys.code for one in answers.values()):
        return TooManyKeys()
    return AllClustersUnavailable(retry_after_s=1)


def _missing(answers: dict[str, NodeAnswer | None]) -> list[str]:
    return sorted(name for name, one in answers.items() if one is None or one.status != 200)


def _found(api: ProxyApi, request: ApiRequest) -> KeptApiKey:
    known = api.keys.known.merged.get(request.path["id"])
    if known is None or known.record.revoked_ms is not None or not sees(request.caller, known.record.tenant):
        raise KeyNotFound
    return known
