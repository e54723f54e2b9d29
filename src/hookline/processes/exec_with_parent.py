"""Becomes another program that ends with its parent: ``exec_with_parent.py PARENT-PID PROGRAM ARGUMENT…``.

Linux kills the program when the process that started it is gone, however that one ended; elsewhere the program runs
on. This is a program of its own, and not a ``preexec_fn``, since Python code between fork and exec can hang in a
process with threads. Run by path, without the package: it is on the way of every start. See prctl(2),
PR_SET_PDEATHSIG.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie, look whether the parent is still there, become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 - that is what this program is for


if __name__ == "__main__":
    main()
