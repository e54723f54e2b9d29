"""The bytes of a request, as it was given. Pure.

Source: RFC 9112 (HTTP/1.1), RFC 9110 section 8.6 (Content-Length).
"""

import re
from collections.abc import Sequence

from hookline.errors import HooklineError
from hookline.protocol.limits import KIB

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE = rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?"  # no white space around it, no control character
_HEAD = re.compile(rb"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:" + _TOKEN + rb": " + _VALUE + rb"\r\n)+")
_LARGE_BYTES = 64 * KIB  # joining such a body with its head would copy too much
_WANT_A_LENGTH = frozenset({"POST", "PUT", "PATCH"})  # they say that they have no body, too


class Unsendable(HooklineError):
    """The request has a character that HTTP cannot carry, so it can never be sent as it was given."""

    code = "unsendable"


def request_parts(
    method: str, path: str, host: str, headers: Sequence[tuple[bytes, bytes]], body: bytes = b""
) -> tuple[bytes, ...]:
    """The whole request, in one part unless its body is large; nothing that was given is changed.

    Args:
        method: upper case.
        path: with query, percent-encoded; begins with a slash.
        host: what the ``Host`` header says.
        headers: in their order; without ``Host`` and what belongs to the connection.
        body: sent with its length.

    Raises:
        Unsendable: it would not be one request, or not this one.
    """
    lines = b"".join([b"%b: %b\r\n" % pair for pair in headers])
    return _parts(method, path, host, lines, len(headers), body)


def text_request_parts(
    method: str, path: str, host: str, headers: Sequence[tuple[str, str]], body: bytes = b""
) -> tuple[bytes, ...]:
    """The same for headers that are text. Raises UnicodeEncodeError when they are not ASCII."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("ascii")
    return _parts(method, path, host, lines, len(headers), body)


def _parts(method: str, path: str, host: str, lines: bytes, count: int, body: bytes) -> tuple[bytes, ...]:
    length = b"Content-Length: %d\r\n" % len(body) if body or method in _WANT_A_LENGTH else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n".encode() + lines + length
    has_one_line_each = head.count(b"\n") == 2 + count + bool(length)
    if not has_one_line_each or _HEAD.fullmatch(head) is None:
        raise Unsendable("the method, the url or a header has a character that HTTP cannot carry")
    if len(body) > _LARGE_BYTES:
        return head + b"\r\n", body
    return (head + b"\r\n" + body,)
