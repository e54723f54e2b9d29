"""A receiver of webhooks that verifies each one: what ``hookline listen`` and the demo serve."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import uvicorn

from hookline.client.signing import verify
from hookline.clock import Clock
from hookline.errors import HooklineError, InvalidSignature
from hookline.http_api.messages import AsgiReceive, AsgiScope, AsgiSend
from hookline.protocol.durations import parse_time
from hookline.protocol.limits import PAYLOAD_BYTES_MAX
from hookline.protocol.signatures import ID_HEADER
from hookline.protocol.webhook import ATTEMPT_HEADER, REPLAY_HEADER, SCHEDULED_AT_HEADER

BODY_BYTES_MAX = 2 * PAYLOAD_BYTES_MAX  # what is longer is not from Hookline

Pair = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in.

    Attributes:
        attempt: from 1; 0 if the request does not say.
        target: path and query, percent-encoded as they came.
        headers: in their order, names in lower case.
        verified: None if there is no secret to verify with.
        lag_ms: from the time it was due to its arrival; None for retries and requests that do not say.
        body: as it came; of one that is longer than BODY_BYTES_MAX the beginning.
    """

    id: str
    attempt: int
    is_replay: bool
    method: str
    target: str
    headers: tuple[Pair, ...]
    verified: bool | None
    why_not: str | None
    lag_ms: int | None
    arrived_ms: int
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def is_too_long(self) -> bool:
        """There was more of the body than is kept."""
        return len(self.body) > BODY_BYTES_MAX


@dataclass(frozen=True, slots=True)
class ReceiverReply:
    """An answer to a request."""

    status: int
    body: bytes
    headers: tuple[Pair, ...] = ((b"content-type", b"text/plain; charset=utf-8"),)


def plain(status: int, text: str | None = None) -> ReceiverReply:
    """A status and a line of text."""
    return ReceiverReply(status, f"{text or ('thank you' if status < 300 else 'not now')}\n".encode())


Respond = Callable[[Received], Awaitable[ReceiverReply]]


class ReceiverApp:
    """An ASGI app. ``answer`` is asked what each request is answered, and that is sent after ``delay_ms``."""

    def __init__(self, answer: Respond, clock: Clock, *, secrets: list[str], delay_ms: int = 0) -> None:
        self._answer = answer
        self._clock = clock
        self._secrets = secrets
        self._delay_ms = delay_ms

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        if scope["type"] != "http":
            return
        arrived_ms = self._clock.wall_ms()
        body = await _read(receive)
        reply = await self._answer(self._received(scope, body, arrived_ms))
        if self._delay_ms:
            await asyncio.sleep(self._delay_ms / 1_000)
        headers = list(reply.headers)
        if scope["method"] != "HEAD" and reply.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(reply.body)))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    def _received(self, scope: AsgiScope, body: bytes, arrived_ms: int) -> Received:
        pairs = tuple(scope["headers"])
        headers = joined(pairs)
        why_not = self._why_not(headers, body) if self._secrets else None
        attempt = headers.get(ATTEMPT_HEADER, "")
        number = int(attempt) if attempt.isascii() and attempt.isdecimal() and len(attempt) < 10 else 0
        query = scope["query_string"]
        return Received(
            id=headers.get(ID_HEADER, "-"),
            attempt=number,
            is_replay=REPLAY_HEADER in headers,
            method=scope["method"],
            target=(scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1"),
            headers=pairs,
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


def joined(headers: tuple[Pair, ...]) -> dict[str, str]:
    """By name; what came several times is one value, separated by commas (RFC 9110, section 5.3)."""
    found: dict[str, str] = {}
    for name_bytes, value_bytes in headers:
        name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def server(receiver: ReceiverApp) -> uvicorn.Server:
    """The server that runs it: ``run(sockets=[…])`` returns after ``should_exit`` is set, or a signal came."""
    return uvicorn.Server(
        uvicorn.Config(
            receiver,
            lifespan="off",
            access_log=False,
            server_header=False,  # who is forwarded to says them
            date_header=False,
            log_level="critical",
            timeout_graceful_shutdown=2,
        )
    )


async def _read(receive: AsgiReceive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if len(body) <= BODY_BYTES_MAX:  # the rest is read but not kept
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
