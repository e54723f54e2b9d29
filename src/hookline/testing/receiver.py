"""A receiver in memory: it keeps every request and answers as the test says. Stands in for the network.

receiver = Receiver()
receiver.next(answer(500), answer(429, headers={"retry-after": "30"}), hang())  # then 200 again
"""

import hookline.testing.server_parts  # noqa: F401  # first, since it says what to install

# isort: split
import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from hookline.clock import Clock
from hookline.node.attempts.transport import Outgoing, ReceiverAnswer, SendFailed
from hookline.protocol.durations import parse_duration
from hookline.testing.virtual_time import HORIZON, Deadlocked, allow

_FOREVER_MS = 10**12
_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Reaction:
    """The receiver's way to treat a request; made by ``answer``, ``refuse``, ``break_off`` and ``hang``."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    after_ms: int = 0
    failure: Literal["connect", "broken"] | None = None


def answer(
    status: int = 200, *, headers: Mapping[str, str] | None = None, body: bytes = b"", after: str | float = 0
) -> Reaction:
    """Answer, after a while (seconds or ``"1m30s"``); if that is longer than the job's timeout, it times out."""
    return Reaction(status, tuple((headers or {}).items()), body, parse_duration(after))


def refuse() -> Reaction:
    """The connection is refused: the request never arrives."""
    return Reaction(failure="connect")


def break_off(*, after: str | float = 0) -> Reaction:
    """The request arrives, then the connection breaks without an answer."""
    return Reaction(after_ms=parse_duration(after), failure="broken")


def hang() -> Reaction:
    """The request arrives and is never answered."""
    return Reaction(after_ms=_FOREVER_MS)


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it arrived. Header names are lower-case."""

    time_ms: int
    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes

    @property
    def webhook_id(self) -> str:
        """The job's id."""
        return self.headers["webhook-id"]

    @property
    def attempt(self) -> int:
        """1 for the first attempt at the job."""
        return int(self.headers["hookline-attempt"])

    @property
    def term(self) -> int:
        """The term of the leader that sent it."""
        return int(self.headers["hookline-term"])

    def json(self) -> Any:
        """The body, parsed."""
        return msgspec.json.decode(self.body)


async def carry_out(reaction: Reaction, timeout_ms: int) -> ReceiverAnswer:
    """Carry out a reaction and return what the node sees: an answer in time, or SendFailed."""
    if reaction.failure == "connect":
        raise SendFailed("connect", "Connection refused")
    await asyncio.sleep(min(reaction.after_ms, timeout_ms) / 1_000)
    if reaction.after_ms >= timeout_ms:
        raise SendFailed("timeout", f"no answer within {timeout_ms} ms")
    if reaction.failure == "broken":
        raise SendFailed("broken", "Connection reset by peer")
    return ReceiverAnswer(reaction.status, reaction.headers, reaction.body)


React = Callable[[ReceivedRequest], Reaction]


class Receiver:
    """All receivers of a node in one. ``requests`` holds what arrived, oldest first, kept before it is answered.

    Args:
        clock: stamps the requests.
        react: says what to do with a request, unless ``next`` does; by default each is answered with 200.
    """

    def __init__(self, clock: Clock, react: React = lambda _request: Reaction()) -> None:
        self.requests: list[ReceivedRequest] = []
        self._clock = clock
        self._react = react
        self._next: deque[Reaction] = deque()
        self._arrived = asyncio.Event()

    def next(self, *reactions: Reaction) -> None:
        """React to the next requests like this, in their order."""
        self._next.extend(reactions)

    async def wait_for(self, count: int, *, within: str | float = HORIZON) -> list[ReceivedRequest]:
        """Wait until ``count`` requests have arrived in all, and return them.

        Raises:
            Deadlocked: fewer arrived within that time.
        """
        within_s = parse_duration(within) / 1_000
        allow(within_s)
        try:
            async with asyncio.timeout(within_s):
                while len(self.requests) < count:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise Deadlocked(self._too_few(count, within)) from None
        return self.requests[:count]

    def _too_few(self, count: int, within: str | float) -> str:
        shown = [f"\n  {one.method} {one.url}, attempt {one.attempt} of {one.webhook_id}" for one in self.requests]
        more = f"\n  … and {len(shown) - _SHOWN_MAX} more" if len(shown) > _SHOWN_MAX else ""
        have = f"{len(shown)} arrived:" if shown else "none arrived; refused connections do not count"
        duration = within if isinstance(within, str) else f"{within:g} s"
        return (
            f"{count} requests did not arrive within {duration} of virtual time; {have}"
            + "".join(shown[:_SHOWN_MAX])
            + more
        )

    async def send(self, outgoing: Outgoing) -> ReceiverAnswer:
        """Take a request; this is the ``Transport`` of the node's attempts."""
        named = {name.lower(): value for name, value in outgoing.headers}
        request = ReceivedRequest(self._clock.wall_ms(), outgoing.method, outgoing.target.url, named, outgoing.body)
        reaction = self._next.popleft() if self._next else self._react(request)
        if reaction.failure != "connect":
            self.requests.append(request)
            self._arrived.set()
        return await carry_out(reaction, outgoing.timeout_ms)

    async def close(self) -> None:
        """Nothing to close."""
