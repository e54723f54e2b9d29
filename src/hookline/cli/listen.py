"""``hookline listen``: see webhooks arrive."""

import signal
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hookline.cli import inputs
from hookline.cli.output import announce, usage_error
from hookline.cli.parameters import AnyText, Flag, Texts
from hookline.clock import SystemClock

if TYPE_CHECKING:
    from hookline.cli.receiver import Received, ReceiverReply, Respond


def listen(
    *,
    port: int = 9000,
    host: str = "127.0.0.1",
    secret: Annotated[Texts, Parameter(env_var="HOOKLINE_LISTEN_SECRET")] = None,
    status: int | None = None,
    fail_first: int = 0,
    forward_to: str | None = None,
    delay: str = "0s",
    headers: Flag = False,
    path: str | None = None,
    text: AnyText | None = None,
    failed: Flag = False,
    json: Flag = False,
) -> int:
    """Receive webhooks, verify their signatures and print them. Ctrl-C ends it.

    With --secret, what is not signed with it is answered 401, and the reason.

    For example: hookline listen --port 9000 --secret whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=

    Or before the application you work on: hookline listen --forward-to http://127.0.0.1:8000 --headers

    Args:
        port: Where to listen; 0 takes a free port.
        host: Where to listen.
        secret: Verify with this whsec_ secret or whpk_ key; may be repeated.
        status: What to answer. [200]
        fail_first: Answer 500 to the first so many attempts of each webhook; requests that name none get the status.
        forward_to: Pass requests on to http://HOST:PORT, with their path and query, and answer what that answers.
        delay: How long to take for an answer, such as 200ms.
        headers: Print all headers of each request.
        path: Print only requests whose path begins with this; all are answered.
        text: Print only requests in whose path, headers or body this stands, in capitals or not.
        failed: Print only requests that are not verified or are answered 400 or more.
        json: Print one JSON object for each request, with everything in it.
    """
    from hookline.cli.received import ReceivedFilter, ReceivedPrinter
    from hookline.cli.receiver import ReceiverApp, server
    from hookline.http_api.server import listen as listening
    from hookline.http_api.server import url_of
    from hookline.protocol.signatures import parse_secret

    answer = _answer(status, fail_first, forward_to)
    secrets = secret or []
    for one in secrets:
        parse_secret(one)  # say now that it cannot be read, not at the first webhook
    printer = ReceivedPrinter(ReceivedFilter(path, text, failed), json=json, headers=headers)

    async def shown(received: "Received") -> "ReceiverReply":
        reply = await answer(received)
        printer.show(received, reply)
        return reply

    receiver = ReceiverApp(shown, SystemClock(), secrets=secrets, delay_ms=inputs.duration_ms(delay))
    with listening(host, port) as listener:
        announce(url_of(listener), to=sys.stderr if json else sys.stdout)
        # uvicorn stops on these signals and then raises them once more, which would end us with another exit code.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        server(receiver).run(sockets=[listener])
    return 0


def _answer(status: int | None, fail_first: int, forward_to: str | None) -> "Respond":
    from hookline.cli.answering import AppForwarder, StatusAnswerer

    if fail_first < 0:
        raise usage_error("--fail-first must be 0 or more.")
    if forward_to is not None:
        if status is not None:
            raise usage_error("Give --status or --forward-to, not both: what is forwarded to says the status.")
        return AppForwarder(inputs.local_url(forward_to, "--forward-to"), fail_first)
    if not 200 <= (status or 200) <= 599:
        raise usage_error("--status must be between 200 and 599.")
    return StatusAnswerer(status or 200, fail_first)
