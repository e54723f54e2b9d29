"""The calls about this machine's clock. Every node answers for itself."""

import msgspec

from hookline.errors import Conflict, InvalidRequest
from hookline.http_api import strict_json
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.node.api.audit import current_note
from hookline.node.api.context import Api
from hookline.node.clocks.others import ClockReading
from hookline.protocol import http

_WORDS = msgspec.json.Decoder(http.ClockWord)


async def read_clock(api: Api, request: ApiRequest) -> Reply:
    """``GET /internal/clock``: the machine's clock, right or wrong."""
    request.query()
    return answer(200, ClockReading(api.services.clock.machine_ms()))


async def trust_clock(api: Api, request: ApiRequest) -> Reply:
    """``POST /cluster/clock``: an operator says that this machine's clock is right."""
    body = await request.body()
    strict_json.check_utf8(body)
    if not strict_json.decode(_WORDS, body).trust:
        raise InvalidRequest("trust can only be true: a clock is distrusted by itself", field="trust")
    if not api.services.clocks.trust():
        raise Conflict("the majority of the cluster's clocks says otherwise; set this machine's clock right instead")
    if (noting := current_note()) is not None:
        noting.about("this machine's clock is right", f"node {api.config.node}")
        await noting.write()
    return answer(200, clock_view(api))


def clock_view(api: Api) -> http.ClockView:
    """This machine's clock as users see it."""
    why_not = api.services.clock.why_not()
    offset_ms = api.services.clocks.own_offset_ms()
    return http.ClockView(why_not is None, None if offset_ms is None else round(offset_ms), why_not)


def clock_complaint(api: Api) -> str | None:
    """Tells an operator what is wrong with the time; None when all is well."""
    clock = api.services.clock
    ahead_ms = api.services.replica.newest_ms - clock.wall_ms()
    if (why_not := clock.why_not()) is not None:
        return why_not
    if ahead_ms > 1_000:
        return (
            f"entries of the log are stamped up to {ahead_ms / 1_000:,.1f} s later than now: the clock that wrote them "
            "was ahead, or this machine's is behind; if it is, set it right"
        )
    return None
