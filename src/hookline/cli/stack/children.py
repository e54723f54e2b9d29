"""A process that is kept running: started again when it ends, stopped when we stop, gone when we are killed."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hookline.cli.output import stderr
from hookline.errors import NodeFault
from hookline.processes.child import EXEC_WITH_PARENT
from hookline.processes.restarts import Restarts

_READY = b"ready "
_LOG_BYTES_MAX = 16 * 2**20  # then the log of a new start goes into a new file
_STARTS_MAX = 3  # until it is ready for the first time; its port may still be held by one that is just being killed
_WAIT_S = 0.2  # before it is started again, longer each time


class Child:
    """One process.

    Args:
        name: for messages and the log file.
        command: what to run.
        log: where its output goes, except the line ``ready …`` on stdout.
        environment: of the process.

    Attributes:
        is_ready: set when it has said ``ready``, or when whoever asks it has found it so.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.log = log
        self.is_ready = asyncio.Event()
        self._command = command
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Of the process that was started last."""
        return self._process.pid if self._process else None

    async def run(self) -> None:
        """Start it, and again whenever it ends, until ``stop``.

        Raises:
            NodeFault: it ended before it was ever ready; has the end of its log.
        """
        loop, restarts = asyncio.get_running_loop(), Restarts(_WAIT_S)
        starts = 0
        while not self._stopping.is_set():
            started = loop.time()
            starts += 1
            code = await self._run_once()
            if self._stopping.is_set():
                return
            if not self.is_ready.is_set() and starts == _STARTS_MAX:
                raise NodeFault(f"{self.name} ended with code {code}. The end of {self.log}:\n{self.log_end()}")
            wait_s = restarts.pause_s(loop.time() - started)
            if self.is_ready.is_set():
                self._report(f"{self.name} ended with code {code}; it is started again in {wait_s:g} s. See {self.log}")
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stopping.wait()

    async def _run_once(self) -> int:
        command = [sys.executable, "-I", "-S", str(EXEC_WITH_PARENT), str(os.getpid()), *self._command]
        self._rotate_log()
        with self.log.open("ab") as log:
            # A session of its own, so that Ctrl-C reaches only us, and we can stop all in good order.
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
            self._process = process
            try:
                if self._stopping.is_set():
                    self.signal(signal.SIGTERM)
                assert process.stdout
                async for line in process.stdout:
                    if line.startswith(_READY):
                        self.is_ready.set()
                    with suppress(OSError):  # a full disk must not end what watches over the others
                        log.write(line)
                        log.flush()
                return await process.wait()
            finally:
                self.signal(signal.SIGKILL)
                await process.communicate()  # until its pipe is closed: its transport must not outlive the loop

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it does not run."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL when it takes longer than ``grace_s``; ``run`` returns then."""
        self._stopping.set()
        self.signal(signal.SIGTERM)
        if self._process is None:
            return
        try:
            async with asyncio.timeout(grace_s):
                await self._process.wait()
        except TimeoutError:
            self._report(f"{self.name} did not end within {grace_s:g} s and is killed")
            self.signal(signal.SIGKILL)
            await self._process.wait()

    def _report(self, text: str) -> None:
        stderr().print(text, style="bold yellow", soft_wrap=True)

    def _rotate_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES_MAX:
            self.log.replace(self.log.with_name(self.log.name + ".1"))

    def log_end(self) -> str:
        """Its last words."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
