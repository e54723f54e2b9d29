"""Gets a copy of the state from another node: asks one after the other, goes on after a break, believes nothing."""

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Self

import msgspec
import structlog
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from hookline.errors import HooklineError, NotEnoughSpace, SnapshotUnavailable
from hookline.node.snapshots import SnapshotInfo, require_space, space_for, verify
from hookline.node.state_machine.machine import SCHEMA_VERSION

PATH = "/internal/snapshot"
_MAKING_S = 600  # the other node may have to write the whole file first
_PAUSE_S_MAX = 30  # without a byte
_TRIES_IN_VAIN = 5
_WAIT_S = 0.1

_log = structlog.get_logger()
_decode_info = msgspec.json.Decoder(SnapshotInfo).decode
_decode_problem = msgspec.json.Decoder(dict[str, object]).decode


async def fetch_snapshot(
    urls: Sequence[str],
    directory: Path,
    *,
    at_least: int = 0,
    max_age_s: int = 60,
    is_undoubted: bool = False,
    is_wanted: Callable[[SnapshotInfo], bool] = lambda _info: True,
    progress: Callable[[int, int], None] = lambda _have, _size: None,
) -> tuple[Path, SnapshotInfo]:
    """A verified snapshot of the first node that has one, in ``directory``.

    What an earlier call has left of the same snapshot is used, what is left of others is removed.

    Args:
        urls: of the nodes, in the order to ask them; a follower has more time for it than the leader.
        directory: for nothing else, made when missing; to install what comes, on the data directory's file system.
        at_least: the log entry it has to hold.
        max_age_s: how old it may be.
        is_undoubted: not of a node that waits for a person, or for votes, because its own state may be wrong.
        is_wanted: whether it is of the right cluster, and of the right time of that.
        progress: called with (bytes there, bytes in all).

    Returns:
        The file and what it holds.

    Raises:
        NotEnoughSpace: here. Nothing was written, or what was written stays, to go on with.
        SnapshotUnavailable: no node gave one; says each node's reason.
    """
    reasons = []
    for url in urls:
        try:
            async with _Source(url.rstrip("/"), directory, is_wanted, progress) as source:
                return await source.fetch(f"?at_least={at_least}&max_age={max_age_s}&undoubted={int(is_undoubted)}")
        except NotEnoughSpace:
            raise
        except HooklineError as error:
            _log.warning("snapshot_not_fetched", url=url, error=error.detail)
            reasons.append(f"{url}: {error.detail}")
    raise SnapshotUnavailable("; ".join(reasons) or "no other node is known")


