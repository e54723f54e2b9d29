"""A backup becomes the state of a new node: wholly or not at all, wherever it is broken off.

All work is done in a directory of its own, with a name that was never used before: SQLite plays whatever log it finds
beside a file onto that file, so what an earlier restore left must not lie beside the copy of a later one. The directory
is also the sign that a restore was begun; while it is there and no state is, no node starts.
"""

import shutil
import tempfile
from pathlib import Path

from hookline.errors import DiskFault, HooklineError, InvalidConfig, RestoreBrokenOff, StateDamaged
from hookline.node.state_machine.machine import mark_restored
from hookline.node.storage.snapshots import (
    SnapshotInfo,
    holds_state,
    install,
    require_space,
    sha256_of,
    space_for,
    verify_content,
)

_PREFIX = "restoring"  # also of what earlier releases left: restoring.partial, -wal, -shm


def refuse_state(data_dir: Path) -> None:
    """Raise InvalidConfig if there is state already."""
    if holds_state(data_dir):
        raise InvalidConfig(f"{data_dir} holds state already; restore into a new directory", field="data_dir")


def restore(source: Path, info: SnapshotInfo, data_dir: Path) -> None:
    """Make a backup that was found sound the state of the node whose lock on ``data_dir`` the caller holds.

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
