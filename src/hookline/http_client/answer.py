"""Reads one answer from bytes as they come. Pure.

Lenient where the receiver has done its work: the status line decides, odd header lines are made readable or dropped.
Strict where it is about us: the number of interim answers, the size of a head and of a body are bounded.

Source: RFC 9112 (status line, header lines, framing), RFC 9110 section 15.2 (interim answers).
"""

import re
from typing import Final

import httptools
import msgspec

from hookline.errors import HooklineError
from hookline.protocol.limits import RESPONSE_HEADER_BYTES_MAX

INTERIM_MAX: Final = 10
_OVERHEAD: Final = 64 * 1024  # of a chunked body: sizes, extensions, trailers; then as much again as the body
_END_OF_LINE = re.compile(rb"\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/([0-9])(?:\.([0-9]))?[ \t]+([1-9][0-9]{2})(?:[ \t][^\n]*)?(?:\r?\n|\r?\Z)")
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_NAME = re.compile(_TOKEN)
_PLAIN_LINES = re.compile(rb"(?:" + _TOKEN + rb":[^\r\n]*(?:\r\n|\Z))*")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_NO_BODY = frozenset({204, 304})

Header = tuple[bytes, bytes]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An answer, as far as it came.

    Attributes:
        status: of the final answer.
        headers: names in lower case, values without white space around them.
        body: as far as it was wanted and came.
        is_whole: all of the body is there.
    """

    status: int
    headers: list[Header]
    body: bytes
    is_whole: bool

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name."""
        return next((value for known, value in self.headers if known == name), None)


class BadAnswer(HooklineError):
    """The server sent something that is not an answer, or more than an answer may be."""

    code = "bad_answer"


class AnswerReader:
    """Takes the bytes of one answer.

    Args:
        is_head: the request was HEAD, so no body follows.
        body_max: bytes to read of the body; the answer is complete then. None: all.

    Attributes:
        status: None until the final head is there.
        has_begun: a byte has come.
        is_complete: nothing more is wanted.
        is_reusable: the connection can carry the next request; to be asked when it is complete.
    """

    __slots__ = (
        "_body_max",
        "_chunks",
        "_head",
        "_headers",
        "_interim",
        "_is_chunked",
        "_is_head",
        "_is_whole",
        "_left",
        "_parts",
        "_read",
        "_searched",
        "has_begun",
        "is_complete",
        "is_reusable",
        "status",
    )

    def __init__(self, *, is_head: bool = False, body_max: int | None = None) -> None:
        self._is_head = is_head
        self._body_max = body_max
        self._head = b""
        self._searched = 0
        self._interim = 0
        self._headers: list[Header] = []
        self._parts: list[bytes] = []
        self._read = 0
        self._left: int | None = None  # bytes of the body to come; None: until the connection ends
        self._chunks: _Chunks | None = None
        self._is_chunked = False
        self.status: int | None = None
        self.has_begun = False
        self.is_complete = False
        self.is_reusable = False
        self._is_whole = False

    def answer(self) -> Answer:
        """Gives the answer as far as it has come. The final head must be there."""
        assert self.status is not None
        return Answer(self.status, self._headers, b"".join(self._parts), self._is_whole)

    def feed(self, data: bytes) -> bool:
        """Take what came; whether the answer is complete. Raises BadAnswer."""
        self.has_begun = True
        while data and self.status is None:
            data = self._feed_head(data)
        if self.status is not None and not self.is_complete:
            self._feed_body(data)
        elif data:
            self.is_reusable = False  # more than was asked for
        return self.is_complete

    def end(self) -> None:
        """The connection has ended. Without a head there is no answer."""
        self.is_reusable = False
        if self.status is not None and not self.is_complete:
            self.is_complete = True
            self._is_whole = self._left is None and not self._is_chunked

    # --- head ---------------------------------------------------------------------------------------------------

    def _feed_head(self, data: bytes) -> bytes:
        """Add to the head; what follows it is returned."""
        head = self._head + data[: RESPONSE_HEADER_BYTES_MAX + 4] if self._head else data
        begin = len(head) - len(head.lstrip(b"\r\n")) if head[:1] in b"\r\n" else 0  # some send an empty line first
        end, after = _end_of_head(head, max(begin, self._searched - 3))
        if (end if after else len(head)) > RESPONSE_HEADER_BYTES_MAX:
            raise BadAnswer(f"the head of the answer is larger than {RESPONSE_HEADER_BYTES_MAX} bytes")
        if not after:
            self._head, self._searched = head, len(head)
            return b""
        rest = data[after - len(self._head) :]
        self._head, self._searched = b"", 0
        self._read_head(head[:end])
        return rest

    def _read_head(self, head: bytes) -> None:
        head = head.strip(b"\r\n")
        match = _STATUS_LINE.match(head)
        if match is None:
            first = _END_OF_LINE.split(head, 1)[0]
            raise BadAnswer(f"this is not HTTP: {first[:60].decode('latin-1')!r}")
        status = int(match[3])
        if status == 101:
            raise BadAnswer("the answer is 101, a change of protocol that was not asked for")
        if status < 200:
            self._interim += 1
            if self._interim > INTERIM_MAX:
                raise BadAnswer(f"more than {INTERIM_MAX} interim answers (1xx) came")
            return
        self.status = status
        self._headers, is_odd = _headers(head[match.end() :])
        self._choose_framing(status, is_old=match[1] == b"1" and match[2] == b"0", is_odd=is_odd)

    def _choose_framing(self, status: int, *, is_old: bool, is_odd: bool) -> None:
        lengths: set[bytes] = set()
        codings: list[bytes] = []
        options: list[bytes] = []  # of the connection
        for name, value in self._headers:
            if name == b"content-length":
                lengths.update(part.strip() for part in value.split(b","))
            elif name == b"transfer-encoding":
                codings.append(value.lower())
            elif name == b"connection":
                options += (option.strip() for option in value.lower().split(b","))
        stays = b"keep-alive" in options if is_old else b"close" not in options
        self.is_reusable = stays and not is_odd
        if self._is_head or status in _NO_BODY:
            self._finish()
        elif codings:
            self._is_chunked = codings[-1].endswith(b"chunked")
            self._chunks = _Chunks() if codings == [b"chunked"] else None
            self.is_reusable = self.is_reusable and self._chunks is not None and not lengths
        elif len(lengths) == 1 and _DIGITS.fullmatch(length := lengths.pop()):
            self._left = int(length)
            if self._left == 0:
                self._finish()
        else:
            self.is_reusable = False  # it ends with the connection

    # --- body ---------------------------------------------------------------------------------------------------

    def _feed_body(self, data: bytes) -> None:
        if self._chunks is not None:
            self._feed_chunks(self._chunks, data)
        elif self._left is None:
            self._take(data)
        else:
            if len(data) > self._left:
                data, self.is_reusable = data[: self._left], False
            self._left -= len(data)
            self._take(data)
            if self._left == 0 and not self.is_complete:
                self._finish()

    def _feed_chunks(self, chunks: "_Chunks", data: bytes) -> None:
        is_sound = chunks.feed(data)
        self._take(chunks.taken())
        if self.is_complete:
            return
        if chunks.is_complete:
            self.is_reusable = self.is_reusable and is_sound
            self._finish()
        elif not is_sound or chunks.wire_bytes > _OVERHEAD + 2 * self._read:
            self.is_complete, self.is_reusable = True, False

    def _take(self, data: bytes) -> None:
        if self._body_max is not None and self._read + len(data) > self._body_max:
            data = data[: self._body_max - self._read]
            self.is_complete, self.is_reusable = True, False
        if data:
            self._read += len(data)
            self._parts.append(data)

    def _finish(self) -> None:
        self.is_complete = self._is_whole = True


