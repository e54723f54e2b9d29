"""One sentence says why a process ends: the disk's trouble first, then ours, then the system's."""

import errno
from pathlib import Path

import apsw
import pytest

from hookline.cli.failures import readable, readable_error
from hookline.errors import DiskFault, InvalidConfig, LogFault, StateDamaged

DATA = Path("/data")


def system_error(number: int) -> OSError:
    return OSError(number, errno.errorcode[number])


@pytest.mark.parametrize(
    ("error", "trouble", "advice"),
    [
        (apsw.FullError("database or disk is full"), "is full", "make room there"),
        (apsw.IOError("disk I/O error"), "fails or is full", "make room there"),
        (apsw.ReadOnlyError("attempt to write a readonly database"), "is read-only", "mend it"),
        (apsw.CantOpenError("unable to open database file"), "cannot be written to", "mend it"),
        (system_error(errno.ENOSPC), "is full", "make room there"),
        (system_error(errno.EDQUOT), "is full: its quota is used up", "make room there"),
        (system_error(errno.EROFS), "is read-only", "mend it"),
        (system_error(errno.EIO), "fails", "mend it"),
    ],
    ids=repr,
)
def test_a_disk_is_named_with_what_is_wrong_and_what_to_do(error: Exception, trouble: str, advice: str) -> None:
    for wrapped in (error, ExceptionGroup("", [LogFault(), ExceptionGroup("", [ValueError(), error])])):
        found = readable_error(wrapped, "The node", DATA)
        assert isinstance(found, DiskFault)
        assert found.detail.startswith(f"The node stopped, since the disk of /data {trouble} (")
        assert found.detail.endswith(f"; {advice} and start again")
        assert "\n" not in found.detail


def test_without_a_disk_our_own_error_says_most_then_the_systems() -> None:
    ours, systems, bug = StateDamaged(), system_error(errno.EADDRINUSE), ValueError("bug")
    assert readable_error(ExceptionGroup("", [bug, systems, ours]), "The node", DATA) is ours
    found = readable_error(ExceptionGroup("", [bug, systems]), "The node", DATA)
    assert isinstance(found, InvalidConfig)
    assert found.detail == "The node stopped: EADDRINUSE"
    group = ExceptionGroup("", [bug])
    assert readable_error(group, "The node", DATA) is group
    assert isinstance(readable_error(system_error(errno.ENOSPC), "The proxy"), InvalidConfig), "it has no disk"


def test_a_bug_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="bug"), readable("The node", DATA):
        raise ValueError("bug")
    with pytest.raises(DiskFault), readable("The node", DATA):
        raise apsw.FullError("full")
