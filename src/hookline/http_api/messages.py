"""The request that handlers get, its body read within limits, and the reply of bytes that they give.

Plain ASGI underneath: Starlette's Request and Response cost more than the rest of a create.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from hookline.errors import InvalidJson, InvalidRequest, PayloadTooLarge, Unauthorized, UnsupportedMedia
from hookline.protocol.calls import Call
from hookline.protocol.limits import KIB, PAGE_DEFAULT, PAGE_MAX

if TYPE_CHECKING:
    from hookline.http_api.callers import ApiCaller

AsgiScope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
AsgiReceive = Callable[[], Any]
AsgiSend = Callable[[AsgiMessage], Any]
HeaderPair = tuple[bytes, bytes]

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"
_QUERY_FIELDS_MAX = 20
_LARGE_BYTES = 1024 * KIB
# What comes when nobody told curl or an HTTP library the type. Read as JSON, but not from a browser: there these types
# are what a foreign page may send without asking.
_UNTOLD_MEDIA = frozenset({None, b"application/x-www-form-urlencoded", b"text/plain", b"application/octet-stream"})

_encode = msgspec.json.Encoder().encode


class Disconnected(Exception):
    """The client went away before its request was complete."""


class Reply:
    """An answer on its way to the caller."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self, status: int, body: bytes = b"", content_type: bytes = JSON, headers: Iterable[HeaderPair] = ()
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers

    async def send(self, send: AsgiSend, identity: list[HeaderPair]) -> None:
        """Write the reply; ``identity`` are the headers every answer carries."""
        headers = [*identity, *self.headers]
        if self.status != 204:
            headers += (
                (b"content-type", self.content_type),
                (b"content-length", b"%d" % len(self.body)),
                (b"x-content-type-options", b"nosniff"),
            )
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def answer(status: int, value: object, headers: Iterable[HeaderPair] = ()) -> Reply:
    """A reply that carries ``value`` as JSON."""
    return Reply(status, _encode(value), JSON, headers)