class _Source:
    """One node that is asked."""

    def __init__(
        self,
        url: str,
        directory: Path,
        is_wanted: Callable[[SnapshotInfo], bool],
        progress: Callable[[int, int], None],
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._url = url
        self._directory = directory
        self._is_wanted = is_wanted
        self._progress = progress
        # Two clients, for the pause between two reads is limited only where bytes should come at once.
        self._asking = _client().timeout(timedelta(seconds=_MAKING_S)).build()
        self._reading = _client().read_timeout(timedelta(seconds=_PAUSE_S_MAX)).build()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._asking.close()
        await self._reading.close()

    async def fetch(self, query: str) -> tuple[Path, SnapshotInfo]:
        for _ in range(_TRIES_IN_VAIN):
            info = await self._ask(query)
            if info.version != SCHEMA_VERSION:
                raise SnapshotUnavailable(f"its state has schema {info.version}, this release knows {SCHEMA_VERSION}")
            if not self._is_wanted(info):
                raise SnapshotUnavailable(
                    f"its state is of cluster {info.cluster} (id {info.cluster_id[:8]}), generation {info.generation}, "
                    "and not of the log that etcd holds"
                )
            partial = self._directory / f"{info.name}.partial"
            self._remove_others(partial)
            require_space(self._directory, space_for(info.size, have=_size(partial)))
            if await self._download(info, partial):
                return await self._checked(info, partial), info
        raise SnapshotUnavailable("it drops its snapshots faster than they can be read")

    async def _ask(self, query: str) -> SnapshotInfo:
        try:
            response = await self._asking.get(self._url + PATH + query).build().send()
            body = (await response.bytes()).to_bytes()
        except PyreqwestError as error:
            raise SnapshotUnavailable(_reason(error)) from error
        if response.status != 200:
            raise SnapshotUnavailable(_detail(response.status, body))
        try:
            info = _decode_info(body)
        except msgspec.MsgspecError as error:
            raise SnapshotUnavailable(f"its answer cannot be read: {error}") from error
        if not info.name.replace("-", "").isalnum():
            raise SnapshotUnavailable(f"its snapshot has the name {info.name!r}")
        return info

    async def _download(self, info: SnapshotInfo, partial: Path) -> bool:
        """Until all is there; False when the node no longer has this snapshot."""
        in_vain = 0
        while (have := _size(partial)) < info.size:
            reason = "the answer ended early"
            try:
                if not await self._read_on(info, partial, have):
                    return False
            except PyreqwestError as error:
                reason = _reason(error)
            in_vain = in_vain + 1 if _size(partial) <= have else 0
            if in_vain == _TRIES_IN_VAIN:
                raise SnapshotUnavailable(reason)
            if _size(partial) < info.size:
                _log.info("snapshot_broken_off", url=self._url, have=_size(partial), size=info.size, error=reason)
                await asyncio.sleep(_WAIT_S * 2**in_vain)
        return True

    async def _read_on(self, info: SnapshotInfo, partial: Path, have: int) -> bool:
        request = self._reading.get(f"{self._url}{PATH}/{info.name}").header("range", f"bytes={have}-")
        # Without a buffer, whose content would be lost when the connection breaks.
        async with request.streamed_read_buffer_limit(0).build_streamed() as response:
            if response.status == 404:
                return False
            if response.status not in (200, 206):
                raise SnapshotUnavailable(f"it answered {response.status}")
            if response.status == 200:
                have = 0
            with _opened_at(partial, have) as file:
                while have < info.size and (chunk := await response.body_reader.read_chunk()):
                    data = chunk.to_bytes()[: info.size - have]
                    await asyncio.to_thread(_write, partial, file.write, data)
                    have += len(data)
                    self._progress(have, info.size)
        return True

    async def _checked(self, info: SnapshotInfo, partial: Path) -> Path:
        try:
            await asyncio.to_thread(verify, partial, info)
        except HooklineError:
            os.unlink(partial)  # going on with it would be in vain
            raise
        whole = partial.with_suffix(".db")
        os.rename(partial, whole)
        return whole

    def _remove_others(self, kept: Path) -> None:
        for file in self._directory.iterdir():
            if file != kept:
                file.unlink()


def _client() -> ClientBuilder:
    return ClientBuilder().http1_only().no_proxy().follow_redirects(False).connect_timeout(timedelta(seconds=3))


def _opened_at(path: Path, position: int) -> BinaryIO:
    """To go on writing there; what came after it is cut off."""
    path.touch()
    file = path.open("r+b")
    file.seek(position)
    file.truncate()
    return file


def _write(partial: Path, write: Callable[[bytes], int], data: bytes) -> None:
    try:
        write(data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotEnoughSpace(
                f"the disk of {partial.parent} filled up while a snapshot was fetched; make room"
            ) from error
        raise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: PyreqwestError) -> str:
    details = getattr(error, "details", None) or {}
    causes = details.get("causes") or []
    return str(causes[-1]["message"]) if causes else error.message


def _detail(status: int, body: bytes) -> str:
    try:
        return f"it answered {status}: {_decode_problem(body)['detail']}"
    except (msgspec.MsgspecError, KeyError):
        return f"it answered {status}"
