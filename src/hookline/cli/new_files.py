"""Writes files that only their owner may read: whole or not at all, and never over one that is there."""

import os
from collections.abc import Mapping
from pathlib import Path

from hookline.errors import InvalidConfig


def write_new(files: Mapping[Path, bytes]) -> None:
    """Write them all. Raises InvalidConfig, and leaves none of them, when one is there already."""
    written: list[Path] = []
    beside: list[Path] = []
    try:
        for file, content in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            beside.append(file.with_name(f".{file.name}.new"))
            _write(beside[-1], content)
        for file, new in zip(files, beside, strict=True):
            os.link(new, file)  # it fails where a rename would overwrite
            written.append(file)
    except FileExistsError as error:
        for file in written:
            file.unlink(missing_ok=True)
        there = next((file for file in files if file.exists() and file not in written), None)
        said = f"{there} exists" if there else f"{error.filename} exists, left by a command that was broken off"
        raise InvalidConfig(f"{said}; nothing was written. Move it away, or choose another directory") from error
    finally:
        for new in beside:
            new.unlink(missing_ok=True)


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
