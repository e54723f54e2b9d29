"""``/internal/moves``: what one cluster gives up and another takes when the topology changes, and how far that is.

Not part of the public API; described in docs/reference/internal-http.md.
"""

from typing import Any

import msgspec

from hookline.errors import (
    BatchUnknown,
    InvalidRequest,
    NotLeader,
    SecretKeyDiffers,
)
from hookline.http_api import strict_json
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.node.api.context import Api, refusal
from hookline.node.moving.census import taken
from hookline.node.moving.targets import Targets
from hookline.node.state_machine.move_reads import MoveReads
from hookline.node.vault import ENV_NAME, FILE_OPTION, sealing_key_id
from hookline.protocol.commands import ActivateBatch, ForgetPointer, Refused, TakeBatch
from hookline.protocol.internal_http import MESSAGEPACK, Arrived
from hookline.protocol.jobs import JobSpec, decode_spec, decode_work
from hookline.protocol.moves import Activation, Arrival, Batch, Pointer, decode_batch
from hookline.protocol.routing import Router
from hookline.protocol.topology import parse_topology

_arrivals = msgspec.msgpack.Decoder(Arrival)
_activations = msgspec.msgpack.Decoder(Activation)
_pointers = msgspec.msgpack.Decoder(Pointer)
_encode = msgspec.msgpack.Encoder().encode


async def take_arrival(api: Api, request: ApiRequest) -> Reply:
    """``POST /internal/moves/arrivals``: keep a batch, inert. The same again, or another in its place, is fine.

    The epoch is checked before, as of other calls: with an older topology here pauses and limits of destinations would
    be missing, and by a newer one it might have to go elsewhere. It is checked again after: what was kept while a newer
    one came is not given up then.
    """
    arrival: Arrival = _read(_arrivals, await request.whole_body())
    try:
        batch = decode_batch(arrival.batch)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"the batch cannot be read: {error}; upgrade this cluster first") from error
    _check_keys(api, batch)
    await api.propose(TakeBatch(arrival.source, arrival.number, arrival.batch))
    api.ownership.check_epoch(request)
    kept = api.services.replica.arrivals.get(arrival.source)
    arrived = Arrived(0 if kept is None else kept.counted, api.services.delivery.delivers())
    return Reply(200, _encode(arrived), MESSAGEPACK)


async def activate_arrival(api: Api, request: ApiRequest) -> Reply:
    """``POST /internal/moves/activations``: what arrived counts from now on. The same again is fine."""
    activation: Activation = _read(_activations, await request.whole_body())
    (result,) = await api.propose(
        ActivateBatch(activation.source, activation.number, activation.jobs, activation.schedules)
    )
    if isinstance(result, Refused):
        raise BatchUnknown if result.code == BatchUnknown.code else refusal(result)
    return Reply(200, b"{}")


async def forget_pointer(api: Api, request: ApiRequest) -> Reply:
    """``POST /internal/moves/forgotten``: the cluster that kept something has said that it is not there any more."""
    gone: Pointer = _read(_pointers, await request.whole_body())
    await api.propose(ForgetPointer(gone.kind, gone.tenant, gone.name, gone.shard))
    return Reply(200, b"{}")


async def get_moves(api: Api, request: ApiRequest) -> Reply:
    """``GET /internal/moves``: how far this cluster is with what has to move out of it."""
    request.query()
    told = api.services.moves()
    if told is None:
        raise NotLeader
    return answer(200, told)


async def plan_moves(api: Api, request: ApiRequest) -> Reply:
    """``POST /internal/moves/plan``: what would move out of this cluster by a topology that is not in force."""
    body = await request.body()
    strict_json.check_utf8(body)
    topology = parse_topology(body)
    targets = Targets(Router(topology), api.config.cluster, with_finished=topology.move.with_finished)
    reads = MoveReads(api.services.replica.machine.database.reader)
    async with api.pages:
        census = await taken(reads, targets, api.now_ms())
    return answer(200, census.plan(api.config.cluster))


def _read(decoder: Any, body: bytes) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"the request cannot be read: {error}") from error


def _check_keys(api: Api, batch: Batch) -> None:
    """Raise SecretKeyDiffers unless what is sealed in the batch can be opened here."""
    known = frozenset(api.services.vault.key_ids)
    try:
        specs = [(record.id, decode_spec(record.work.spec)) for record in batch.jobs]
        specs += [(record.id, decode_spec(decode_work(record.work).spec)) for record in batch.schedules]
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"a job that arrives cannot be read: {error}") from error
    for name, spec in specs:
        for sealed in _sealed(spec):
            if (key := sealing_key_id(sealed)) not in known:
                raise SecretKeyDiffers(
                    f"{name} is sealed with key {key}, which cluster {api.config.cluster} does not have; give its nodes"
                    f" the key of the other clusters in {ENV_NAME} or {FILE_OPTION}, behind their own, and start them"
                    " again"
                )


def _sealed(spec: JobSpec) -> list[bytes]:
    return [sealed for sealed in (spec.sealed_secret, spec.sealed_content) if sealed]
