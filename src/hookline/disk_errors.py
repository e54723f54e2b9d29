"""Recognises a full, read-only or failing disk in errors of the operating system and of SQLite.

Source of SQLite's codes: https://sqlite.org/rescode.html
"""

import errno

import apsw

_FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "is full: its quota is used up", errno.EFBIG: "takes no larger files"}
_REASONS = _FULL | {errno.EROFS: "is read-only", errno.EIO: "fails", errno.ENODEV: "is gone", errno.ENXIO: "is gone"}
_SQLITE = {
    apsw.FullError: "is full",
    apsw.ReadOnlyError: "is read-only",
    apsw.IOError: "fails or is full",
    apsw.CantOpenError: "cannot be written to",
}


def disk_trouble(error: BaseException) -> str | None:
    """The trouble of the disk, to follow its name: "is full"; None when the error is about something else."""
    if isinstance(error, OSError):
        return _REASONS.get(error.errno or 0)
    return next((reason for kind, reason in _SQLITE.items() if isinstance(error, kind)), None)
