"""An address, taken apart once. Pure."""

import base64
import re
from urllib.parse import quote, unquote, urlsplit

DEFAULT_URL = "http://127.0.0.1:7070"
_UNSEEN = re.compile(r"[\x00-\x20\x7f]")
_HOST = re.compile(r"[A-Za-z0-9._~-]+")
_PATH_SAFE = "/%:@!$&'()*+,;=-._~"


class Place:
    """The place of a service or a proxy: ``http(s)://[user:password@]host[:port][/path]``.

    Raises:
        ValueError: it is nothing like that.
    """

    def __init__(self, text: str) -> None:
        parts = urlsplit(text)  # raises ValueError
        port = parts.port  # so does this
        if parts.scheme not in ("http", "https") or _UNSEEN.search(text) or port == 0:
            raise ValueError(text)
        self.scheme = parts.scheme.encode()
        self.host = _encoded(parts.hostname or "")
        self.port = port
        self.path = quote(parts.path.rstrip("/"), safe=_PATH_SAFE).encode()
        self.user_and_password = _pair(parts.username, parts.password)
        named = b"[%s]" % self.host if b":" in self.host else self.host
        self.headers = [(b"Host", named if port is None else b"%s:%d" % (named, port))]
        if self.user_and_password is not None:
            pair = base64.b64encode(b":".join(self.user_and_password))
            self.headers.append((b"Authorization", b"Basic " + pair))


def _encoded(host: str) -> bytes:
    if ":" in host:
        from ipaddress import IPv6Address  # noqa: PLC0415  # hardly ever needed, and a start is to be quick

        return str(IPv6Address(host)).encode()
    if not host.isascii():
        import idna  # noqa: PLC0415  # of the HTTP library's; its tables take long to load

        return idna.encode(host.lower())  # its errors are ValueErrors
    if not _HOST.fullmatch(host):
        raise ValueError(host)
    return host.encode()


def _pair(user: str | None, password: str | None) -> tuple[bytes, bytes] | None:
    return None if user is None else (unquote(user).encode(), unquote(password or "").encode())
