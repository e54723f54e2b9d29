"""Disks of their own for nodes and etcd members: small files with a file system, mounted; can be full or lose power."""

import errno
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_BALLAST = "ballast"


def loop_mounts_work(directory: Path) -> bool:
    """Needs root and loop devices; containers often have neither."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        return False
    try:
        with Disks(directory, ["probe"], 16 * 2**20):
            return True
    except subprocess.CalledProcessError:
        return False


class Disks:
    """A file system of ``size_bytes`` at each of ``places`` below ``directory``; written back only when fsynced."""

    def __init__(self, directory: Path, places: Sequence[str], size_bytes: int) -> None:
        self._directory = directory
        self._places = places
        self._size_bytes = size_bytes
        self._images = {place: directory / f"{place.replace('/', '-')}.img" for place in places}
        self._mounted: list[str] = []

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        try:
            for place, image in self._images.items():
                image.write_bytes(b"")
                os.truncate(image, self._size_bytes)
                subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
                self._mount(place)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for place in self._mounted:
            subprocess.run(["umount", "-l", str(self._directory / place)], check=False)
        self._mounted.clear()

    def _mount(self, place: str) -> None:
        where = self._directory / place
        where.mkdir(parents=True, exist_ok=True)
        options = "loop,commit=600"
        subprocess.run(["mount", "-o", options, str(self._images[place]), str(where)], check=True, capture_output=True)
        self._mounted.append(place)

    def fill(self, place: str) -> None:
        """Leave not one byte."""
        with (self._directory / place / _BALLAST).open("wb", buffering=0) as file:
            for size in (2**20, 2**12, 2**9):
                _write_until_full(file.fileno(), size)

    def free(self, place: str) -> None:
        """Take the ballast away."""
        (self._directory / place / _BALLAST).unlink()

    def cut_power(self) -> None:
        """Drops what was not fsynced, on all disks. Nothing may run on them: the moments would be mixed."""
        for place in list(self._mounted):
            image = self._images[place]
            copy = image.with_suffix(".copy")
            subprocess.run(["cp", "--sparse=always", str(image), str(copy)], check=True)
            subprocess.run(["umount", str(self._directory / place)], check=True)  # writes the rest to the old image
            self._mounted.remove(place)
            copy.replace(image)
            self._mount(place)


def _write_until_full(file: int, size: int) -> None:
    data = bytes(size)
    while True:
        try:
            os.write(file, data)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return
