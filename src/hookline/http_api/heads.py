"""The head of a request: what is refused in it, because it is too large, or because two readers could differ. Pure."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from hookline.protocol.limits import KIB

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
WHITE = b" \t"  # may stand around the value of a header, and is not a part of it (RFC 9110, section 5.5)

_SHOWN_CHARS = 80
_HOST = re.compile(rb"(\[[0-9a-f:.]+\]|[^\s:\[\]]+?)\.?(?::[0-9]*)?")
# For all who read the request, so that a Connection header cannot name them (RFC 9110, section 7.6.1): the next hop
# would drop what this one obeys.
_END_TO_END = frozenset(
    {b"accept", b"authorization", b"cookie", b"date", b"expect", b"host", b"idempotency-key", b"origin"}
    | {b"traceparent", b"tracestate", b"transfer-encoding"}
)
_END_TO_END_PREFIXES = (b"hookline-", b"content-", b"sec-")


class Refusal(NamedTuple):
    """An answer before there is a request for the app."""

    status: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class HeadRules:
    """Bounds of a head.

    Attributes:
        bytes_max: request line and headers.
        headers_max: their number.
        hosts: names that a Host header may have, as ``host_name`` gives them; None: any.
    """

    bytes_max: int = 64 * KIB
    headers_max: int = 1_000
    hosts: frozenset[bytes] | None = None

    def refusal(
        self, method: bytes, version: str, url: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> Refusal | None:
        """Why this head is refused; None: it is not. Header names are in lower case, values without white space."""
        size = len(url)
        hosts: list[bytes] = []
        for name, value in headers:
            size += len(name) + len(value) + 4
            if name == b"host":
                hosts.append(value)
            elif name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
                return _invalid("the only Transfer-Encoding taken is chunked, in HTTP/1.1")
            elif name == b"connection" and (named := _end_to_end_name(value)) is not None:
                return _invalid(f"Connection names {named}, which is not of one connection; leave it out there")
            if not value.isascii() and not _is_utf8(value):  # what is, can be passed on byte for byte
                code = "invalid_id" if name == b"idempotency-key" else "invalid_header"  # as any other bad key
                shown = name[:_SHOWN_CHARS].decode()
                return Refusal(400, code, f"the value of the header {shown} is not UTF-8")
        if size > self.bytes_max or len(headers) > self.headers_max:
            return self.too_large()
        if method == b"CONNECT":
            return _invalid("this server is not a proxy")
        if version not in ("1.0", "1.1"):
            return _invalid("this server speaks HTTP/1.1")
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            return _invalid("a request needs exactly one Host header (RFC 9112)")
        return self._foreign(hosts[0]) if hosts and self.hosts is not None else None

    def too_large(self) -> Refusal:
        """A head without measure; trailers and the sizes of chunks count too."""
        return Refusal(
            431,
            "invalid_header",
            f"request line and headers may have at most {self.bytes_max} bytes together and be at most"
            f" {self.headers_max}, with what stands between and behind the chunks of a body",
        )

    def _foreign(self, host: bytes) -> Refusal | None:
        """A name that is not ours: a web page of that name has had the browser look it up as a loopback address."""
        name = host_name(host)
        if name is not None and self.hosts is not None and name in self.hosts:
            return None
        shown = host[:_SHOWN_CHARS].decode("utf-8", "replace")
        return Refusal(
            403,
            "host_not_allowed",
            f"a server at a loopback address answers to {', '.join(LOOPBACK_NAMES)}, not to {shown!r}; if that name is"
            " yours, start it with --allow-hosts and the name",
        )


@lru_cache(maxsize=256)
def host_name(host: bytes) -> bytes | None:
    """The name in a Host header, in lower case, without port and final dot; None when it has none."""
    found = _HOST.fullmatch(host.lower())
    return None if found is None else found[1]


def hosts_allowed(address: str, names: Iterable[str] = ()) -> frozenset[bytes] | None:
    """The names that a server at ``address`` answers to; None: to any, as it is not a loopback address."""
    own = ipaddress.ip_address(address)
    if not own.is_loopback:
        return None
    literal = f"[{own}]" if own.version == 6 else str(own)
    return frozenset(name for text in (*LOOPBACK_NAMES, literal, *names) if (name := host_name(text.encode())))


def _end_to_end_name(connection: bytes) -> str | None:
    for token in connection.lower().split(b","):
        name = token.strip(WHITE)
        if name in _END_TO_END or name.startswith(_END_TO_END_PREFIXES):
            return name[:_SHOWN_CHARS].decode("utf-8", "replace")
    return None


def _invalid(detail: str) -> Refusal:
    return Refusal(400, "invalid_request", detail)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
