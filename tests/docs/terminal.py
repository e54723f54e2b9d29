"""The shell of a reader: one bash for a page, in which variables and directories stay from command to command."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.end_to_end.processes import UNMEASURED, until

_OWN = ("HOOKLINE_", "PYTEST", "PYTHON")  # settings of the tests that readers do not have
# Only what this reader started dies, whatever else runs on the machine.
_PKILL = """pkill() {
    local pid
    for pid in $(pgrep -f -- "${!#}"); do
        ! grep -qzxF "READER=$READER" /proc/$pid/environ 2>/dev/null || kill "$1" $pid
    done
}
"""
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@dataclass(frozen=True, slots=True)
class Served:
    """A command that goes on in a terminal of its own; ``pid`` leads its process group."""

    command: str
    pid: int
    log: Path

    def shown(self) -> str:
        """All it has printed."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals = signal.SIGINT) -> None:
        """Ctrl-C, or another signal; waits until it is gone."""
        os.killpg(self.pid, number)
        until(lambda: not self.is_running(), f"{self.command} has ended")

    def is_running(self) -> bool:
        """One process of its group is there at least."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


class Terminal:
    """One bash. Use it as a context manager: what it started is killed in the end."""

    def __init__(self, directory: Path, environment: dict[str, str], *, is_measured: bool = False) -> None:
        # PYTHONDONTWRITEBYTECODE too: no reader compiles all of Hookline for each command.
        inherited = os.environ if is_measured else UNMEASURED
        others = {name: value for name, value in inherited.items() if not name.startswith(_OWN)}
        path = f"{Path(sys.executable).parent}:{inherited.get('PATH', '')}:/usr/sbin"
        self._steps = directory / ".steps"
        self._steps.mkdir(parents=True)
        self._person, tty = pty.openpty()
        self._tty = os.fdopen(tty)
        settings = termios.tcgetattr(tty)
        settings[1] &= ~termios.OPOST  # line ends stay as they are
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(tty, termios.TCSANOW, settings)
        self._count = 0
        self.served: list[Served] = []
        reading, writing = os.pipe()
        self._answers = os.fdopen(reading, "rb", buffering=0)
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env=others | {"PATH": path, "READER": str(directory)} | environment,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what it says of jobs that were killed
            text=True,
            pass_fds=[writing],
        )
        os.close(writing)
        self._answer_to = writing
        self._tell(_PKILL)
        self._tell("set -m\n")  # each command in the background has a process group, and takes Ctrl-C

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self.served:
            if one.is_running():
                os.killpg(one.pid, signal.SIGKILL)
        self._bash.kill()
        self._bash.communicate()
        self._answers.close()
        self._tty.close()
        os.close(self._person)

    def run(self, command: str, seconds: float = 120) -> tuple[int, str]:
        """(exit code, what is shown) of a command that ends. If it asks, the answer is yes."""
        name = os.ttyname(self._tty.fileno())
        termios.tcflush(self._tty, termios.TCIOFLUSH)
        os.write(self._person, b"y\n")
        self._tell(f"source {self._written(command)} >{name} 2>&1 <{name}; echo $? >&{self._answer_to}\n")
        shown = b""
        listened: list[Any] = [self._person, self._answers]
        while ready := select.select(listened, [], [], seconds)[0]:
            if self._person in ready:
                shown += os.read(self._person, 65_536)
            else:  # it has ended, and all that it showed was read
                return int(self._answers.readline()), _CONTROLS.sub("", shown.decode(errors="replace"))
        raise AssertionError(f"{command} goes on after {seconds} s: {shown.decode(errors='replace')}")

    def serve(self, command: str, ready: str, seconds: float = 180) -> Served:
        """Start a command that goes on, in a terminal of its own; waits until it shows ``ready``."""
        step = self._written(command)
        log = step.with_suffix(".log")
        log.touch()
        self._tell(f"source {step} >{log} 2>&1 </dev/null & echo $! >&{self._answer_to}\n")
        served = Served(command, int(self._answers.readline()), log)
        self.served.append(served)

        def look() -> bool:
            found = re.search(ready, served.shown(), re.MULTILINE)
            assert found or served.is_running(), f"{command} ended: {served.shown()}"
            return found is not None

        until(look, f"{command} shows {ready}", seconds)
        return served

    def _written(self, command: str) -> Path:
        self._count += 1
        step = self._steps / f"{self._count}.sh"
        step.write_text(command + "\n")
        return step

    def _tell(self, text: str) -> None:
        assert self._bash.stdin
        self._bash.stdin.write(text)
        self._bash.stdin.flush()


def commands_in(text: str) -> list[tuple[str, str]]:
    """(command, what the page shows below it) of a block.

    With prompts (``$ ``), what follows a command without one is its output. Without any, all lines are commands.
    """
    has_prompts = text.startswith("$ ")
    found: list[tuple[str, str]] = []
    command = ""
    for line in text.splitlines():
        if command or not has_prompts or line.startswith("$ "):
            command = f"{command}\n{line}" if command else line.removeprefix("$ ")
            if command.strip() and _is_whole(command):
                found.append((command, ""))
                command = ""
        else:
            found[-1] = (found[-1][0], found[-1][1] + line + "\n")
    assert not command.strip(), f"the shell waits for more: {command}"
    return found


def _is_whole(command: str) -> bool:
    if command.rstrip().endswith("\\"):
        return False
    checked = subprocess.run(["bash", "-n"], input=command + "\n", capture_output=True, text=True, check=False)
    return checked.returncode == 0 and "here-document" not in checked.stderr
