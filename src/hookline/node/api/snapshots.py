"""``/internal/snapshot``: a copy of this node's state, for a node that lost its own and for backups.

Not part of the public API; described in docs/reference/internal-http.md.
"""

import asyncio
import re
from typing import BinaryIO

from hookline.errors import InvalidRequest, NotFound, RangeNotSatisfiable, Unavailable
from hookline.http_api.messages import ApiRequest, AsgiSend, HeaderPair, Reply, answer
from hookline.node.api.context import Api
from hookline.node.storage.snapshots import Snapshots
from hookline.telemetry.area_log import log_of

_MAX_AGE_S = 60
_CHUNK_BYTES = 256 * 1024
_SQLITE = b"application/vnd.sqlite3"
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")

_log = log_of("storage")


async def get_snapshot(api: Api, request: ApiRequest) -> Reply:
    """``GET /internal/snapshot``: what the newest holds; makes one if that is older than asked for."""
    query = request.query("at_least", "max_age", "undoubted")
    doubt = api.services.role.halted()
    if _number(query, "undoubted", 0) and doubt is not None:
        raise Unavailable(f"this node's state is in doubt, so no other node may install it: {doubt}")
    at_least = _number(query, "at_least", 0)
    applied = api.services.replica.applied
    if at_least > applied:
        raise Unavailable(f"this node has the log's entries up to {applied} only; ask another one")
    max_age_ms = _number(query, "max_age", _MAX_AGE_S) * 1_000
    snapshots = _snapshots(api)
    info = await snapshots.fresh(max_age_ms=max_age_ms, at_least=at_least)
    if info.index < at_least:  # it was already being made
        info = await snapshots.create()
    return answer(200, info)


async def read_snapshot(api: Api, request: ApiRequest) -> Reply:
    """``GET /internal/snapshot/{name}``: its bytes; ``Range: bytes=N-`` goes on after a break (RFC 9110 section 14)."""
    request.query()
    snapshots = _snapshots(api)
    file, info = await asyncio.to_thread(snapshots.open, request.path["name"])
    try:
        start, end = _range(request.header(b"range"), info.size)
    except BaseException:
        file.close()
        raise
    headers = [(b"accept-ranges", b"bytes"), (b"etag", b'"%b"' % info.sha256.encode())]
    whole = end - start == info.size
    if not whole:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, info.size)))
    return FileReply(200 if whole else 206, request, snapshots, file, (start, end), headers)


class FileReply(Reply):
    """A part of a file, sent in chunks as fast as the client takes them and the limit allows; closes the file."""

    __slots__ = ("_file", "_part", "_request", "_snapshots")

    def __init__(
        self,
        status: int,
        request: ApiRequest,
        snapshots: Snapshots,
        file: BinaryIO,
        part: tuple[int, int],
        headers: list[HeaderPair],
    ) -> None:
        super().__init__(status, headers=headers)
        self._request = request
        self._snapshots = snapshots
        self._file = file
        self._part = part

    async def send(self, send: AsgiSend, identity: list[HeaderPair]) -> None:
        start, end = self._part
        headers = [*identity, *self.headers]
        headers += ((b"content-type", _SQLITE), (b"content-length", b"%d" % (end - start)))
        with self._file:
            await send({"type": "http.response.start", "status": self.status, "headers": headers})
            if self._request.scope["method"] != "HEAD":
                await self._send_part(send)
            await send({"type": "http.response.body", "body": b""})

    async def _send_part(self, send: AsgiSend) -> None:
        start, end = self._part
        self._file.seek(start)
        async with asyncio.TaskGroup() as tasks:
            gone = tasks.create_task(self._request.disconnected())
            while start < end and not gone.done():
                chunk = await asyncio.to_thread(self._file.read, min(_CHUNK_BYTES, end - start))
                await self._snapshots.take_turn(len(chunk))
                start += len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            gone.cancel()


def _snapshots(api: Api) -> Snapshots:
    if api.services.snapshots is None:
        raise NotFound("this node gives out no snapshots")
    return api.services.snapshots


def _range(header: str | None, size: int) -> tuple[int, int]:
    """First and end (exclusive) of the bytes asked for; a range that is not understood is ignored, as the RFC says."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return 0, size
    start = int(match[1])
    end = min(int(match[2]) + 1, size) if match[2] else size
    if start >= size or end <= start:
        raise RangeNotSatisfiable(f"the file has {size} bytes", size=size)
    return start, end


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InvalidRequest(f"{name} must be a number", field=name)
    return int(text)
