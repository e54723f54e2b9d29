"""A name for a data directory: a node tells what an earlier process of its own wrote from what a twin wrote."""

import hashlib
import os
from pathlib import Path

from hookline.clock import Clock
from hookline.protocol.owners import Owner

FILE = "home.id"
_BYTES = 16


def home_of(data_dir: Path, clock: Clock) -> str:
    """32 hex digits, made when the directory was first used; the caller holds its lock.

    A file that a crash left unfinished is made anew: the directory counts as another one, which costs seconds at a
    start. So does one that was copied from elsewhere: the file's number on its disk belongs to the name.
    """
    found = known_home(data_dir)
    if found is not None:
        return found
    kept, file = clock.token(_BYTES).hex(), data_dir / FILE
    file.write_text(f"{kept}\n")
    return f"{kept}-{os.stat(file).st_ino:x}"


def known_home(data_dir: Path) -> str | None:
    """The name that a data directory has; None: it has none yet."""
    file = data_dir / FILE
    kept = file.read_text(errors="replace").strip() if file.exists() else ""
    return f"{kept}-{os.stat(file).st_ino:x}" if len(kept) == 2 * _BYTES else None


def owner_of(node: str, home: str, start: str) -> str:
    """The name of a process in its claims: shorter than ``home``, since each open claim carries it."""
    return str(Owner(node, hashlib.blake2b(home.encode(), digest_size=6).hexdigest(), start))
