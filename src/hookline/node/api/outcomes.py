"""``POST /internal/outcomes``: a node that handed over tells how its last attempts ended."""

import msgspec

from hookline.errors import InvalidRequest, NotFound
from hookline.http_api.exchange import Reply, Request
from hookline.node.api.context import Api
from hookline.node.successor import MAC_HEADER
from hookline.protocol.codec import split
from hookline.protocol.commands import RecordOutcome
from hookline.protocol.limits import ENTRY_BYTES_MAX

_decoder = msgspec.msgpack.Decoder(list[RecordOutcome])


async def take_outcomes(api: Api, request: Request) -> Reply:
    """Record them. From anybody but a node of this cluster there is no such call."""
    body = await request.whole_body(2 * ENTRY_BYTES_MAX)
    if not api.services.vault.is_own(body, request.header(MAC_HEADER.encode()) or ""):
        raise NotFound
    try:
        outcomes = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"the outcomes cannot be read: {error}") from error
    for part in split(outcomes):
        await api.propose(*part)
    return Reply(200)
