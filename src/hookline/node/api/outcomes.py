"""``POST /internal/outcomes``: a node that handed over tells how its last attempts ended."""

import msgspec

from hookline.errors import InvalidRequest
from hookline.http_api.messages import Reply, Request
from hookline.node.api.context import Api
from hookline.protocol.codec import split
from hookline.protocol.commands import RecordOutcome

_decoder = msgspec.msgpack.Decoder(list[RecordOutcome])


async def take_outcomes(api: Api, request: Request) -> Reply:
    """Record them."""
    try:
        outcomes = _decoder.decode(await request.whole_body())
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"the outcomes cannot be read: {error}") from error
    for part in split(outcomes):
        await api.propose(*part)
    return Reply(200)
