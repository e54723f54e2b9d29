"""How long the caller still waits: after that nobody works on the call in vain."""

import asyncio
from collections.abc import Awaitable, Callable

from hookline.errors import DeadlineExceeded
from hookline.http_api.exchange import Reply, Request
from hookline.http_api.hops import TIMEOUT
from hookline.node.api.ownership import number

_DIGITS_MAX = 9


async def within_deadline(request: Request, work: Callable[[], Awaitable[Reply]]) -> Reply:
    """What ``work`` gives, if it does so in the time the call allows.

    Raises:
        InvalidRequest: the header cannot be read.
        DeadlineExceeded: the time is over; what was proposed until then may still be accepted.
    """
    text = request.header(TIMEOUT)
    if text is None:
        return await work()
    timeout_ms = number(text, TIMEOUT.decode(), _DIGITS_MAX)
    try:
        async with asyncio.timeout(timeout_ms / 1_000) as limit:
            return await work()
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DeadlineExceeded from error
