"""Keeps the certificates of a process fresh: looks whether the files have changed, and has new connections use them."""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from hookline.clock import Clock
from hookline.errors import InvalidConfig
from hookline.telemetry.area_log import log_of
from hookline.tls.contexts import Loaded, load, tls_context
from hookline.tls.files import TlsFiles

LOOK_S: Final = 2.0
_WARN_S: Final = 14 * 86_400
_REMIND_S: Final = 86_400

_log = log_of("tls")
_Signature = tuple[tuple[int, int, int] | None, ...]


class LiveTls:
    """The TLS of one process.

    Args:
        files: its files.
        clock: says whether a certificate has ended.
        peer: whom they are for, if not for clients and nodes; a part of the names of its certificates.
        changed: called when there are new ones, for connections that others make.

    Raises:
        InvalidConfig: a file cannot be used.
    """

    def __init__(
        self, files: TlsFiles, clock: Clock, *, peer: str = "", changed: Callable[[], None] = lambda: None
    ) -> None:
        self.files = files
        self._peer = peer
        self._changed = changed
        self._clock = clock
        self._reminded_s: dict[str, float] = {}
        self._seen = _signature(files)  # before they are read: what changes meanwhile is read again
        self._loaded = load(files)

    def server_context(self) -> ssl.SSLContext:
        """For the next connection that comes in. Only where the files have a pair for that."""
        assert self._loaded.server is not None
        return self._loaded.server

    def client_context(self) -> ssl.SSLContext:
        """For the next connection to a node."""
        return self._loaded.client or self._of_the_system

    @property
    def is_server(self) -> bool:
        """The process speaks TLS where it listens."""
        return self.files.is_server

    def ends(self) -> dict[str, float]:
        """When certificates end, in seconds since 1970, by what they are for."""
        return {f"{self._peer}_{name}" if self._peer else name: end_s for name, end_s in self._loaded.ends.items()}

    async def run(self, hangup: asyncio.Event | None = None) -> None:
        """Look again every few seconds, and at once when ``hangup`` is set, until cancelled."""
        hangup = hangup or asyncio.Event()
        while True:
            self.remind()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S if self.files.named() else None):
                    await hangup.wait()
            is_asked = hangup.is_set()
            hangup.clear()
            await self.look(is_asked=is_asked)

    async def look(self, *, is_asked: bool = False) -> None:
        """Read the files if they have changed, or ``is_asked``; what cannot be used changes nothing."""
        seen = await asyncio.to_thread(_signature, self.files)
        if seen == self._seen and not is_asked:
            return
        self._seen = seen
        try:
            loaded = await asyncio.to_thread(load, self.files)
            self._refuse_ended(loaded)
        except InvalidConfig as error:
            _log.error("tls_files_refused", error=error.detail, advice="the certificates before go on to be used")
            return
        self._loaded = loaded
        self._reminded_s.clear()
        self._changed()
        _log.info("tls_files_loaded", **{f"{name}_ends": _day(end_s) for name, end_s in self.ends().items()})

    def remind(self) -> None:
        """Say once a day what ends soon."""
        now_s = self._clock.wall_ms() / 1_000
        for name, end_s in self.ends().items():
            if end_s - now_s > _WARN_S or now_s - self._reminded_s.get(name, -math.inf) < _REMIND_S:
                continue
            self._reminded_s[name] = now_s
            if end_s > now_s:
                _log.warning("tls_certificate_ends_soon", certificate=name, ends=_day(end_s))
            else:
                _log.error("tls_certificate_has_ended", certificate=name, ends=_day(end_s))

    @cached_property
    def _of_the_system(self) -> ssl.SSLContext:
        return tls_context()

    def _refuse_ended(self, loaded: Loaded) -> None:
        """An old file in the place of a new one would end all calls."""
        now_s = self._clock.wall_ms() / 1_000
        for name, end_s in loaded.ends.items():
            if end_s <= now_s < self._loaded.ends.get(name, math.inf):
                raise InvalidConfig(f"the certificate for {name} has ended on {_day(end_s)}")


@asynccontextmanager
async def kept_fresh(tls: LiveTls, hangup: asyncio.Event | None = None) -> AsyncIterator[LiveTls]:
    """Keep it fresh, from the entry to the exit. What is raised in between is raised as it is, in no group."""
    failed: BaseException | None = None
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(tls.run(hangup))
        try:
            yield tls
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed = error
        looking.cancel()
    if failed is not None:
        raise failed


def _signature(files: TlsFiles) -> _Signature:
    """Changes with the files."""
    return tuple(_one(path) for path in files.named().values())


def _one(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _day(end_s: float) -> str:
    return datetime.fromtimestamp(end_s, UTC).isoformat(timespec="minutes")
