"""A mark that a node leaves when it closes its state in order: the file's size and checksum.

A file that is still like that is as SQLite left it. So the next start need not wait until SQLite has looked through all
of it, which takes 1.5 s for a million jobs: that is done beside the node's work (``Scrub``).
"""

import zlib
from pathlib import Path
from typing import Final

import msgspec

CLOSING_MARK_FILE: Final = "closed.json"
_PIECE_BYTES: Final = 2**20


class _Mark(msgspec.Struct, frozen=True):
    size: int
    crc32: int


def leave_mark(state: Path) -> None:
    """Mark a state that was just closed without a fault. None is left beside a write-ahead log: others have it open.

    It is not synced: a mark that a power cut spoils fits no file.
    """
    if not _has_log(state):
        (state.parent / CLOSING_MARK_FILE).write_bytes(msgspec.json.encode(_mark_of(state)))


def take_mark(state: Path) -> bool:
    """Take the mark away, before the state is opened; whether it was there and fits the file."""
    path = state.parent / CLOSING_MARK_FILE
    try:
        mark = msgspec.json.decode(path.read_bytes(), type=_Mark)
    except FileNotFoundError:
        return False
    except msgspec.DecodeError:
        mark = None
    path.unlink()
    return mark is not None and not _has_log(state) and state.exists() and mark == _mark_of(state)


def _has_log(state: Path) -> bool:
    return state.with_name(f"{state.name}-wal").exists()


def _mark_of(state: Path) -> _Mark:
    size = checksum = 0
    with state.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            size, checksum = size + len(piece), zlib.crc32(piece, checksum)
    return _Mark(size, checksum)
