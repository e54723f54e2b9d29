"""The creates of one front on their way into the log: those that come in one turn of the loop are proposed together."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

from msgspec.structs import replace

from hookline.errors import HooklineError, Misdirected, TooManyRequests
from hookline.node.api.context import Api, refusal, together
from hookline.node.api.views import Pending
from hookline.node.front.door import FrontDoor
from hookline.node.front.messages import Create, CreateAnswer, FromNode, JobFate
from hookline.protocol.codec import split
from hookline.protocol.commands import Created, CreateJob, Refused, Result, Results
from hookline.protocol.jobs import DEFAULT_TENANT
from hookline.protocol.settings import DestinationSettings
from hookline.protocol.settings import encode as encode_settings

_PLAIN = DestinationSettings()

Spawn = Callable[[Coroutine[Any, Any, None]], object]
Proposed = list[asyncio.Future[list[Result]]]


class _Wish(NamedTuple):
    """A create that may be proposed.

    Attributes:
        commands: those that belong here.
        strays: for all that were asked for, in their order, the error of those that do not.
    """

    create: Create
    commands: list[CreateJob]
    strays: list[Misdirected | None]

    @property
    def tenant(self) -> str:
        return self.commands[0].work.tenant if self.commands else DEFAULT_TENANT

    @property
    def size(self) -> int:
        return sum(command.work.size for command in self.commands)


class Creates:
    """Those of one front.

    Args:
        api: of the node.
        door: checks whether a call may be answered here.
        send: to the front.
        spawn: starts a task that may outlive the front.
    """

    def __init__(self, api: Api, door: FrontDoor, send: Callable[[FromNode], None], spawn: Spawn) -> None:
        self._api = api
        self._door = door
        self._send = send
        self._spawn = spawn
        self._gathered: list[Create] = []
        self._begun: dict[int, list[CreateJob]] = {}  # of creates of which more is to come
        self._loop = asyncio.get_running_loop()

    def take(self, create: Create) -> None:
        """Gather it, to be proposed in this turn of the loop."""
        if create.has_more:
            self._begun.setdefault(create.number, []).extend(create.commands)
            return
        if (first := self._begun.pop(create.number, None)) is not None:
            create = replace(create, commands=[*first, *create.commands])
        if not self._gathered:
            self._loop.call_soon(self._propose_gathered)
        self._gathered.append(create)

    def forget(self, number: int) -> None:
        """The rest of it will not come."""
        self._begun.pop(number, None)

    def _propose_gathered(self) -> None:
        creates, self._gathered = self._gathered, []
        singles: list[_Wish] = []
        for create in creates:
            try:
                wish = self._checked(create)
            except Exception as error:  # noqa: BLE001 - whatever it is, the front is told
                self._refuse(create, error, is_open=False)
                continue
            if create.is_each:
                self._propose([wish])
            else:
                singles.append(wish)
        if singles:
            self._propose(singles)

    def _checked(self, create: Create) -> _Wish:
        """The part of it that may be proposed, by all but the room there is. Raises what the call is refused with."""
        commands, ownership = create.commands, self._api.ownership
        call = "createBatch" if create.is_each else "createJob"
        request = self._door.admitted(call, create.caller, is_fallback=create.is_fallback)
        if create.is_each:
            strays = ownership.strays(request, commands)
            own = [command for command, stray in zip(commands, strays, strict=True) if stray is None]
            return _Wish(create, own, strays)
        (command,) = commands
        ownership.check_home(request, command.id if command.id_is_chosen else None, command.key)
        return _Wish(create, commands, [None])

    def _propose(self, wishes: list[_Wish]) -> None:
        """Put them into the log as far as there is room: one batch, or singles together.

        Nothing is awaited between the checks and this: see ``Ownership``.
        """
        room = ExitStack()
        wishes = self._reserved(room, wishes)
        parts = split([command for wish in wishes for command in wish.commands])
        try:
            proposed = [self._api.services.replica.propose(part) for part in parts]
        except HooklineError as error:
            room.close()
            for wish in wishes:
                self._refuse(wish.create, error, is_open=False)
            return
        self._spawn(self._settle(room, wishes, parts, proposed))

    def _reserved(self, room: ExitStack, wishes: list[_Wish]) -> list[_Wish]:
        """Those that there is room for; it is held until ``room`` is closed."""
        admission, tenant = self._api.services.admission, wishes[0].tenant
        jobs, size = sum(len(wish.commands) for wish in wishes), sum(wish.size for wish in wishes)
        if all(wish.tenant == tenant for wish in wishes) and not admission.is_limited(tenant):
            with suppress(TooManyRequests):
                room.enter_context(admission.reserve(tenant, jobs, size, creates=jobs))
                return wishes
        return [wish for wish in wishes if self._has_room(room, wish)]

    def _has_room(self, room: ExitStack, wish: _Wish) -> bool:
        try:
            jobs, admission = len(wish.commands), self._api.services.admission
            room.enter_context(admission.reserve(wish.tenant, jobs, wish.size, creates=jobs))
        except TooManyRequests as error:
            self._refuse(wish.create, error, is_open=False)
            return False
        return True

    async def _settle(
        self, room: ExitStack, wishes: list[_Wish], parts: Sequence[Sequence[CreateJob]], proposed: Proposed
    ) -> None:
        """Answer when the log has them."""
        with room:
            if proposed:
                await asyncio.wait(proposed)
        if wishes and wishes[0].create.is_each:
            await self._answer_batch(wishes[0], proposed)
            return
        waiting = iter(wishes)
        for part, future in zip(parts, proposed, strict=True):
            error = future.exception()
            results = [] if error is not None else future.result()
            for position in range(len(part)):
                wish = next(waiting)
                if error is not None:
                    self._refuse(wish.create, error, is_open=True)
                else:
                    assert isinstance(results, Results)
                    self._answer_single(wish, results[position], results.time_ms)

    async def _answer_batch(self, wish: _Wish, proposed: Proposed) -> None:
        try:
            results = iter(await together(proposed))
        except Exception as error:  # noqa: BLE001 - whatever ended the replica
            self._refuse(wish.create, error, is_open=True)
            return
        fates = [_fate(next(results)) if stray is None else _stray(stray) for stray in wish.strays]
        self._send(CreateAnswer(wish.create.number, fates, 0))

    def _answer_single(self, wish: _Wish, result: Result, time_ms: int) -> None:
        create = wish.create
        if isinstance(result, Refused):
            self._refuse(create, refusal(result), is_open=True)
            return
        assert isinstance(result, Created)
        if result.deduplicated or not create.is_shown:
            self._send(CreateAnswer(create.number, [_fate(result)], time_ms))
            return
        (command,) = wish.commands
        tenant, destination = command.work.tenant, command.work.destination
        try:
            reason = self._api.views.waiting_for(Pending(tenant, destination, command.due_ms, 0))
            settings = self._api.views.settings(tenant, destination)
        except Exception as error:  # noqa: BLE001 - the state cannot be read, and the job is in it
            self._refuse(create, error, is_open=True)
            return
        stored = b"" if settings == _PLAIN else encode_settings(settings)
        self._send(CreateAnswer(create.number, [_fate(result)], time_ms, reason, stored))

    def _refuse(self, create: Create, error: BaseException, *, is_open: bool) -> None:
        self._send(self._door.refusal(create.number, error, is_open=is_open))


def _fate(result: Result) -> JobFate:
    if isinstance(result, Refused):
        return JobFate(refused=result.code)
    return JobFate(result.id, result.deduplicated) if isinstance(result, Created) else JobFate(refused="internal")


def _stray(error: Misdirected) -> JobFate:
    return JobFate(home=str(error.figures["home"]))
