"""``/internal/topology`` and ``/internal/absence``: what proxies tell and ask a cluster about where things are at home.

Not part of the public API; described in docs/reference/internal-http.md.
"""

import msgspec

from hookline.errors import (
    EpochTaken,
    EpochUnknown,
    InvalidRequest,
    InvalidTopology,
    Misdirected,
    NotDecider,
    NotFound,
    SettingsNeeded,
)
from hookline.http_api import strict_json
from hookline.http_api.forwarded_headers import DECIDED, UNKNOWN, is_asked_to_force
from hookline.http_api.messages import ApiRequest, Reply, answer, whole_number
from hookline.node.api.context import Api, refusal
from hookline.protocol.commands import Refused, SetTopology
from hookline.protocol.ids import check_id, check_key
from hookline.protocol.internal_http import Absence, AbsenceRequest
from hookline.protocol.moves import JOB, KEY, SCHEDULE
from hookline.protocol.topology import Topology, encode_topology, parse_topology
from hookline.protocol.topology_change import check_change, decider_of, is_jump, is_other_change

_SHARD_DIGITS_MAX = 9
_absences = msgspec.json.Decoder(AbsenceRequest)


async def get_topology(api: Api, request: ApiRequest) -> Reply:
    """``GET /internal/topology``: the newest one."""
    request.query()
    kept = api.services.replica.topology
    if kept is None:
        raise NotFound("this cluster has no topology yet")
    return Reply(200, kept.document, headers=[(DECIDED, _mark(kept.decided_by))])


async def put_topology(api: Api, request: ApiRequest) -> Reply:
    """``PUT /internal/topology``: keep it, unless a newer one is there. The same again is fine.

    With the header that says who decided it is given by somebody who has it from there; without, this cluster is asked
    to decide.
    """
    is_forced = is_asked_to_force(request)
    is_decided, decided_by = _decided_by(request)
    body = await request.body()
    strict_json.check_utf8(body)
    topology = parse_topology(body)
    api.ownership.check_own(topology)
    document = encode_topology(topology)
    async with api.ownership.changing:
        kept = api.services.replica.topology
        if is_decided:
            _check_given(api, topology)
            api.ownership.is_given(SetTopology(topology.epoch, document, decided_by))
        elif kept is None or kept.document != document:
            _check_proposal(api, request, topology, is_forced=is_forced)
            decided_by = api.config.shard
        begins_move = kept is None or is_other_change(parse_topology(kept.document), topology)
        (result,) = await api.propose(SetTopology(topology.epoch, document, decided_by, begins_move))
    if isinstance(result, Refused):
        raise api.ownership.outdated() if result.code == Misdirected.code else refusal(result)
    return Reply(200, document)


def _check_given(api: Api, topology: Topology) -> None:
    """A topology that was decided elsewhere: this cluster may have been away for several of them."""
    router = api.ownership.router()
    if router is not None and topology.epoch > router.topology.epoch:
        check_change(router.topology, topology, is_forced=True)
    if (
        topology.epoch > max(1, api.ownership.epoch)
        and api.services.replica.settings_epoch != topology.epoch
        and api.ownership.may_lack_settings(topology)
    ):
        raise SettingsNeeded(
            f"cluster {api.config.cluster} joins with epoch {topology.epoch}, or was away before it; it needs the"
            " settings of destinations of the others first",
            epoch=topology.epoch,
        )


def _check_proposal(api: Api, request: ApiRequest, topology: Topology, *, is_forced: bool) -> None:
    """A topology about which this cluster shall decide."""
    router = api.ownership.router()
    if router is None:  # nobody has one: so says who asks
        if is_jump(0, topology.epoch):
            raise InvalidTopology(f"epoch {topology.epoch} is too far ahead; a fleet begins with 1", field="epoch")
        return
    old = router.topology
    if topology.epoch == old.epoch:
        raise EpochTaken(f"epoch {old.epoch} is another topology; fetch it, and apply yours as {old.epoch + 1}")
    if topology.epoch < old.epoch:
        raise api.ownership.outdated()
    api.ownership.check_epoch(request)
    if not (api.ownership.decides(old) or is_forced):
        raise NotDecider(f"cluster {decider_of(old.clusters).name} decides what follows epoch {old.epoch}")
    check_change(old, topology, is_forced=is_forced)


def _decided_by(request: ApiRequest) -> tuple[bool, int | None]:
    """Is it decided, and by which shard? Raises InvalidRequest."""
    text = request.header(DECIDED)
    if text is None:
        return False, None
    return True, None if text == UNKNOWN.decode() else whole_number(text, DECIDED, _SHARD_DIGITS_MAX)


def _mark(decided_by: int | None) -> bytes:
    return UNKNOWN if decided_by is None else b"%d" % decided_by


async def tell_absence(api: Api, request: ApiRequest) -> Reply:
    """``POST /internal/absence``: is there nothing of that id or key, and will there be nothing under this epoch?"""
    body = await request.body()
    strict_json.check_utf8(body)
    asked = _checked(strict_json.decode(_absences, body))
    api.ownership.check_epoch(request)
    kept = api.services.replica.topology
    if kept is None:
        raise EpochUnknown("this cluster has no topology yet", epoch=0)
    await barrier(api, kept)
    api.ownership.check_epoch(request)
    is_there, job_id = _find(api, asked)
    return answer(200, Absence(not is_there, job_id))


async def barrier(api: Api, kept: SetTopology) -> None:
    """An entry without effect: whatever was proposed before, under an older topology, is applied before it."""
    await api.propose(kept)


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


def _find(api: Api, asked: AbsenceRequest) -> tuple[bool, str | None]:
    """Is it there, and what is its id? A key goes before the id, as when a job is created.

    What moved away, or is kept elsewhere, is there as well: whoever asks for it here is sent on.
    """
    tenant, reads = asked.tenant, api.reads
    kind = JOB
    if asked.kind == "schedule":
        kind = SCHEDULE
        if asked.id is not None and reads.schedule(tenant, asked.id) is not None:
            return True, asked.id
    else:
        if asked.key is not None and (found := reads.job_of_key(tenant, asked.key, api.now_ms())) is not None:
            return True, found
        if asked.id is not None and reads.seq_of(tenant, asked.id) is not None:
            return True, asked.id
    names = [(KEY, asked.key)] if asked.key is not None else []
    names += [(kind, asked.id)] if asked.id is not None else []
    for one, name in names:
        if reads.elsewhere(tenant, one, name) is not None:
            return True, asked.id
    return False, None
