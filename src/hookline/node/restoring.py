"""A backup becomes the state of a new node: wholly or not at all, wherever it is broken off.

The backup is checked where it lies, before anything is made; what is wrong with it is said of the file that was given.
All other work is done in a directory of its own, with a name that was never used before: SQLite plays whatever log it
finds beside a file onto that file, so what an earlier restore left must not lie beside the copy of a later one. The
directory is also the sign that a restore was begun; while it is there and no state is, no node starts.
"""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from hookline.errors import (
    BackupDamaged,
    BackupOfOtherRelease,
    DiskFault,
    HooklineError,
    InvalidConfig,
    RestoreBrokenOff,
    StateDamaged,
)
from hookline.node.snapshots import (
    SnapshotInfo,
    StatePosition,
    decode_info,
    holds_state,
    install,
    read_position,
    require_space,
    sha256_of,
    space_for,
    verify,
    verify_content,
)
from hookline.node.state_machine.machine import SCHEMA_VERSION, mark_restored

_DESCRIPTION_SUFFIX = ".json"
_PREFIX = "restoring"  # also of what earlier releases left: restoring.partial, -wal, -shm


def description_of(backup: Path) -> Path:
    """The file beside a backup that says what it holds."""
    return backup.with_name(backup.name + _DESCRIPTION_SUFFIX)


def read_description(backup: Path) -> SnapshotInfo:
    """What the backup is said to hold.

    Raises:
        InvalidConfig: it is no file that can be read.
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


def refuse_state(data_dir: Path) -> None:
    """Raise InvalidConfig if there is state already."""
    if holds_state(data_dir):
        raise InvalidConfig(f"{data_dir} holds state already; restore into a new directory", field="data_dir")


def restore(source: Path, info: SnapshotInfo, data_dir: Path) -> None:
    """Make a backup that passed ``check_backup`` the state of the node whose lock on ``data_dir`` the caller holds.

    Raises:
        InvalidConfig: there is state already.
        NotEnoughSpace, DiskFault: the directory is as it was before.
    """
    refuse_state(data_dir)
    place = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-", dir=data_dir))
    for old in _leftovers(data_dir):
        if old != place:  # which is there already, so that at every moment there is a sign
            _remove(old)
    try:
        require_space(data_dir, space_for(info.size))
        copy = place / "copy.db"
        shutil.copyfile(source, copy)
        _require_kept(source, sha256_of(copy) == info.sha256, data_dir)
        mark_restored(copy)
        _require_alone(copy)
        _require_kept(source, _is_sound(copy, info), data_dir)
        install(data_dir, copy)
    except HooklineError:
        _remove(place)
        raise
    except BaseException:  # the sign stays
        for file in place.iterdir():
            file.unlink(missing_ok=True)
        raise
    _remove(place)


def refuse_half_restored(data_dir: Path) -> None:
    """Call it before a node opens its state. Raises RestoreBrokenOff: a node would begin with nothing here."""
    leftovers = _leftovers(data_dir)
    if not holds_state(data_dir):
        if leftovers:
            raise RestoreBrokenOff(
                f"a restore into {data_dir} was broken off here; run it again. To start a new, empty node instead, "
                f"remove {', '.join(file.name for file in leftovers)}"
            )
        return
    for leftover in leftovers:
        _remove(leftover)


def _leftovers(data_dir: Path) -> list[Path]:
    return sorted(data_dir.glob(f"{_PREFIX}[-.]*"))


def _remove(leftover: Path) -> None:
    if leftover.is_dir():
        shutil.rmtree(leftover)
    else:
        leftover.unlink(missing_ok=True)


def _is_sound(copy: Path, info: SnapshotInfo) -> bool:
    try:
        verify_content(copy, info)
    except StateDamaged:
        return False
    return True


def _require_kept(source: Path, is_kept: bool, data_dir: Path) -> None:
    if not is_kept:
        raise DiskFault(
            f"{source} is sound, and its copy in {data_dir} is not: the disk there does not keep what is written to "
            "it, or the backup was changed meanwhile"
        )


def _require_alone(copy: Path) -> None:
    """Nothing that SQLite would play onto it lies beside it."""
    beside = [file.name for file in copy.parent.iterdir() if file != copy]
    if beside:
        raise StateDamaged(f"{', '.join(beside)} lies beside the copy of the backup in {copy.parent}; restore again")
