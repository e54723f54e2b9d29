"""The calls about the log's levels: each process answers for itself, and for those that it has started."""

from typing import get_args

import msgspec

from hookline.http_api import strict_json
from hookline.http_api.addresses import addresses_of
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.protocol.http_logs import LogLevels, LogLevelsChange
from hookline.telemetry.area_log import log_levels, log_of, set_log_levels
from hookline.telemetry.log_events import LogArea

_log = log_of("api")
_CHANGES = msgspec.json.Decoder(LogLevelsChange)


async def get_log_levels(request: ApiRequest) -> Reply:
    """``GET /logs/levels``."""
    request.query()
    return answer(200, LogLevels(log_levels()))


async def change_log_levels(request: ApiRequest) -> Reply:
    """``PATCH /logs/levels``."""
    body = await request.body()
    strict_json.check_utf8(body)
    change = strict_json.decode(_CHANGES, body)
    others = {} if change.level is None else dict.fromkeys(get_args(LogArea), change.level)
    changed = others | change.levels
    address, *_ = addresses_of(request) or [""]
    _log.warning("log_levels_changed", levels=changed, key=request.caller.key, address=address)
    set_log_levels(changed)
    return answer(200, LogLevels(log_levels()))