class ApiRequest:
    """A request as it came in. Header names are lower-case bytes, path values are percent-decoded.

    Attributes:
        call: the row of the call that it makes.
        caller: who makes it.
        headers: those that the caller may send.

    ``body``: it is there already.
    """

    __slots__ = ("_body", "call", "caller", "headers", "path", "receive", "scope")

    def __init__(
        self,
        scope: AsgiScope,
        receive: AsgiReceive,
        call: Call,
        caller: "ApiCaller",
        headers: list[HeaderPair],
        body: bytes | None = None,
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.call = call
        self.caller = caller
        self.headers = headers
        self.path: dict[str, str] = scope.get("path_params", {})
        self._body = body

    def header(self, name: bytes) -> str | None:
        """The header's value as text. Raises InvalidRequest when it is there more than once."""
        return only_value(name, [value for known, value in self.headers if known == name])

    def wants_local(self) -> bool:
        """``?consistency=local``: this node's own state will do. The parameter is taken out of the query."""
        parts = self.scope["query_string"].split(b"&")
        kept = [part for part in parts if not part.startswith(b"consistency=")]
        asked = [part for part in parts if part.startswith(b"consistency=")]
        if asked not in ([b"consistency=local"], [b"consistency=linearizable"]):
            raise InvalidRequest("consistency must be local or linearizable", field="consistency")
        self.scope["query_string"] = b"&".join(kept)
        return asked == [b"consistency=local"]

    def query(self, *allowed: str) -> dict[str, str]:
        """The query parameters. Raises InvalidRequest for one that is not allowed, empty or there twice."""
        text = self.scope["query_string"]
        if not text:
            return {}
        try:
            pairs = parse_qsl(
                text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_QUERY_FIELDS_MAX
            )
        except ValueError as error:
            raise InvalidRequest("the query cannot be read; percent-encode it as UTF-8") from error
        found: dict[str, str] = {}
        for name, value in pairs:
            if name not in allowed:
                known = f"; it takes {', '.join(allowed)}" if allowed else ""
                raise InvalidRequest(f"this call has no query parameter {name[:80]!r}{known}", field=name[:80])
            if name in found or not value:
                raise InvalidRequest(f"the query parameter {name} is {'there twice' if value else 'empty'}", field=name)
            found[name] = value
        return found

    async def body(self) -> bytes:
        """The whole JSON body, at most what the call takes; what is longer is refused before it is read.

        Raises:
            PayloadTooLarge, UnsupportedMedia: by the headers, or as soon as too much has come.
        """
        limit = self.call.body_bytes_max
        self._check_body_headers(limit)
        return await self.whole_body(limit)

    async def whole_body(self, limit: int | None = None) -> bytes:
        """The body whatever its type, at most ``limit`` bytes, or what the call takes; can be asked for again.

        Empty for a call that takes none. Raises PayloadTooLarge; Unauthorized, when the caller has proven another one.
        """
        if not self.call.body_bytes_max:
            return b""
        limit = self.call.body_bytes_max if limit is None else limit
        if self._body is None:
            body = await self._read(limit)
            if self.caller.body is not None and await digest_of_body(body) != self.caller.body:
                raise Unauthorized
            self._body = body
        return _within(self._body, limit)

    def forget_body(self) -> None:
        """Nobody asks for it again."""
        self._body = b""

    async def _read(self, limit: int) -> bytes:
        message = await self.receive()
        first: bytes = self._part(message)
        if not message.get("more_body", False):
            return _within(first, limit)
        parts = bytearray(first)
        while message.get("more_body", False):
            message = await self.receive()
            parts += self._part(message)
            if len(parts) > limit:
                raise _too_large(limit)
        if len(parts) <= _LARGE_BYTES:
            return bytes(parts)
        await asyncio.sleep(0)  # copying it takes milliseconds, and so does what is done with it
        body = bytes(parts)
        await asyncio.sleep(0)
        return body

    async def disconnected(self) -> None:
        """Wait until the client has gone away, in a call that takes no body."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def no_body(self) -> None:
        """For calls that take none: an empty one or ``{}`` will do. Raises InvalidJson."""
        if (await self.body()).strip() not in (b"", b"{}"):
            raise InvalidJson("this call takes no body")

    def _is_from_browser(self) -> bool:
        """Browsers say where a page's request comes from."""
        return any(name in (b"origin", b"sec-fetch-site") for name, _ in self.headers)

    def _part(self, message: AsgiMessage) -> bytes:
        if message["type"] == "http.disconnect":
            raise Disconnected
        part: bytes = message.get("body", b"")
        return part

    def _check_body_headers(self, limit: int) -> None:
        media_type = None
        for name, value in self.headers:
            if name == b"content-length":
                if int(value) > limit:
                    raise _too_large(limit)
            elif name == b"content-type":
                media_type = value
            elif name == b"content-encoding" and value.strip().lower() not in (b"identity", b""):
                raise UnsupportedMedia("the body must not be compressed; leave Content-Encoding out")
        if media_type != JSON and not (media_type in _UNTOLD_MEDIA and not self._is_from_browser()):
            check_media_type(media_type or b"")


async def digest_of_body(body: bytes) -> bytes:
    """SHA-256 of a body, in hex; others are let in between while it is made of a large one."""
    view = memoryview(body)
    digest = hashlib.sha256(view[:_LARGE_BYTES])
    for start in range(_LARGE_BYTES, len(body), _LARGE_BYTES):
        await asyncio.sleep(0)
        digest.update(view[start : start + _LARGE_BYTES])
    return digest.hexdigest().encode()


def only_value(name: bytes, values: Sequence[bytes]) -> str | None:
    """The one value of that header as text. Raises InvalidRequest when there are more."""
    if not values:
        return None
    if len(values) > 1:
        text = name.decode("latin-1")
        raise InvalidRequest(f"the header {text} is there more than once", field=text)
    return values[0].decode("latin-1")


def whole_number(text: str, name: bytes, digits_max: int) -> int:
    """The value of a header that holds a whole number. Raises InvalidRequest."""
    if not (text.isascii() and text.isdigit() and len(text) <= digits_max):
        shown = name.decode("latin-1")
        raise InvalidRequest(f"the header {shown} must be a number of at most {digits_max} digits", field=shown)
    return int(text)


def check_media_type(value: bytes) -> None:
    """Raise UnsupportedMedia unless it is JSON in UTF-8."""
    media, *parameters = (part.strip().lower() for part in value.split(b";"))
    if media != JSON and not (media.startswith(b"application/") and media.endswith(b"+json")):
        raise UnsupportedMedia("the Content-Type must be application/json")
    for parameter in parameters:
        name, _, text = parameter.partition(b"=")
        if name.strip() == b"charset" and text.strip().strip(b'"') not in (b"utf-8", b"utf8"):
            raise UnsupportedMedia("the charset must be utf-8")


def page_limit(query: dict[str, str], default: int = PAGE_DEFAULT, largest: int = PAGE_MAX, name: str = "limit") -> int:
    """The page size asked for. Raises InvalidRequest unless it is from 1 to ``largest``."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= largest):
        raise InvalidRequest(f"{name} must be a number from 1 to {largest}", field=name)
    return int(text)


def scope_of(what: str, request: ApiRequest) -> str:
    """The list that a cursor belongs to: a tenant's own one."""
    tenant = request.caller.tenant
    return f"{what} of {tenant}" if tenant else what


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body of this call may have at most {limit} bytes", limit=limit)
