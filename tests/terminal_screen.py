"""A real terminal for a command: keys that are typed, and the screen as one sees it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import pyte

UP, DOWN, ENTER, ESCAPE = "\x1b[A", "\x1b[B", "\r", "\x1b"
_WAIT_S = 60  # of a test that hangs
_READ_BYTES = 65_536
_TAKE_TERMINAL = (  # so that Ctrl-C goes to the command
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


class TerminalScreen:
    """Runs a command in a terminal of so many columns and lines.

    Attributes:
        sent: all that it wrote.
    """

    def __init__(
        self, command: Sequence[str], columns: int = 100, lines: int = 30, environment: dict[str, str] | None = None
    ) -> None:
        self._screen: Any = pyte.Screen(columns, lines)
        self._stream: Any = pyte.ByteStream(self._screen)
        self.sent = b""
        self._own, inner = pty.openpty()
        self._size(inner, columns, lines)
        self._settings = termios.tcgetattr(inner)
        self._inner = inner
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *command],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={"TERM": "xterm-256color", **(environment or {})},
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(_WAIT_S)
        os.close(self._own)
        os.close(self._inner)

    def type(self, keys: str) -> None:
        """As if somebody pressed them."""
        os.write(self._own, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Make the window larger or smaller."""
        self._screen.resize(lines, columns)
        self._size(self._own, columns, lines)
        self.process.send_signal(signal.SIGWINCH)

    def shown(self) -> str:
        """The lines on the screen."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def colours(self) -> set[str]:
        """All colours of letters on the screen."""
        return {cell.fg for line in self._screen.buffer.values() for cell in line.values()}

    def until(self, condition: Callable[[str], bool] | str) -> str:
        """Read until the screen is so, or shows this text; the screen."""
        deadline = time.monotonic() + _WAIT_S
        while True:
            shown = self.shown()
            if condition in shown if isinstance(condition, str) else condition(shown):
                return shown
            assert time.monotonic() < deadline, f"still not {condition}:\n{shown}"
            self._read()

    def ended(self) -> int:
        """Wait until the command has ended; its exit code."""
        deadline = time.monotonic() + _WAIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on:\n{self.shown()}"
            self._read()
        return self.process.returncode

    def is_as_before(self) -> bool:
        """The terminal's settings are those from before the command."""
        return termios.tcgetattr(self._inner) == self._settings

    def _read(self) -> None:
        if select.select([self._own], [], [], 0.05)[0]:
            data = os.read(self._own, _READ_BYTES)
            self.sent += data
            self._stream.feed(data)

    @staticmethod
    def _size(terminal: int, columns: int, lines: int) -> None:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
