"""Prints the findings of a check over a folder, and gives the exit code; the checks of this folder share it."""

import sys
from collections.abc import Callable
from pathlib import Path


def report(find: Callable[[Path], list[str]], folder: Path) -> int:
    """One line for each finding. The exit code: 0 without any, else 1, and 2 when there is no such folder."""
    if not folder.is_dir():
        print(f"there is no folder {folder}", file=sys.stderr)
        return 2
    lines = find(folder)
    for line in lines:
        print(line)
    return 1 if lines else 0
