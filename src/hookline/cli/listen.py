"""``hookline listen``: see webhooks arrive."""

import signal
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hookline.cli import inputs
from hookline.cli.output import announce, stdout, usage_error
from hookline.cli.parameters import Flag, Texts
from hookline.clock import SystemClock
from hookline.visible import visible_json, visible_line

if TYPE_CHECKING:
    from hookline.cli.receiver import Received

_SHOWN_BYTES_MAX = 500


def listen(
    *,
    port: int = 9000,
    host: str = "127.0.0.1",
    secret: Annotated[Texts, Parameter(env_var="HOOKLINE_LISTEN_SECRET")] = None,
    status: int = 200,
    fail_first: int = 0,
    delay: str = "0s",
    json: Flag = False,
) -> int:
    """Receive webhooks, verify their signatures and print them. Ctrl-C ends it.

    Args:
        port: Where to listen; 0 takes a free port.
        host: Where to listen.
        secret: Verify with this whsec_ secret or whpk_ key; may be repeated.
        status: What to answer.
        fail_first: Answer 500 to the first so many attempts of each webhook; requests that name none get the status.
        delay: How long to take for an answer, such as 200ms.
        json: Print one JSON object for each request.
    """
    from hookline.cli.receiver import Receiver, server
    from hookline.http_api.server import listen as listening
    from hookline.http_api.server import url_of
    from hookline.protocol.signatures import parse_secret

    if not 200 <= status <= 599:
        raise usage_error("--status must be between 200 and 599.")
    secrets = secret or []
    for text in secrets:
        parse_secret(text)  # say now that it cannot be read, not at the first webhook
    printer = Printer(json=json)

    def answer(received: "Received") -> int:
        answered = status_for(received.attempt, status, fail_first)
        printer.show(received, answered)
        return answered

    receiver = Receiver(answer, SystemClock(), secrets=secrets, delay_ms=inputs.duration_ms(delay))
    with listening(host, port) as listener:
        announce(url_of(listener), to=sys.stderr if json else sys.stdout)
        # uvicorn stops on these signals and then raises them once more, which would end us with another exit code.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        server(receiver).run(sockets=[listener])
    return 0


def status_for(attempt: int, status: int, fail_first: int) -> int:
    """What an attempt is answered; one without a number (0) does not come from here, and is not made to fail."""
    return 500 if 0 < attempt <= fail_first else status


class Printer:
    """Prints what was received, a line each; the body indented below it."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._console = stdout()

    def show(self, received: "Received", answered: int) -> None:
        """Print one request and how it was answered."""
        if self._json:
            self._show_json(received, answered)
            return
        verified = {True: "✓ verified", False: f"✗ {received.why_not}", None: "not verified (no --secret)"}
        attempt = f" · attempt {received.attempt}" if received.attempt else ""
        lag = "" if received.lag_ms is None else f" · {received.lag_ms} ms after it was due"
        named = visible_line(f"{received.method} {received.path} · {received.id}")
        self._console.print(f"{named}{attempt}{lag}", soft_wrap=True)
        colour = {True: "green", False: "bold red", None: "dim"}[received.verified]
        self._console.print(f"  {verified[received.verified]} · answered {answered}", style=colour, soft_wrap=True)
        if received.body:
            text = received.body[:_SHOWN_BYTES_MAX].decode("utf-8", "replace")
            more = " …" if len(received.body) > _SHOWN_BYTES_MAX else ""
            indented = text.replace("\n", "\n    ")  # so that no body looks like the next request
            self._console.print(f"  {indented}{more}", style="dim", soft_wrap=True)

    def _show_json(self, received: "Received", answered: int) -> None:
        import msgspec

        document = {
            "id": received.id,
            "attempt": received.attempt,
            "method": received.method,
            "path": received.path,
            "verified": received.verified,
            "why_not": received.why_not,
            "lag_ms": received.lag_ms,
            "answered": answered,
            "body": received.body.decode("utf-8", "replace"),
        }
        print(visible_json(msgspec.json.encode(document).decode()), flush=True)
