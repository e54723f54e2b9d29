"""Looks into a state that no node has open: one that was kept aside, or that of a node that is stopped."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec

from hookline.errors import InvalidConfig, StateDamaged
from hookline.node.database import only_read
from hookline.node.state_machine import records
from hookline.node.state_machine.contents import check_contents
from hookline.node.storage.snapshots import StatePosition, read_position
from hookline.protocol.jobs import JobRecord, JobSpec, decode_spec


class KeptJob(msgspec.Struct, frozen=True):
    """A job that was not finished. ``is_sound``: what it is to send is as it was written."""

    record: JobRecord
    spec: JobSpec
    is_sound: bool


class Summary(msgspec.Struct, frozen=True):
    """The contents of a state. ``damage``: what is wrong with it, as far as the check went."""

    position: StatePosition
    counters: dict[str, int]
    damage: str | None


def summary(path: Path) -> Summary:
    """Read through a state. Raises StateDamaged when it cannot be read at all."""
    position = read_position(path)
    with _opened(path) as connection:
        counters: dict[str, int] = dict(connection.execute("SELECT name, sum(value) FROM counters GROUP BY name"))
        try:
            check_contents(connection)
        except StateDamaged as error:
            return Summary(position, counters, error.detail)
    return Summary(position, counters, None)


def open_jobs(path: Path) -> Iterator[KeptJob]:
    """The jobs that were pending or running, oldest first."""
    with _opened(path) as connection:
        for record, is_sound in records.open_jobs(connection):
            yield KeptJob(record, decode_spec(record.work.spec), is_sound)


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    if not path.is_file():
        raise InvalidConfig(f"there is no file {path}", field="state")
    try:
        with only_read(path) as connection:
            yield connection
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StateDamaged(f"{path}: {error}") from error
