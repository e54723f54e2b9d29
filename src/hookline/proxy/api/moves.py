"""Changes of the topology: what one would move, how far it is, and how it goes on."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from hookline.errors import HooklineError, InvalidRequest, NothingMoves
from hookline.http_api import strict_json
from hookline.http_api.addresses import acting
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.peers.sender import UNREADABLE, NodeAnswer, NodeCall
from hookline.protocol.calls import CALLS
from hookline.protocol.http_moves import MovePace, PlanProblem, TopologyStatus
from hookline.protocol.internal_http import ClusterPlan
from hookline.protocol.routing import Router
from hookline.protocol.topology import RATE_MAX, Topology, encode_topology
from hookline.protocol.topology_change import added_previous, completed, is_completed, paced, taken_back
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.deciding import check, check_in_force, decide, push_to_all
from hookline.proxy.api.passing import key_of
from hookline.proxy.api.progress import read_moves, why_not
from hookline.proxy.api.topology import read_topology
from hookline.proxy.balancing import LoadReading, balance_of, reading_of, work_between
from hookline.proxy.move_plan import Speed, plan_of, shares
from hookline.proxy.move_status import status_of

_BALANCE_S = 5
_BALANCE_S_MAX = 20
_DIGITS_MAX = 2
_SPARE_MS = 1_000  # of a call's time, for what comes after the measuring

_plans = msgspec.json.Decoder(ClusterPlan)
_paces = msgspec.json.Decoder(MovePace)


async def get_status(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /topology/status``."""
    request.query()
    return answer(200, await _status(api, api.deadline_ms(request)))


async def _status(api: ProxyApi, deadline_ms: float) -> TopologyStatus:
    told = await read_moves(api, deadline_ms)
    return status_of(api.known.topology, api.known.version, told, api.farewell.free)


async def plan_topology(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /topology/plan``: nothing changes."""
    deadline_ms = api.deadline_ms(request)
    given = await read_topology(request)
    check_in_force(api)
    router = api.known.router
    old = router.topology
    new = completed(old, given)
    notes = [added_previous(old)] if new.previous is not None and given.previous is None else []
    problems = []
    if not is_completed(given, old):
        try:
            await check(api, new, deadline_ms)
        except HooklineError as error:
            problems.append(PlanProblem(error.code, error.detail))
    call = NodeCall.to(CALLS["planMoves"], encode_topology(new))
    # Nodes count nothing by what would be refused.
    answers = {} if problems else await api.ask_all(lambda _: call, deadline_ms)
    planned = {name: _read_plan(one) for name, one in answers.items()}
    found = await asyncio.to_thread(lambda: shares(router, Router(new)))
    speed = Speed(api.moved_per_s, is_measured=True) if api.moved_per_s else Speed()
    return answer(200, plan_of(new, found, planned, speed, problems, notes))


def _read_plan(one: NodeAnswer | HooklineError) -> ClusterPlan | str:
    reason = why_not(one)
    if reason is not None or isinstance(one, HooklineError):
        return reason or ""
    try:
        return _plans.decode(one.body)
    except UNREADABLE:
        return "it answers what cannot be read"


async def pause_move(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /topology/pause``."""
    await request.no_body()
    return await _go_on(api, request, lambda now: paced(now, replace(now.move, paused=True)))


async def resume_move(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /topology/resume``; with a rate also while it is not paused."""
    body = await request.body()
    strict_json.check_utf8(body)
    pace = strict_json.decode(_paces, body) if body.strip() else MovePace()
    if pace.rate is not UNSET and pace.rate is not None and not 1 <= pace.rate <= RATE_MAX:
        raise InvalidRequest(f"rate is from 1 to {RATE_MAX} jobs a second, or null", field="rate")

    def resumed(now: Topology) -> Topology:
        rate = now.move.rate if pace.rate is UNSET else pace.rate
        return paced(now, replace(now.move, paused=False, rate=rate))

    return await _go_on(api, request, resumed)


async def abort_move(api: ProxyApi, request: ApiRequest) -> Reply:
    """``POST /topology/abort``: all goes back; once more, and it goes on as before."""
    await request.no_body()
    return await _go_on(api, request, taken_back)


async def _go_on(api: ProxyApi, request: ApiRequest, change: Callable[[Topology], Topology]) -> Reply:
    """Have the next epoch decided, in which the change that is under way goes on as it says, and give it to all."""
    deadline_ms = api.deadline_ms(request)
    check_in_force(api)
    now = api.known.topology
    if now.previous is None:
        raise NothingMoves
    new = change(now)
    if replace(new, epoch=now.epoch) != now:
        refusal = await decide(api, new, request, deadline_ms, [])
        if refusal is not None:
            return refusal
    await push_to_all(api, deadline_ms, acting(request))
    return answer(200, await _status(api, deadline_ms))


async def balance(api: ProxyApi, request: ApiRequest) -> Reply:
    """``GET /topology/balance?seconds=``: measures for that long."""
    query = request.query("seconds")
    text = query.get("seconds", str(_BALANCE_S))
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX and 1 <= int(text) <= _BALANCE_S_MAX):
        raise InvalidRequest(f"seconds is a whole number from 1 to {_BALANCE_S_MAX}", field="seconds")
    seconds = int(text)
    deadline_ms = api.deadline_ms(request)
    check_in_force(api)
    began_ms = api.clock.boot_ms()
    first = await _readings(api, request, deadline_ms)
    rest_ms = min(seconds * 1_000, deadline_ms - _SPARE_MS - api.clock.boot_ms())
    await asyncio.sleep(max(0.0, rest_ms) / 1_000)
    last = await _readings(api, request, deadline_ms)
    took_s = max(0.001, (api.clock.boot_ms() - began_ms) / 1_000)
    works = {name: work_between(first[name], last[name], took_s) for name in first if name in last}
    return answer(200, await asyncio.to_thread(balance_of, api.known.topology, works, took_s))


async def _readings(api: ProxyApi, request: ApiRequest, deadline_ms: float) -> dict[str, LoadReading]:
    """By the name of the cluster; those that do not answer are left out."""
    call = NodeCall.to(CALLS["getMetrics"], b"", *key_of(request))
    found = {}
    for name, one in (await api.ask_all(lambda _: call, deadline_ms)).items():
        if why_not(one) is None and isinstance(one, NodeAnswer):
            with suppress(*UNREADABLE):
                found[name] = reading_of(one.body.decode())
    return found
