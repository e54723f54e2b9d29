"""A backup is two files, the state and the description of it; what is wrong with them is said of the files given.

Nothing is made here: a backup is checked where it lies, before a restore begins.
"""

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from hookline.errors import BackupDamaged, BackupOfOtherRelease, InvalidConfig, StateDamaged
from hookline.node.state_machine.machine import SCHEMA_VERSION
from hookline.node.storage.snapshots import SnapshotInfo, StatePosition, decode_info, read_position, sha256_of, verify

_DESCRIPTION_SUFFIX = ".json"


def description_of(backup: Path) -> Path:
    """The file beside a backup that says what it holds."""
    return backup.with_name(backup.name + _DESCRIPTION_SUFFIX)


def read_description(backup: Path) -> SnapshotInfo:
    """Read what the backup says of its contents.

    Raises:
        InvalidConfig: it is not a file that can be read.
        BackupDamaged: nothing says so.
        BackupOfOtherRelease: this release cannot read what it holds.
    """
    _require_file(backup)
    description = description_of(backup)
    if not description.is_file():
        raise BackupDamaged(
            f"{description} is missing: hookline backup wrote it together with {backup}, to say what that has to hold. "
            "Put it there too"
        )
    try:
        info = decode_info(_read(description))
    except msgspec.MsgspecError as error:
        raise BackupDamaged(
            f"{description} does not say what {backup} has to hold ({error}); copy it again from where the backup was "
            "made"
        ) from error
    if info.version != SCHEMA_VERSION:
        raise BackupOfOtherRelease(
            f"{backup} holds a state with schema {info.version}, and this release knows schema {SCHEMA_VERSION} only; "
            "restore it with the release that made it"
        )
    return info


def _require_file(backup: Path) -> None:
    if backup.is_dir():
        raise InvalidConfig(f"{backup} is a directory; give the file that hookline backup wrote", field="from")
    if not backup.is_file():
        raise InvalidConfig(f"there is no file {backup}", field="from")
    of = backup.with_suffix("")
    if backup.suffix == _DESCRIPTION_SUFFIX and of.is_file():
        raise InvalidConfig(f"{backup} only describes a backup; give the backup itself, {of}", field="from")
    with _opened(backup):
        pass


def _read(file: Path) -> bytes:
    with _opened(file) as opened:
        return opened.read()


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise InvalidConfig(f"{file} cannot be read: {error.strerror}", field="from") from error


def check_backup(backup: Path, info: SnapshotInfo) -> None:
    """Raise BackupDamaged unless it is exactly, and soundly, what ``info`` says. Blocking; writes nothing."""
    try:
        verify(backup, info)
    except StateDamaged as error:
        raise BackupDamaged(_what_is_wrong(backup, info, error.detail)) from error
    except OSError as error:
        raise BackupDamaged(f"{backup} cannot be read to its end: {error.strerror}; copy it again") from error


def _what_is_wrong(backup: Path, info: SnapshotInfo, found_first: str) -> str:
    size = backup.stat().st_size
    if size == 0:
        return f"{backup} is empty; {info.size} bytes were written. Copy it again from where it was made"
    with suppress(StateDamaged, AttributeError, TypeError, ValueError):  # a damaged one may hold anything
        held = read_position(backup)
        if _whose(held) != _whose(info):
            return (
                f"{description_of(backup)} belongs to another backup: it describes entry {info.index} of term "
                f"{info.term}, and {backup} holds entry {held.index} of term {held.term}. Put the description there "
                "that was written with it"
            )
    if size != info.size:
        return f"{backup} has {size} bytes; {info.size} were written. Copy it again from where it was made"
    if sha256_of(backup) != info.sha256:
        return (
            f"{backup} is not as it was written: its checksum does not match. Copy it again from where it was made, or "
            "restore another backup"
        )
    return f"{backup} holds no sound state ({found_first}); restore another backup"


def _whose(state: SnapshotInfo | StatePosition) -> tuple[str, int, int]:
    return state.cluster_id, state.term, state.index
