"""The calls about API keys. Their text is made here and shown once; the log gets its hash."""

import msgspec

from hookline.errors import Conflict, InvalidRequest, KeyNotFound
from hookline.http_api import strict_json
from hookline.http_api.keys import MintedKey, key_view, minted, own_key, page_of, rotated, sees
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.node.api.context import Api, id_of, refusal
from hookline.protocol.api_keys import ApiKey, KeptApiKey, decode_key, encode_key
from hookline.protocol.commands import Changed, PutApiKeys, Refused
from hookline.protocol.http_keys import KeysGiven, KeysTold

_given = msgspec.json.Decoder(KeysGiven)


async def create_key(api: Api, request: ApiRequest) -> Reply:
    """``POST /keys``."""
    key = await minted(request, api.services.clock, api.services.replica.api_keys.by_id.values())
    await _keep(api, key.id, key.record)
    return answer(201, key.view(), [(b"location", b"/keys/" + key.id.encode())])


async def list_keys(api: Api, request: ApiRequest) -> Reply:
    """``GET /keys``."""
    return answer(200, page_of(api.services.replica.api_keys.by_id.values(), request))


async def get_own(api: Api, request: ApiRequest) -> Reply:
    """``GET /keys/self``: each node for itself, as it has looked at the key just now."""
    request.query()
    caller = request.caller
    return answer(200, own_key(caller, api.services.replica.api_keys.by_id.get(caller.key)))


async def get_key(api: Api, request: ApiRequest) -> Reply:
    """``GET /keys/{id}``."""
    request.query()
    return answer(200, key_view(_found(api, request)))


async def rotate_key(api: Api, request: ApiRequest) -> Reply:
    """``POST /keys/{id}/rotate``."""
    async with api.keys:
        key: MintedKey = await rotated(request, _found(api, request), api.services.clock)
        await _keep(api, key.id, key.record)
    return answer(200, key.view())


async def revoke_key(api: Api, request: ApiRequest) -> Reply:
    """``DELETE /keys/{id}``."""
    await request.no_body()
    async with api.keys:
        known = _found(api, request)
        await _keep(api, known.id, known.record.revoked(api.services.clock.wall_ms()))
    return Reply(204)


async def read_keys(api: Api, request: ApiRequest) -> Reply:
    """``GET /internal/keys?version=``: all keys, unless the caller has this version of them."""
    version = request.query("version").get("version")
    known = api.services.replica.api_keys
    if version == known.version:
        return answer(200, KeysTold(known.version))
    return answer(200, KeysTold(known.version, [(key.id, key.blob, key.used_ms) for key in known.by_id.values()]))


async def take_keys(api: Api, request: ApiRequest) -> Reply:
    """``PUT /internal/keys``: keep these, where they are newer than what is known of them."""
    body = await request.body()
    strict_json.check_utf8(body)
    given = strict_json.decode(_given, body)
    for key_id, blob in given.keys:
        try:
            decode_key(blob)
        except msgspec.MsgspecError as error:
            raise InvalidRequest(f"the key {key_id} cannot be read: {error}", field="keys") from error
    (result,) = await api.propose(PutApiKeys(tuple(given.keys)))
    if isinstance(result, Refused):
        raise refusal(result)
    return Reply(200, b"{}")


async def _keep(api: Api, key_id: str, record: ApiKey) -> None:
    (result,) = await api.propose(PutApiKeys(((key_id, encode_key(record)),)))
    if isinstance(result, Refused):
        raise refusal(result)
    if result == Changed(0):
        raise Conflict("somebody else changed the key at the same time; look at it and repeat the call")


def _found(api: Api, request: ApiRequest) -> KeptApiKey:
    known = api.services.replica.api_keys.by_id.get(id_of(request))
    if known is None or known.record.revoked_ms is not None or not sees(request.caller, known.record.tenant):
        raise KeyNotFound
    return known
