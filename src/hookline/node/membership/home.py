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
    file = data_dir / FILE
    kept = file.read_text(errors="replace").strip() if file.exists() else ""
    if len(kept) != 2 * _BYTES:
        kept = clock.token(_BYTES).hex()
        file.write_text(f"{kept}\n")
    return f"{kept}-{os.stat(file).st_ino:x}"


def owner_of(node: str, home: str, start: str) -> str:
    """The name of a process in its claims: shorter than ``home``, since each open claim carries it."""
    return str(Owner(node, hashlib.blake2b(home.encode(), digest_size=6).hexdigest(), start))
