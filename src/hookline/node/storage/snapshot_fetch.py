"""Gets a copy of the state from another node: asks one after the other, goes on after a break, believes nothing."""

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from hookline.errors import HooklineError, NotEnoughSpace, SnapshotUnavailable, StateDamaged, Unauthorized
from hookline.http_api.messages import HeaderPair
from hookline.node.state_machine.machine import SCHEMA_VERSION
from hookline.node.storage.snapshots import SnapshotInfo, require_space, space_for, verify
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS
from hookline.telemetry.area_log import log_of
from hookline.visible import without_password

PATH = CALLS["describeSnapshot"].path
_MAKING_S = 600  # the other node may have to write the whole file first
_PART_BYTES = 1024 * 1024  # asked for at once, so that no more is lost when a connection breaks
_PART_S = 30
_TRIES_IN_VAIN = 5
_WAIT_S = 0.1

_log = log_of("storage")
_decode_info = msgspec.json.Decoder(SnapshotInfo).decode
_decode_problem = msgspec.json.Decoder(dict[str, object]).decode


async def fetch_snapshot(
    sender: Sender,
    urls: Sequence[str],
    directory: Path,
    *,
    at_least: int = 0,
    max_age_s: int = 60,
    is_undoubted: bool = False,
    is_wanted: Callable[[SnapshotInfo], bool] = lambda _info: True,
    progress: Callable[[int, int], None] = lambda _have, _size: None,
    shown: tuple[HeaderPair, ...] = (),
) -> tuple[Path, SnapshotInfo]:
    """A verified snapshot of the first node that has one, in ``directory``.

    What an earlier call has left of the same snapshot is used, what is left of others is removed.

    Args:
        sender: to them.
        urls: of the nodes, in the order to ask them; a follower has more time for it than the leader.
        directory: for nothing else, made when missing; to install what comes, on the data directory's file system.
        at_least: the log entry it has to hold.
        max_age_s: how old it may be.
        is_undoubted: not of a node that waits for a person, or for votes, because its own state may be wrong.
        is_wanted: whether it is of the right cluster, and of the right time of that.
        progress: called with (bytes there, bytes in all).
        shown: an API key, where ``sender`` proves nothing.

    Returns:
        The file and what it holds.

    Raises:
        NotEnoughSpace: here. Nothing was written, or what was written stays, to go on with.
        SnapshotUnavailable: no node gave one; says each node's reason.
    """
    reasons = []
    query = f"?at_least={at_least}&max_age={max_age_s}&undoubted={int(is_undoubted)}"
    for url in urls:
        try:
            return await _Source(sender, url.rstrip("/"), directory, is_wanted, progress, shown).fetch(query)
        except NotEnoughSpace:
            raise
        except HooklineError as error:
            _log.warning("snapshot_not_fetched", url=without_password(url), error=error.detail)
            reasons.append(f"{without_password(url)}: {error.detail}")
    raise SnapshotUnavailable("; ".join(reasons) or "no other node is known")


class _Source:
    """One node to fetch from."""

    def __init__(
        self,
        sender: Sender,
        url: str,
        directory: Path,
        is_wanted: Callable[[SnapshotInfo], bool],
        progress: Callable[[int, int], None],
        shown: tuple[HeaderPair, ...],
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._url = url
        self._directory = directory
        self._is_wanted = is_wanted
        self._progress = progress
        self._sender = sender
        self._shown = shown

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
            require_space(self._directory.parent, space_for(info.size, have=_size(partial)))
            if await self._download(info, partial):
                return await self._checked(info, partial), info
        raise SnapshotUnavailable("it drops its snapshots faster than they can be read")

    async def _ask(self, query: str) -> SnapshotInfo:
        try:
            answer = await self._sender.send(self._url, NodeCall("GET", PATH + query, self._shown), _MAKING_S)
        except (NotSent, Unclear) as error:
            raise SnapshotUnavailable(self._reason(error)) from error
        if answer.status == 404:
            raise SnapshotUnavailable(
                "it gives no copy of its state; ask a node, not a proxy, and at its --listen-internal if it has one"
            )
        if answer.code == Unauthorized.code:
            raise SnapshotUnavailable("it wants a key with the scope admin, or that of the nodes, which seals secrets")
        if answer.status != 200:
            raise SnapshotUnavailable(_detail(answer.status, answer.body))
        try:
            info = _decode_info(answer.body)
        except msgspec.MsgspecError as error:
            raise SnapshotUnavailable(f"its answer cannot be read: {error}") from error
        if not info.name.replace("-", "").isalnum():
            raise SnapshotUnavailable(f"its snapshot has the name {info.name!r}")
        return info

    async def _download(self, info: SnapshotInfo, partial: Path) -> bool:
        """Until all is there; False when the node no longer has this snapshot."""
        in_vain = 0
        while (have := _size(partial)) < info.size:
            try:
                answer = await self._part(info, have)
            except (NotSent, Unclear) as error:
                reason = self._reason(error)
            else:
                if answer.status == 404:
                    return False
                if answer.status not in (200, 206):
                    raise SnapshotUnavailable(f"it answered {answer.status}")
                start = have if answer.status == 206 else 0
                data = answer.body[: info.size - start]
                await asyncio.to_thread(_write, partial, start, data)
                self._progress(start + len(data), info.size)
                if answer.is_whole and data:
                    continue
                reason = "the answer ended early"
            in_vain = in_vain + 1 if _size(partial) <= have else 0
            if in_vain == _TRIES_IN_VAIN:
                raise SnapshotUnavailable(reason)
            _log.info(
                "snapshot_broken_off",
                url=without_password(self._url),
                have=_size(partial),
                size=info.size,
                error=reason,
            )
            await asyncio.sleep(_WAIT_S * 2**in_vain)
        return True

    async def _part(self, info: SnapshotInfo, have: int) -> NodeAnswer:
        """The bytes from there on, as many as came."""
        wanted = b"bytes=%d-%d" % (have, min(have + _PART_BYTES, info.size) - 1)
        # On a fresh connection: one that has died since would cost the whole time.
        part = NodeCall("GET", f"{PATH}/{info.name}", (*self._shown, (b"range", wanted)), fresh=True, may_be_cut=True)
        return await self._sender.send(self._url, part, _PART_S)

    def _reason(self, error: NotSent | Unclear) -> str:
        """The reason without the url, which the caller puts before it."""
        return error.detail.removeprefix(f"{without_password(self._url)}: ")

    async def _checked(self, info: SnapshotInfo, partial: Path) -> Path:
        try:
            await asyncio.to_thread(verify, partial, info)
        except StateDamaged as error:
            os.unlink(partial)  # going on with it would be in vain
            raise SnapshotUnavailable(f"what it gave does not pass the checks: {error.detail}") from error
        whole = partial.with_suffix(".db")
        os.rename(partial, whole)
        return whole

    def _remove_others(self, kept: Path) -> None:
        for file in self._directory.iterdir():
            if file != kept:
                file.unlink()


def _write(partial: Path, start: int, data: bytes) -> None:
    """Write at that place; what came after it is cut off."""
    partial.touch()
    try:
        with partial.open("r+b") as file:
            file.seek(start)
            file.truncate()
            file.write(data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotEnoughSpace(
                f"the disk of {partial.parent.parent} filled up while a snapshot was fetched; make room"
            ) from error
        raise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _detail(status: int, body: bytes) -> str:
    try:
        return f"it answered {status}: {_decode_problem(body)['detail']}"
    except (msgspec.MsgspecError, KeyError):
        return f"it answered {status}"