class _Chunks:
    """Takes a chunked body apart; the parser gets a head of our own, so that it sees the body only.

    Trailers are not headers (RFC 9110 section 6.5.1) and left out.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._messages = 0
        self.wire_bytes = 0
        self.is_complete = False
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    def feed(self, data: bytes) -> bool:
        """False when the bytes are not chunks, or go on behind the last one."""
        self.wire_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            return False
        return self._messages == 1

    def taken(self) -> bytes:
        """Gives the bytes that came since it was asked last."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken

    def on_message_begin(self) -> None:
        """Of httptools."""
        self._messages += 1

    def on_body(self, data: bytes) -> None:
        """Of httptools."""
        if not self.is_complete:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        """Of httptools."""
        self.is_complete = True


def _end_of_head(head: bytes, start: int) -> tuple[int, int]:
    """(Where the last line ends, where the body begins), at the first empty line from ``start``; (-1, 0): none yet."""
    at = head.find(b"\n\r\n", start)
    bare = head.find(b"\n\n", start, at if at >= 0 else len(head))
    if bare >= 0:
        return bare, bare + 2
    return at, at + 3 if at >= 0 else 0


def _headers(head: bytes) -> tuple[list[Header], bool]:
    """The headers, and whether a line was odd."""
    if not head:
        return [], False
    if _PLAIN_LINES.fullmatch(head) is None:
        return _odd_headers(_END_OF_LINE.split(head))
    pairs = [line.partition(b":") for line in head.split(b"\r\n")]
    return [(name.lower(), value.strip(b" \t")) for name, _, value in pairs], False


def _odd_headers(lines: list[bytes]) -> tuple[list[Header], bool]:
    """The same for any lines.

    A folded line goes on with the one before it (RFC 9112 section 5.2). A line that names no header is dropped.
    """
    headers: list[Header] = []
    is_odd = False
    folds = False  # whether a line that begins with white space goes on with a header
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            is_odd = True
            if folds:
                name, value = headers[-1]
                headers[-1] = (name, (value + b" " + line.strip(b" \t")).strip(b" \t"))
            continue
        name, colon, value = line.partition(b":")
        trimmed = name.rstrip(b" \t")
        folds = bool(colon) and _NAME.fullmatch(trimmed) is not None
        if folds:
            headers.append((trimmed.lower(), value.strip(b" \t")))
        is_odd = is_odd or not folds or trimmed != name
    return headers, is_odd
