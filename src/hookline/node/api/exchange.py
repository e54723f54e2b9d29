"""``POST /internal/exchange``: a runner reports to the leader, and learns which of its attempts to break off."""

import msgspec

from hookline.errors import InvalidRequest
from hookline.http_api.messages import ApiRequest, Reply
from hookline.node.api.context import Api
from hookline.protocol.claims import Frame
from hookline.protocol.internal_http import MESSAGEPACK

_decoder = msgspec.msgpack.Decoder(Frame)
_encode = msgspec.msgpack.Encoder().encode


async def swap(api: Api, request: ApiRequest) -> Reply:
    """Record the reports."""
    try:
        frame = _decoder.decode(await request.whole_body())
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"the reports cannot be read: {error}") from error
    return Reply(200, _encode(await api.services.swap(frame)), MESSAGEPACK)
