"""The way of every request to its handler, as the row of its call says: who answers, and what is checked before."""

from collections.abc import Awaitable, Callable
from functools import partial

import apsw

from hookline.errors import Arriving, HooklineError, JobNotFound, Overloaded, ScheduleNotFound, StateDamaged
from hookline.http_api.callers import check_epoch_is_said
from hookline.http_api.endpoint import Handler
from hookline.http_api.messages import ApiRequest, Reply
from hookline.node.api.audit import begin_note
from hookline.node.api.context import Api
from hookline.node.api.deadline import within_deadline
from hookline.node.api.elsewhere import place_of
from hookline.node.api.forwarding import LeaderForwarder
from hookline.peers.traced import TracedSender
from hookline.protocol.calls import Call
from hookline.protocol.moves import JOB, SCHEDULE

NodeHandler = Callable[[Api, ApiRequest], Awaitable[Reply]]


class Door:
    """One per app."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._leader = LeaderForwarder(api.services.role, TracedSender(api.services.sender))

    def to(self, handler: NodeHandler, call: Call) -> Handler:
        """Wraps a handler in the checks that the call needs."""
        here = partial(self._here, handler)
        if call.answered_by == "self":
            return here
        led = partial(within_deadline, partial(self._leader.answer, here))
        return partial(self._for_cluster, here, led)

    async def _for_cluster(self, here: Handler, led: Handler, request: ApiRequest) -> Reply:
        """A call that one node answers for all: the leader, or any where the caller says that this will do."""
        self.check_load()
        if (
            request.call.answered_by == "any"
            and b"consistency=" in request.scope["query_string"]
            and request.wants_local()
        ):
            return await self._local(here, request)
        return await led(request)

    async def _local(self, here: Handler, request: ApiRequest) -> Reply:
        """From this node's own state, which may be behind; the answer says at which index it is."""
        applied = self._api.services.replica.applied
        reply = await here(request)
        reply.headers = [*reply.headers, (b"hookline-applied", b"%d" % applied)]
        return reply

    async def _here(self, handler: NodeHandler, request: ApiRequest) -> Reply:
        """By this node; a state that is found damaged ends it."""
        self.check_caller(request)
        noting = begin_note(self._api.services, request)
        committed = self._api.services.replica.machine.committed
        try:
            reply = await handler(self._api, request)
            if noting is not None:
                await noting.write("unchanged")
            return reply
        except (JobNotFound, ScheduleNotFound) as error:
            raise self._elsewhere(request, error, committed) from error
        except StateDamaged as error:
            self._api.services.on_damage(error)
            raise
        except apsw.CorruptError as error:
            damage = StateDamaged(f"the state cannot be read: {error}")
            self._api.services.on_damage(damage)
            raise damage from error

    def _elsewhere(self, request: ApiRequest, error: HooklineError, committed: int) -> HooklineError:
        """The error for what is not here: it may be at another cluster, or on its way here.

        What came to count by an entry that was not committed when it was looked for is on its way, too. ``committed``:
        the newest that was, before it was looked for.
        """
        name = request.path.get("id")
        if name is None:
            return error
        tenant, kind = request.caller.tenant, JOB if isinstance(error, JobNotFound) else SCHEDULE
        if (moved := place_of(self._api.reads, tenant, kind, name)) is not None:
            return moved
        machine = self._api.services.replica.machine
        is_arriving = machine.tables.is_arriving(tenant, kind, name) or machine.came_after(
            committed, tenant, kind, name
        )
        return Arriving(retry_after_s=1) if is_arriving else error

    def check_load(self) -> None:
        """Raise Overloaded while this process has more to do than it can."""
        if self._api.services.is_overloaded():
            raise Overloaded(retry_after_s=1)

    def check_caller(self, request: ApiRequest) -> None:
        """Callers mean this cluster, and their topology is ours: else raise what tells them so."""
        self._api.ownership.check_cluster(request)
        match request.call.checks_epoch:
            case "required":
                check_epoch_is_said(request.caller)
                self._api.ownership.check_epoch(request)
            case "if_given":
                self._api.ownership.check_epoch(request)
            case "no":
                pass
