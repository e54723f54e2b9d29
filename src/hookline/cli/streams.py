"""The three streams of a command when they are not as expected: closed, full, or in an encoding that knows little."""

import os
import sys
from contextlib import suppress

from hookline.cli.output import usage_error


def prepare_streams() -> None:
    """Make all three usable, so that nothing opened later takes the place of one that was closed.

    What an encoding does not know is written out as an escape. Nobody reads a closed standard error, so what goes there
    is dropped; a closed standard input cannot be read, and ``check_output`` refuses a closed standard output.
    """
    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            _open_at(number, flags)
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def check_output() -> None:
    """Refuse a closed standard output before anything is done: the result, such as an id, would be lost."""
    if sys.stdout is None:
        raise usage_error("standard output is closed; send it to /dev/null if you do not want it.")


def drop_output() -> None:
    """Write nothing more: what is still buffered would fail once more while Python exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_at(number: int, flags: int) -> None:
    found = os.open(os.devnull, flags)
    if found != number:
        os.dup2(found, number)
        os.close(found)
