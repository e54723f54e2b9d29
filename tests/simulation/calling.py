"""How simulated clients call whatever answers: with the SDK's own way of repeating. Each call gets into the history."""

import asyncio
import random
from typing import Any, TypeVar

from hookline.client.awaiting_transport import AwaitingTransport
from hookline.client.requests import Request
from hookline.client.retrying import Retrying
from hookline.clock import Clock
from hookline.errors import DeadlineExceeded, HooklineError
from hookline.peers.sender import NodeCall
from tests.simulation.asgi import Ask
from tests.simulation.history import Call, History, is_refusal

T = TypeVar("T")

_TRY_S = 15.0  # a client waits that long for an answer


class ClientTransport:
    """One for each call, which learns what its tries were told."""

    def __init__(self, call: Call, ask: Ask, retries: int, history: History, clock: Clock) -> None:
        self._call, self._ask, self._history = call, ask, history
        self._transport = AwaitingTransport(self, Retrying(retries, 10.0, clock), asyncio.sleep)

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, request: Request[T]) -> T:
        """Send the call, again as long as that is safe and allowed, and return its typed reply."""
        return await self._transport.send(request)

    async def once(self, request: Request[T]) -> T:
        """One try."""
        tries = self._call.tries
        try:
            value = await self._answer(request)
        except HooklineError as error:
            tries.append(error.code)
            self._history.note(f"call {self._call.number}, try {len(tries)}: {error.code} {error.detail}")
            raise
        tries.append("")
        return value

    async def _answer(self, request: Request[T]) -> T:
        headers = tuple((name.lower().encode(), value.encode()) for name, value in request.headers.items())
        try:
            async with asyncio.timeout(_TRY_S):
                answer = await self._ask(NodeCall(request.method, request.path, headers, request.body or b""))
        except TimeoutError:
            raise DeadlineExceeded from None
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
        return request.parse(answer.status, names, answer.body)


class CallingClient:
    """Makes calls and writes them down.

    Args:
        ask: carries a call to whatever answers.

    Attributes:
        retries: how often the SDK repeats a call; one of these.
        tenant: for whom it calls.
    """

    retries: tuple[int, ...] = (0,)
    tenant = ""

    def __init__(self, ask: Ask, history: History, clock: Clock, pick: random.Random) -> None:
        self.ask, self.history, self.clock, self.random = ask, history, clock, pick

    async def call(
        self, kind: str, target: str | None, arguments: dict[str, Any], request: Request[Any], **way: Any
    ) -> Call:
        """Make one and write it down. ``way``: as ``_send`` takes it."""
        call = self._begun(kind, target, arguments)
        call.answer = await self._send(call, request, **way)
        return self._ended(call)

    def _begun(self, kind: str, target: str | None, arguments: dict[str, Any]) -> Call:
        number = len(self.history.calls) + 1
        began = self.history.note(f"call {number}: {kind} {target} {str(arguments)[:300]}")
        call = Call(number, kind, target, arguments, began, self.clock.wall_ms(), tenant=self.tenant)
        self.history.calls.append(call)
        return call

    async def _send(
        self, call: Call, request: Request[Any], *, ask: Ask | None = None, retries: int | None = None
    ) -> Any:
        """The reply; None when there is none, for a reason that the call has then."""
        if retries is None:
            retries = self.random.choice(self.retries)
        try:
            return await ClientTransport(call, ask or self.ask, retries, self.history, self.clock).send(request)
        except HooklineError as error:
            call.error = error
            return None

    def _ended(self, call: Call) -> Call:
        if call.error is None:
            call.outcome = "ok"
        elif all(map(is_refusal, call.tries)):
            call.outcome = "fail"
        call.ended = self.history.note(f"call {call.number}: {call.outcome} {call.code or ''}")
        return call
