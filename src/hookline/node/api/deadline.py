"""Ends the work on a call when its caller no longer waits."""

import asyncio

from hookline.errors import DeadlineExceeded
from hookline.http_api.endpoint import Handler
from hookline.http_api.forwarded_headers import TIMEOUT
from hookline.http_api.messages import ApiRequest, Reply, whole_number

_DIGITS_MAX = 9


async def within_deadline(work: Handler, request: ApiRequest) -> Reply:
    """Gives the result of ``work``, if it comes in the time that the call allows.

    Raises:
        InvalidRequest: the header cannot be read.
        DeadlineExceeded: the time is over; what was proposed until then may still be accepted.
    """
    text = request.header(TIMEOUT)
    if text is None:
        return await work(request)
    timeout_ms = whole_number(text, TIMEOUT, _DIGITS_MAX)
    try:
        async with asyncio.timeout(timeout_ms / 1_000) as limit:
            return await work(request)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DeadlineExceeded from error
