"""Has a topology decided by the cluster that decides, and gives it to all."""

import asyncio

import msgspec

from hookline.errors import ClusterUnavailable, EpochTaken, HooklineError, MoveOpen, Unavailable
from hookline.http_api.addresses import acting
from hookline.http_api.messages import ApiRequest, HeaderPair, Reply
from hookline.peers.sender import UNREADABLE, NodeAnswer, NodeCall
from hookline.protocol import http_audit
from hookline.protocol.calls import CALLS
from hookline.protocol.topology import ClusterEntry, Topology
from hookline.protocol.topology_change import added_previous, check_change, completed, decider_of, with_retired
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.passing import key_of, reply_of
from hookline.proxy.api.progress import read_moves
from hookline.proxy.move_status import unfinished
from hookline.proxy.pusher import proposing

_AUDIT_ROWS = 50
_SAID_MAX = 5

_audit = msgspec.json.Decoder(http_audit.AuditPage)


def check_in_force(api: ProxyApi) -> None:
    """Raise Unavailable unless the proxy knows what is in force."""
    if not api.known.is_in_force:
        raise Unavailable(f"the topology of this proxy is not in force: {api.known.why_not}", retry_after_s=1)


async def decide(
    api: ProxyApi,
    given: Topology,
    request: ApiRequest,
    deadline_ms: float,
    notes: list[str],
    *,
    is_forced: bool = False,
) -> Reply | None:
    """Have it decided in the name of who asks; None when it was taken, else the refusal of the cluster that decides."""
    old = api.known.topology
    if given.epoch == old.epoch:
        raise await _taken(api, request, old.epoch, deadline_ms)
    new = with_retired(old, given) if is_forced else completed(old, given)
    if is_forced:
        check_change(old, new, is_forced=True)
    else:
        await check(api, new, deadline_ms)
    if new.previous is not None and given.previous is None:
        notes.append(added_previous(old))
    decider, decision = await _ask_for(api, new, deadline_ms, acting(request), is_forced=is_forced)
    if decision.code == EpochTaken.code:
        raise await _taken(api, request, new.epoch, deadline_ms)
    if decision.status >= 300:
        return reply_of(decision)
    if not api.known.learn(new, decider.shard) and api.known.topology != new:
        raise await _taken(api, request, new.epoch, deadline_ms)
    return None


async def check(api: ProxyApi, new: Topology, deadline_ms: float) -> None:
    """Raise unless the topology may follow the one in force, and the clusters are as it needs them."""
    old = api.known.topology
    check_change(old, new)
    await _check_all_moved(api, old, new, deadline_ms)
    await api.forwarder.check_newcomers(old, new)


async def _check_all_moved(api: ProxyApi, old: Topology, new: Topology, deadline_ms: float) -> None:
    """Raise MoveOpen if the change of ``old`` would be ended before everything has moved."""
    if old.previous is None or new.previous is not None:
        return
    version = api.known.version
    if left := unfinished(version, await read_moves(api, deadline_ms)):
        said = "; ".join(left[:_SAID_MAX]) + ("; …" if len(left) > _SAID_MAX else "")
        raise MoveOpen(
            f"the change of epoch {old.epoch} cannot end: {said}. It ends by itself when all has moved; or take it"
            " back: hookline topology abort"
        )


async def _taken(api: ProxyApi, request: ApiRequest, epoch: int, deadline_ms: float) -> EpochTaken:
    """The error for who comes second; it names who came first, as far as the cluster that decided tells."""
    who = await _winner(api, request, epoch, deadline_ms)
    return EpochTaken(f"epoch {epoch} is another topology{who}; fetch it, and apply yours as {epoch + 1}", epoch=epoch)


async def _winner(api: ProxyApi, request: ApiRequest, epoch: int, deadline_ms: float) -> str:
    call = NodeCall.to(CALLS["listAudit"], b"", *key_of(request), query=f"?limit={_AUDIT_ROWS}")
    try:
        answer = await api.ask_briefly(decider_of(api.known.topology.clusters), call, deadline_ms)
        if isinstance(answer, HooklineError) or answer.status != 200:
            return ""
        rows = _audit.decode(answer.body).data
    except UNREADABLE:
        return ""
    for row in rows:
        if row.target == f"epoch {epoch}" and row.outcome == "done":
            actor = row.actor_name or row.actor or "somebody without a key"
            return f", applied by {actor} from {row.address} at {row.at} ({row.action})"
    return ""


async def _ask_for(
    api: ProxyApi, new: Topology, deadline_ms: float, headers: tuple[HeaderPair, ...], *, is_forced: bool
) -> tuple[ClusterEntry, NodeAnswer]:
    """The cluster that decided, and its answer. By force the next one decides where the first ones are gone."""
    call = proposing(new, is_forced=is_forced).with_headers(*headers)
    first, *others = sorted(api.known.topology.clusters, key=lambda entry: entry.shard)
    for decider in (first, *(others if is_forced else ())):
        decision = await api.ask(decider, call, deadline_ms)
        if not isinstance(decision, ClusterUnavailable):
            break
    if isinstance(decision, HooklineError):
        raise decision
    return decider, decision


async def push_to_all(api: ProxyApi, deadline_ms: float, headers: tuple[HeaderPair, ...]) -> dict[str, str]:
    """Push it to each cluster; by name "ok", or why the cluster does not have it."""

    async def push(entry: ClusterEntry) -> str:
        try:
            async with asyncio.timeout(max(0.0, (deadline_ms - api.clock.boot_ms()) / 1_000)):
                if api.health.unmet(entry):
                    await api.forwarder.meet(entry)
                return await api.forwarder.pusher.push_cluster(entry, *headers)
        except TimeoutError:
            return "it did not answer in time"

    async with asyncio.TaskGroup() as tasks:
        asked = {entry.name: tasks.create_task(push(entry)) for entry in api.clusters()}
    return {name: task.result() for name, task in asked.items()}
