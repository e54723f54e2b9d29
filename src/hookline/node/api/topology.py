"""``/internal/topology`` and ``/internal/absence``: what proxies tell and ask a cluster about where things are at home.

Not part of the public API; described in docs/reference/internal-http.md.
"""

import msgspec

from hookline.errors import EpochUnknown, InvalidRequest, Misdirected, NotFound
from hookline.http_api import strict_json
from hookline.http_api.exchange import Reply, Request, answer
from hookline.http_api.hops import EPOCH
from hookline.node.api.context import Api, refusal
from hookline.node.api.ownership import asked_epoch
from hookline.protocol.commands import Refused, SetTopology
from hookline.protocol.ids import check_id, check_key
from hookline.protocol.internal_http import Absence, AbsenceRequest
from hookline.protocol.limits import KIB
from hookline.protocol.topology import TOPOLOGY_BYTES_MAX, check_change, encode_topology, parse_topology

_ABSENCE_BYTES_MAX = 8 * KIB
_absences = msgspec.json.Decoder(AbsenceRequest)


async def get_topology(api: Api, request: Request) -> Reply:
    """``GET /internal/topology``: the newest one."""
    request.query()
    kept = api.services.replica.topology
    if kept is None:
        raise NotFound("this cluster has no topology yet")
    return Reply(200, kept.document)


async def put_topology(api: Api, request: Request) -> Reply:
    """``PUT /internal/topology``: keep it, unless a newer one is there. The same again is fine."""
    body = await request.body(TOPOLOGY_BYTES_MAX)
    strict_json.check_utf8(body)
    topology = parse_topology(body)
    api.ownership.check_own(topology)
    document = encode_topology(topology)
    async with api.ownership.changing:
        router = api.ownership.router()
        if router is not None and topology.epoch > router.topology.epoch:
            check_change(router.topology, topology)
        (result,) = await api.propose(SetTopology(topology.epoch, document))
    if isinstance(result, Refused):
        raise api.ownership.outdated() if result.code == Misdirected.code else refusal(result)
    return Reply(200, document)


async def tell_absence(api: Api, request: Request) -> Reply:
    """``POST /internal/absence``: is there nothing of that id or key, and will there be nothing under this epoch?"""
    if asked_epoch(request) is None:
        raise InvalidRequest(f"this call needs the header {EPOCH.decode()}", field=EPOCH.decode())
    body = await request.body(_ABSENCE_BYTES_MAX)
    strict_json.check_utf8(body)
    asked = _checked(strict_json.decode(_absences, body))
    api.ownership.check_epoch(request)
    kept = api.services.replica.topology
    if kept is None:
        raise EpochUnknown("this cluster has no topology yet", epoch=0)
    # A barrier: it changes nothing, but whatever was proposed before, under an older topology, is applied before it.
    await api.propose(kept)
    api.ownership.check_epoch(request)
    found = _find(api, asked)
    return answer(200, Absence(found is None, found))


def _checked(asked: AbsenceRequest) -> AbsenceRequest:
    if asked.id is None and asked.key is None:
        raise InvalidRequest("give an id or a key", field="id")
    if asked.id is not None:
        check_id(asked.id)
    if asked.key is not None:
        check_key(asked.key)
        if asked.kind == "schedule":
            raise InvalidRequest("a schedule has no key", field="key")
    return asked


def _find(api: Api, asked: AbsenceRequest) -> str | None:
    """The id of what is there; a key goes before the id, as when a job is created."""
    if asked.kind == "schedule":
        return asked.id if asked.id is not None and api.reads.schedule(asked.id) is not None else None
    found = None if asked.key is None else api.reads.job_of_key(asked.key, api.now_ms())
    if found is None and asked.id is not None and api.reads.seq_of(asked.id) is not None:
        return asked.id
    return found
