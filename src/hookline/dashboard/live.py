"""Keeps a page up to date by server-sent events (the HTML standard, section 9.2).

The process looks every second or two, and sends a part of the page again when what it shows has changed.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import msgspec
from starlette.responses import Response, StreamingResponse

from hookline.dashboard.visits import Visit
from hookline.errors import HooklineError

_WHOLE_MS: Final = 600_000  # then the browser asks again, and is looked at again
_QUIET_MS: Final = 15_000
_REST_PER_LOOK: Final = 20  # a search that takes long is looked at less often
_AGAIN: Final = "retry: 3000\n\n"

Sight = tuple[str, Callable[[], str]]
"""A mark of what there is to see, and what makes the event's data of it."""


class Streams:
    """Counts the pages that are kept up to date now."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.open = 0

    @property
    def is_full(self) -> bool:
        """May there be no more of them?"""
        return self.open >= self._limit


class LivePart(NamedTuple):
    """A part of a page.

    Attributes:
        event: its name.
        look: sees what there is now.
        seen: the mark of what the page shows already.
    """

    event: str
    look: Callable[[], Awaitable[Sight]]
    seen: str


def mark_of(*seen: object) -> str:
    """The same as long as what is seen is the same."""
    return hashlib.sha256(msgspec.json.encode(seen, enc_hook=repr)).hexdigest()[:16]


def event_stream(visit: Visit, *parts: LivePart, pace: int = 1) -> Response:
    """The answer that goes on; 204, which makes the browser stop asking, when there are too many of them.

    Args:
        visit: of whoever looks.
        parts: what is looked at.
        pace: so many times as long between two looks as with others, for what costs more.
    """
    if visit.desk.streams.is_full:
        return Response(status_code=204)
    headers = {"x-accel-buffering": "no"}
    return StreamingResponse(_events(visit, parts, pace), 200, headers, "text/event-stream")


async def _events(visit: Visit, parts: Sequence[LivePart], pace: int) -> AsyncIterator[str]:
    host, streams = visit.desk.host, visit.desk.streams
    streams.open += 1
    try:
        yield _AGAIN
        began_ms = told_ms = host.clock.boot_ms()
        seen = {part.event: part.seen for part in parts}
        while not host.is_stopping() and host.clock.boot_ms() < began_ms + _WHOLE_MS:
            looked_ms = host.clock.boot_ms()
            for part in parts:
                sight = await _looked(part)
                if sight is not None and sight[0] != seen[part.event]:
                    seen[part.event], told_ms = sight[0], host.clock.boot_ms()
                    yield event_text(part.event, sight[1]())
            if host.clock.boot_ms() > told_ms + _QUIET_MS:
                told_ms = host.clock.boot_ms()
                yield ": still here\n\n"
            took_s = (host.clock.boot_ms() - looked_ms) / 1_000
            rest_s = max(visit.desk.settings.look_s * pace, took_s * _REST_PER_LOOK)
            await asyncio.sleep(rest_s * (0.75 + host.clock.random() / 2))  # so that pages do not look all at once
    finally:
        streams.open -= 1


async def _looked(part: LivePart) -> Sight | None:
    """Looks; None: it cannot be seen now. The page stays as it is, and it is looked at again."""
    try:
        return await part.look()
    except HooklineError:
        return None


def event_text(name: str, data: str) -> str:
    """One event as it travels."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines())
    return f"event: {name}\n{lines}\n"
