"""Answers for ``hookline listen``: with a refusal, a status, or the answer of the application behind it."""

from hookline.cli.receiver import BODY_BYTES_MAX, Pair, Received, ReceiverReply, plain
from hookline.http_api.forwarded_headers import HOP_HEADERS
from hookline.http_client.caller import Caller
from hookline.http_client.client import NoAnswer, NoConnection
from hookline.visible import without_password

_FORWARD_S = 3_600.0  # Hookline gives up first, by the job's own timeout


def refusal(received: Received, fail_first: int) -> ReceiverReply | None:
    """Answers what is not for the application: too long, not signed rightly, or one of the attempts that shall fail.

    A request without an attempt number (0) is not from Hookline, and is never made to fail.
    """
    if received.is_too_long:
        return plain(413, f"a body of more than {BODY_BYTES_MAX:,} bytes is not from Hookline")
    if received.verified is False:
        return plain(401, f"not verified: {received.why_not}")
    if 0 < received.attempt <= fail_first and not received.is_replay:
        return plain(500, f"attempt {received.attempt} fails, as --fail-first says")
    return None


class StatusAnswerer:
    """Answers a status."""

    def __init__(self, status: int, fail_first: int) -> None:
        self._status = status
        self._fail_first = fail_first

    async def __call__(self, received: Received) -> ReceiverReply:
        return refusal(received, self._fail_first) or plain(self._status)


class AppForwarder:
    """Passes requests on as they came, to ``base_url`` + their path and query, and its answers back.

    Args:
        base_url: http(s)://host[:port][/path], without a slash at its end.
        fail_first: answered 500 here.
    """

    def __init__(self, base_url: str, fail_first: int) -> None:
        self._base_url = base_url
        self._fail_first = fail_first
        self._caller = Caller()

    async def __call__(self, received: Received) -> ReceiverReply:
        return refusal(received, self._fail_first) or await self._passed_on(received)

    async def _passed_on(self, received: Received) -> ReceiverReply:
        where = without_password(self._base_url)
        try:
            answer = await self._caller.call(
                received.method,
                self._base_url,
                received.target,
                headers=_end_to_end(received.headers),
                body=received.body,
                timeout_s=_FORWARD_S,
                fresh=True,  # a local server that was just started again would cost the first request
            )
        except NoConnection as error:
            return plain(502, f"nothing was passed on to {where}: {error.detail}")
        except NoAnswer as error:
            return plain(502, f"no answer from {where}: {error.detail}")
        return ReceiverReply(answer.status, answer.body, _end_to_end(tuple(answer.headers)))


def _end_to_end(headers: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """Without what belongs to one connection only, also what its Connection header names."""
    named = {
        part.strip().lower() for name, value in headers if name.lower() == b"connection" for part in value.split(b",")
    }
    return tuple(pair for pair in headers if pair[0].lower() not in HOP_HEADERS | named)
