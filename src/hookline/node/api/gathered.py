"""``POST /internal/jobs``: creates that a proxy sends together. Each is read, checked, refused and answered alone."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from hookline.errors import BatchTooLarge, DeadlineExceeded, HooklineError, InvalidRequest, NodeFault, NotLeader
from hookline.http_api.callers import named_in
from hookline.http_api.endpoint import refusal_of
from hookline.http_api.fate import Fate, is_open_now
from hookline.http_api.messages import ApiRequest, Reply
from hookline.http_api.problems import problem_reply
from hookline.http_api.traced import end_answer, span_of
from hookline.node.api.context import Api
from hookline.node.api.creating import Wish, answered, understood
from hookline.protocol.commands import Result, Results
from hookline.protocol.internal_http import MESSAGEPACK, GatheredAnswer, GatheredCreate
from hookline.protocol.jobs import DEFAULT_TENANT
from hookline.protocol.limits import GATHERED_JOBS_MAX
from hookline.telemetry.tracing.spans import Span, error_of, follow, within

_creates = msgspec.msgpack.Decoder(list[GatheredCreate])
_encode = msgspec.msgpack.Encoder().encode
_Proposal = asyncio.Future[list[Result]]


class _Asked(NamedTuple):
    """A create that was understood, as the request that it would be alone; ``span``: None while traces are off."""

    request: ApiRequest
    wish: Wish
    span: Span | None


async def create_gathered(api: Api, request: ApiRequest) -> Reply:
    """``POST /internal/jobs``."""
    clock = api.services.clock
    started_ms = clock.boot_ms()
    creates = _read(await request.whole_body())
    asked: list[_Asked | HooklineError] = []
    try:
        for create in creates:
            asked.append(await _understood(api, request, create))  # noqa: PERF401 - their spans end whatever comes
        results = await _proposed(api, request, asked)
        replies = [await _reply(api, one, result) for one, result in zip(asked, results, strict=True)]
    except BaseException as error:
        for one in asked:
            if isinstance(one, _Asked) and one.span is not None:
                one.span.end(error_of(error))
        raise
    took_s = (clock.boot_ms() - started_ms) / 1000
    for reply in replies:
        if reply.status < 300:
            api.services.metrics.create_seconds.observe(took_s)
    return Reply(200, _encode([_told(reply) for reply in replies]), MESSAGEPACK)


def _read(body: bytes) -> list[GatheredCreate]:
    try:
        creates = _creates.decode(body)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"the creates cannot be read: {error}") from error
    if len(creates) > GATHERED_JOBS_MAX:
        raise BatchTooLarge(f"at most {GATHERED_JOBS_MAX} creates are taken together", limit=GATHERED_JOBS_MAX)
    return creates


async def _understood(api: Api, request: ApiRequest, create: GatheredCreate) -> _Asked | HooklineError:
    call, guard = api.create_call, api.services.guard
    span = span_of(call, create.headers)
    try:
        caller = request.caller._replace(tenant=DEFAULT_TENANT, named=named_in(create.headers))
        if guard is not None:
            caller = await guard.admitted(call, caller, create.headers, request.scope.get("client"))
        alone = ApiRequest(request.scope, request.receive, call, caller.acting(), create.headers, create.body)
        if span is None:
            return _Asked(alone, await understood(api, alone), None)
        with within(span):
            return _Asked(alone, await understood(api, alone), span)
    except Exception as error:  # noqa: BLE001 - what one create does to us is not the others' fault
        refusal = refusal_of(error, request.scope, Fate())
        if span is not None:
            end_answer(span, refusal.http_status)
        return refusal


async def _proposed(
    api: Api, request: ApiRequest, asked: Sequence[_Asked | HooklineError]
) -> list[Results | HooklineError]:
    """The result of each, or why it was not accepted.

    Each is a proposal of its own: what does not fit into an entry of the log is not the others' fault.

    Raises:
        NotLeader: not one was accepted, since this node does not lead.
        HooklineError: the topology is another one; or a fault of the node.
    """
    api.ownership.check_epoch(request)  # of all: they were routed by the same topology
    held: list[_Proposal | HooklineError] = []
    try:
        for one in asked:
            held.append(_propose(api, one))  # noqa: PERF401 - what was held before one that fails is given back
        proposals = [proposal for proposal in held if not isinstance(proposal, HooklineError)]
        outcomes = iter(await asyncio.gather(*proposals, return_exceptions=True))
    finally:
        _give_back(api, asked, held)
    results = [one if isinstance(one, HooklineError) else _outcome(next(outcomes)) for one in held]
    _check_leads(results)
    return results


def _propose(api: Api, asked: _Asked | HooklineError) -> _Proposal | HooklineError:
    if isinstance(asked, HooklineError):
        return asked
    command = asked.wish.new.command
    work, admission = command.work, api.services.admission
    try:
        api.ownership.check_home(asked.request, command.id if command.id_is_chosen else None, asked.wish.key)
        admission.take(work.tenant, 1, work.size, creates=1)
    except HooklineError as error:
        return error
    try:
        proposal = api.services.replica.propose((command,))
    except HooklineError as error:
        admission.give_back(work.tenant, 1, work.size)
        return error
    is_open_now()
    if asked.span is not None:
        follow("commit", asked.span, proposal)
    return proposal


def _give_back(api: Api, asked: Iterable[_Asked | HooklineError], held: Iterable[_Proposal | HooklineError]) -> None:
    for one, proposal in zip(asked, held, strict=False):
        if not (isinstance(one, HooklineError) or isinstance(proposal, HooklineError)):
            work = one.wish.new.command.work
            api.services.admission.give_back(work.tenant, 1, work.size)


def _outcome(outcome: list[Result] | BaseException) -> Results | HooklineError:
    """Raises what is a fault of the node: it leaves the fate of all of them open."""
    if isinstance(outcome, HooklineError) and not isinstance(outcome, NodeFault):
        return outcome
    if isinstance(outcome, BaseException):
        raise outcome
    assert isinstance(outcome, Results)
    return outcome


def _check_leads(results: Sequence[Results | HooklineError]) -> None:
    """Raise NotLeader when that is all there is to say: whoever leads is asked then, as for a single create."""
    refusal = next((one for one in results if isinstance(one, NotLeader)), None)
    if refusal is not None and not any(map(_may_be_accepted, results)):
        raise refusal


def _may_be_accepted(result: Results | HooklineError) -> bool:
    return isinstance(result, (Results, DeadlineExceeded))


async def _reply(api: Api, asked: _Asked | HooklineError, result: Results | HooklineError) -> Reply:
    reply = await _untraced_reply(api, asked, result)
    if isinstance(asked, _Asked) and asked.span is not None:
        end_answer(asked.span, reply.status)
    return reply


async def _untraced_reply(api: Api, asked: _Asked | HooklineError, result: Results | HooklineError) -> Reply:
    try:
        if isinstance(asked, HooklineError):
            raise asked
        if isinstance(result, HooklineError):
            raise result
        return await answered(api, asked.wish, result[0], result.time_ms)
    except NodeFault:
        raise
    except HooklineError as error:
        api.services.metrics.rejections.labels(error.code).inc()
        return problem_reply(error)


def _told(reply: Reply) -> GatheredAnswer:
    return GatheredAnswer(reply.status, reply.body, reply.content_type, tuple(reply.headers))
