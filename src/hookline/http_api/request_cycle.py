"""One request of a connection and its answer, as the app sees them through ASGI: uvicorn's, with less done for each."""

import re
from urllib.parse import unquote

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from hookline.http_api.heads import Refusal
from hookline.http_api.messages import AsgiMessage, AsgiScope, HeaderPair

_ASGI = {"version": "3.0", "spec_version": "2.3"}
# What cannot be in a line of a head, so that a value never makes a second one (RFC 9110, section 5.5).
_LINES = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9a-z]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")


def scope_of(
    method: bytes, version: str, url: bytes, headers: list[HeaderPair], client: tuple[str, int] | None
) -> AsgiScope:
    """Build the ASGI scope of a request from ``client``, (address, port). Raises HttpParserInvalidURLError."""
    target = httptools.parse_url(url)
    path = target.path.decode("ascii")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": version,
        "method": method.decode("ascii"),
        "scheme": "http",
        "path": unquote(path) if "%" in path else path,
        "raw_path": target.path,
        "query_string": target.query or b"",
        "root_path": "",
        "headers": headers,
        "client": client,
    }


_encode = msgspec.json.Encoder().encode


class RequestCycle(RequestResponseCycle):
    """Writes a head whose length is known at once; all else is left to uvicorn."""

    async def send(self, message: AsgiMessage) -> None:  # type: ignore[override]
        if self.response_started or self.disconnected or self.flow.write_paused:
            await super().send(message)  # type: ignore[arg-type]
            return
        headers = [*self.default_headers, *message["headers"]]
        length = next((value for name, value in headers if name == b"content-length"), None)
        if length is None:
            await super().send(message)  # type: ignore[arg-type]
            return
        head = self._head(message["status"], headers)
        self.response_started = True
        self.waiting_for_100_continue = False
        self.expected_content_length, self.chunked_encoding = int(length), False
        self.transport.write(head)

    def _head(self, status: int, headers: list[HeaderPair]) -> bytes:
        lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
        if _LINES.fullmatch(lines) is None or lines.count(b"\n") != len(headers):
            raise RuntimeError(f"these headers cannot be sent: {headers}")
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        return STATUS_LINE[status] + lines + end


def refusal_bytes(refusal: Refusal, identity: bytes) -> bytes:
    """The answer to what never becomes a request for the app; ``identity``: the lines that every answer carries."""
    problem = {
        "type": f"https://hookline.dev/errors/{refusal.code}",
        "title": STATUS_LINE[refusal.status][13:-2].decode(),
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail,
        "retryable": refusal.status == 503,
    }
    body = _encode(problem)
    retry_after = b"retry-after: 1\r\n" if refusal.status == 503 else b""
    fields = b"content-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    return STATUS_LINE[refusal.status] + identity + retry_after + fields % len(body) + body
