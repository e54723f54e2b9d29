"""Shows what ``hookline listen`` received: for people, or as one JSON object a line."""

import base64
from typing import NamedTuple

import msgspec

from hookline.cli.output import stdout
from hookline.cli.receiver import Received, ReceiverReply, joined
from hookline.visible import visible_json, visible_line

_SHOWN_BYTES_MAX = 500
_REASON_CHARS_MAX = 120


class ReceivedFilter(NamedTuple):
    """Says which requests are printed: those that meet all.

    Attributes:
        path: its path begins with this.
        text: this stands in its path, headers or body, in capitals or not.
        only_failed: it is not verified, or answered 400 or more.
    """

    path: str | None = None
    text: str | None = None
    only_failed: bool = False

    def has(self, received: Received, reply: ReceiverReply) -> bool:
        """Whether this one is printed."""
        if self.path is not None and not received.target.startswith(self.path):
            return False
        if self.only_failed and received.verified is not False and reply.status < 400:
            return False
        return self.text is None or self.text.casefold() in _all_text(received).casefold()


ALL_RECEIVED = ReceivedFilter()


class ReceivedPrinter:
    """Prints what was received and what was answered.

    Args:
        which: those that are printed.
        json: one object a line, with everything in it.
        headers: show them, too.
    """

    def __init__(self, which: ReceivedFilter = ALL_RECEIVED, *, json: bool, headers: bool = False) -> None:
        self._which = which
        self._json = json
        self._headers = headers
        self._console = stdout()

    def show(self, received: Received, reply: ReceiverReply) -> None:
        """Print one request and how it was answered."""
        if not self._which.has(received, reply):
            return
        if self._json:
            print(visible_json(msgspec.json.encode(_document(received, reply)).decode()), flush=True)
        else:
            self._show_text(received, reply)

    def _show_text(self, received: Received, reply: ReceiverReply) -> None:
        verified = {True: "✓ verified", False: f"✗ {received.why_not}", None: "not verified (no --secret)"}
        attempt = f" · attempt {received.attempt}" if received.attempt else ""
        lag = "" if received.lag_ms is None else f" · {received.lag_ms} ms after it was due"
        if received.is_replay:
            attempt, lag = f" · replay of attempt {received.attempt}", ""
        named = visible_line(f"{received.method} {received.target} · {received.id}")
        self._print(f"{named}{attempt}{lag}", "bold")
        said = _text(reply.body).strip().partition("\n")[0][:_REASON_CHARS_MAX]
        why = f": {visible_line(said)}" if reply.status >= 500 and said else ""
        self._print(f"  {verified[received.verified]} · answered {reply.status}{why}", _colour(received, reply))
        if self._headers:
            for name, value in received.headers:
                self._print(visible_line(f"  {name.decode('latin-1')}: {value.decode('latin-1')}"), "cyan")
        if received.body:
            # Indented, so that no body looks like the next request.
            self._print(f"  {_text(received.body)}".replace("\n", "\n    "), "dim")

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, soft_wrap=True)


def _colour(received: Received, reply: ReceiverReply) -> str:
    """The worse of the two: is it verified, and how was it answered?"""
    if received.verified is False or reply.status >= 500:
        return "bold red"
    if reply.status >= 400:
        return "yellow"
    return "green" if received.verified else "dim"


def _all_text(received: Received) -> str:
    headers = "\n".join(f"{name}: {value}" for name, value in joined(received.headers).items())
    return f"{received.target}\n{headers}\n{received.body.decode('utf-8', 'replace')}"


def _text(body: bytes) -> str:
    more = " …" if len(body) > _SHOWN_BYTES_MAX else ""
    return body[:_SHOWN_BYTES_MAX].decode("utf-8", "replace") + more


def _document(received: Received, reply: ReceiverReply) -> dict[str, object]:
    path, _, query = received.target.partition("?")
    try:
        body: dict[str, str | None] = {"body": received.body.decode()}
    except UnicodeDecodeError:
        body = {"body": None, "body_base64": base64.b64encode(received.body).decode()}
    return {
        "id": received.id,
        "attempt": received.attempt,
        "replay": received.is_replay,
        "method": received.method,
        "path": path,
        "query": query,
        "headers": joined(received.headers),
        "verified": received.verified,
        "why_not": received.why_not,
        "lag_ms": received.lag_ms,
        "answered": reply.status,
        **body,
    }
