"""A receiver of webhooks that verifies each one: what ``hookline listen`` and the demo serve."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import uvicorn

from hookline.client.signing import ATTEMPT_HEADER, SCHEDULED_AT_HEADER, verify
from hookline.clock import Clock
from hookline.errors import HooklineError, InvalidSignature
from hookline.protocol.durations import parse_time
from hookline.protocol.limits import PAYLOAD_BYTES_MAX
from hookline.protocol.signatures import ID_HEADER

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in.

    Attributes:
        attempt: from 1; 0 if the request does not say.
        verified: None if there is no secret to verify with.
        lag_ms: from the time it was due to its arrival; None for retries and requests that do not say.
    """

    id: str
    attempt: int
    method: str
    path: str
    verified: bool | None
    why_not: str | None
    lag_ms: int | None
    arrived_ms: int
    body: bytes


Answer = Callable[[Received], int]


class Receiver:
    """An ASGI app. ``answer`` is asked for the status of each request, after ``delay_ms``."""

    def __init__(self, answer: Answer, clock: Clock, *, secrets: list[str], delay_ms: int = 0) -> None:
        self._answer = answer
        self._clock = clock
        self._secrets = secrets
        self._delay_ms = delay_ms

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        arrived_ms = self._clock.wall_ms()
        body = await _read(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status = self._answer(self._received(scope, headers, body, arrived_ms))
        if self._delay_ms:
            await asyncio.sleep(self._delay_ms / 1_000)
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]},
        )
        await send({"type": "http.response.body", "body": b"thank you\n" if status < 300 else b"not now\n"})

    def _received(self, scope: Message, headers: dict[str, str], body: bytes, arrived_ms: int) -> Received:
        why_not = self._why_not(headers, body) if self._secrets else None
        attempt = headers.get(ATTEMPT_HEADER, "")
        number = int(attempt) if attempt.isascii() and attempt.isdecimal() and len(attempt) < 10 else 0
        return Received(
            id=headers.get(ID_HEADER, "-"),
            attempt=number,
            method=scope["method"],
            path=scope["path"],
            verified=None if not self._secrets else why_not is None,
            why_not=why_not,
            lag_ms=_lag_ms(headers.get(SCHEDULED_AT_HEADER), arrived_ms),
            arrived_ms=arrived_ms,
            body=body,
        )

    def _why_not(self, headers: dict[str, str], body: bytes) -> str | None:
        try:
            verify(body, headers, self._secrets, now=self._clock.wall_ms() / 1_000)
        except InvalidSignature as error:
            return error.detail
        return None


def server(receiver: Receiver) -> uvicorn.Server:
    """The server that runs it: ``run(sockets=[…])`` returns after ``should_exit`` is set, or a signal came."""
    return uvicorn.Server(
        uvicorn.Config(receiver, lifespan="off", access_log=False, log_level="critical", timeout_graceful_shutdown=2)
    )


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if len(body) <= 2 * PAYLOAD_BYTES_MAX:  # what is longer is not from Hookline, and is read but not kept
            body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _lag_ms(scheduled_at: str | None, arrived_ms: int) -> int | None:
    if scheduled_at is None:
        return None
    try:
        return arrived_ms - parse_time(scheduled_at)
    except HooklineError:
        return None
