"""Runs ``hookline`` on a machine whose wall clock is wrong: ``python -m tests.wrong_clock FILE serve …``.

By how much it is wrong is in the file, and can be changed while it runs: see ``set_clock``.
"""

import mmap
import struct
import sys
from pathlib import Path

from hookline.clock import SystemClock

_FORMAT = "<q"


def set_clock(file: Path, ahead_ms: int) -> None:
    """Let the clocks that read the file be so far ahead."""
    if not file.exists():
        file.write_bytes(struct.pack(_FORMAT, ahead_ms))
    with file.open("r+b") as opened:
        opened.write(struct.pack(_FORMAT, ahead_ms))


class WrongClock(SystemClock):
    """The machine's, but for its wall clock."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        with file.open("r+b") as opened:
            self._ahead = mmap.mmap(opened.fileno(), 8, access=mmap.ACCESS_READ)

    def wall_ms(self) -> int:
        (ahead_ms,) = struct.unpack(_FORMAT, self._ahead[:8])
        return super().wall_ms() + int(ahead_ms)


def main() -> None:
    from hookline.cli import app
    from hookline.node import runtime

    file = Path(sys.argv[1])
    runtime.SystemClock = lambda: WrongClock(file)  # type: ignore[assignment,attr-defined]  # there only, and by no option
    sys.exit(app.run(sys.argv[2:]))


if __name__ == "__main__":
    main()
