"""A child process that does a part of its parent's work: it is joined by a ``Link`` and never outlives its parent."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from hookline.processes.link import Link, linked

EXEC_WITH_PARENT: Final = Path(__file__).with_name("exec_with_parent.py")


class ChildProcess:
    """A process that runs.

    Attributes:
        link: to it.
        pid: of it.
    """

    def __init__(self, process: asyncio.subprocess.Process, link: Link) -> None:
        self._process = process
        self.link = link
        self.pid = process.pid

    async def ended(self) -> int:
        """Wait until it is gone for sure; its exit code, negative for a signal."""
        return await self._process.wait()

    def kill(self) -> None:
        """Have it gone, whatever it does."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    async def let_go(self, within_s: float) -> int:
        """Close its link, upon which it ends by itself; kill it if that takes longer. Its exit code."""
        self.link.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                return await self._process.wait()
        return await self.end()

    async def end(self) -> int:
        """Kill it if it runs, and wait until it is gone."""
        self.kill()
        code = await self._process.wait()
        self.link.close()
        return code


async def start_child(
    module: str, received: Callable[[bytes], None], *, arguments: Sequence[str] = (), keep: Sequence[int] = ()
) -> ChildProcess:
    """Start ``python -m module DESCRIPTOR arguments…``; the module takes its end by ``own_end``.

    Args:
        module: a program of ours.
        received: is called with each message that it sends.
        arguments: after the descriptor.
        keep: descriptors that it holds open until it is gone: a lock on a file stays, for example.

    Raises:
        OSError: it cannot be started.
    """
    ours, its = socket.socketpair()
    with its:
        descriptor = its.fileno()
        command = [sys.executable, "-m", module, str(descriptor), *arguments]
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(EXEC_WITH_PARENT), str(os.getpid()), *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(descriptor, *keep),
            )
        except OSError:
            ours.close()
            raise
    return ChildProcess(process, await linked(ours, received))


def own_end(descriptor: int) -> socket.socket:
    """The child's end of the link. From now on only the parent ends the child, by closing its end or by force."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a terminal or a service manager sends them to the parent as well
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)
