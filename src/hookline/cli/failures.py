"""Explains in one sentence why a process or a command ended: the fault, its place and the cure."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hookline.errors import DiskFault, HooklineError, InvalidConfig, leaves


@contextmanager
def readable(who: str, directory: Path | None = None) -> Iterator[None]:
    """Turn what the operating system or SQLite says into an error of ours; what is a bug stays as it is.

    Args:
        who: begins the sentence, for example "The node at 127.0.0.1:7070".
        directory: whose disk it works on; None: it has none.
    """
    try:
        yield
    except Exception as error:
        found = readable_error(error, who, directory)
        if found is error:
            raise
        raise found from error


def readable_error(error: Exception, who: str, directory: Path | None = None) -> Exception:
    """The error that says most, out of the groups it came in: the disk's before ours before the system's."""
    from hookline.disk_errors import disk_trouble  # it needs SQLite, which most commands do not

    causes = list(leaves(error)) if isinstance(error, BaseExceptionGroup) else [error]
    for cause in causes:
        if directory is not None and (trouble := disk_trouble(cause)) is not None:
            return DiskFault(
                f"{who} stopped, since the disk of {directory} {trouble} ({_said(cause)}); "
                f"{'make room there' if 'full' in trouble else 'mend it'} and start again"
            )
    for cause in causes:
        if isinstance(cause, HooklineError):
            return cause
    for cause in causes:
        if isinstance(cause, OSError):
            where = "" if cause.filename is None else f"{os.fsdecode(cause.filename)}: "
            return InvalidConfig(f"{who} stopped: {where}{cause.strerror or cause}")
    return error


def _said(cause: BaseException) -> str:
    return str(cause.strerror if isinstance(cause, OSError) and cause.strerror else cause)
