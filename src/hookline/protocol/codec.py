"""Log entries as bytes: 4 bytes CRC-32 (big endian) of what follows, then one MessagePack array.

Source of the layout: docs/decisions/0003-entry-format.md.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import astuple

from hookline.errors import EntryDamaged, EntryTooLarge, UnknownCommand
from hookline.protocol.commands import (
    ActivateBatch,
    AnyCommand,
    CancelJobs,
    ClaimJobs,
    CreateJob,
    DeletePayload,
    GiveAway,
    ImportDestinations,
    LoseClaims,
    NoteAudit,
    PutApiKeys,
    PutDestination,
    PutSchedule,
    RecordOutcome,
    RecordTicks,
    RedriveJobs,
    SetTopology,
    TakeBatch,
    TouchApiKeys,
    UpdateJob,
)
from hookline.protocol.jobs import Work
from hookline.protocol.limits import ENTRY_BYTES_GATHER, ENTRY_BYTES_MAX, ENTRY_COMMANDS_MAX

VERSION = 5
C = TypeVar("C", bound=AnyCommand)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One batch of commands, the unit of the log. ``time_ms`` is the leader's wall clock, the only time apply sees.

    ``before``: the digest of the state it was written for. A node whose state has another one does not apply it.
    """

    version: int
    term: int
    index: int
    time_ms: int
    nonce: bytes
    before: bytes
    commands: tuple[AnyCommand, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """The entry's bytes. Raises EntryTooLarge over ``ENTRY_BYTES_MAX``."""
    body = _encoder.encode(entry)
    if len(body) + 4 > ENTRY_BYTES_MAX:
        raise EntryTooLarge(f"entry {entry.index} has {len(body) + 4} bytes; at most {ENTRY_BYTES_MAX} are allowed")
    return zlib.crc32(body).to_bytes(4, "big") + body


def decode_entry(data: bytes) -> Entry:
    """The inverse. Raises EntryDamaged on a checksum that differs, UnknownCommand on a newer format."""
    body = memoryview(data)[4:]
    if len(data) < 5 or zlib.crc32(body) != int.from_bytes(data[:4], "big"):
        raise EntryDamaged
    try:
        entry = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise UnknownCommand(f"an entry cannot be read by this release: {error}; upgrade me") from error
    if entry.version != VERSION:
        raise UnknownCommand(
            f"entry {entry.index} has version {entry.version}, this release knows {VERSION}; "
            + ("upgrade me" if entry.version > VERSION else "it was written by a release before 0.1.0")
        )
    return entry


_FIXED = 128  # tag, prefixes and numbers, those of a job's work too
_SHORT_TEXTS = 1_024  # ids and names of the commands that are rare
_PER_CHAR = 4  # of UTF-8 at most; ids, keys and destinations are ASCII
_PER_ITEM = 10  # the prefix of a text, or an integer


def command_size(command: AnyCommand) -> int:
    """At least as many bytes as the command takes in an entry, and not many more where there are many of them."""
    match command:
        case CreateJob():
            ascii_texts = len(command.id) + len(command.key or "")
            return _FIXED + ascii_texts + len(command.fingerprint) + _work(command.work)
        case RecordOutcome():
            size = _FIXED + len(command.response_body) + _PER_CHAR * (len(command.error or "") + len(command.node))
            return size + sum(map(_texts, command.response_headers))
        case ClaimJobs() | LoseClaims():
            return _SHORT_TEXTS + 2 * _PER_ITEM * len(command.claims)
        case CancelJobs() | RedriveJobs():
            return _FIXED + _PER_ITEM * len(command.seqs)
        case UpdateJob():
            return _FIXED + _work(command.work)
        case PutSchedule():
            return _SHORT_TEXTS + len(command.spec) + _work(command.work)
        case RecordTicks():
            return _FIXED + sum(3 * _PER_ITEM + len(job_id) for _, _, job_id in command.ticks)
        case (
            TakeBatch(batch=blob)
            | PutDestination(settings=blob)
            | SetTopology(document=blob)
            | DeletePayload(spec=blob)
        ):
            return _SHORT_TEXTS + len(blob)
        case ImportDestinations() | PutApiKeys() | TouchApiKeys():
            return _FIXED + sum(map(_row, _rows(command)))
        case _:
            return _SHORT_TEXTS + _rare(command)


def _rare(command: AnyCommand) -> int:
    match command:
        case NoteAudit():
            return _texts(astuple(command.note))
        case TakeBatch():
            return len(command.batch)
        case GiveAway():
            return len(command.batch) + 5 * _PER_ITEM * (len(command.jobs) + len(command.schedules))
        case ActivateBatch():
            return _PER_ITEM * (len(command.jobs) + len(command.schedules))
        case _:
            return 0


def _work(work: Work) -> int:
    return len(work.tenant) + len(work.destination) + len(work.spec) + _texts(work.labels)


def _rows(command: ImportDestinations | PutApiKeys | TouchApiKeys) -> Iterable[Sequence[str | bytes | int]]:
    match command:
        case ImportDestinations():
            return (*command.settings, *command.tenants)
        case PutApiKeys():
            return command.keys
        case TouchApiKeys():
            return command.uses


def _row(values: Sequence[str | bytes | int]) -> int:
    return 4 * _PER_ITEM + sum(len(value) for value in values if not isinstance(value, int))


def _texts(texts: tuple[str, ...]) -> int:
    return _PER_ITEM * (len(texts) + 1) + _PER_CHAR * sum(map(len, texts))


def split(commands: Sequence[C]) -> list[list[C]]:
    """The commands in their order, in parts that each fit an entry together with what else it gathers."""
    parts: list[list[C]] = []
    size = 0
    for command in commands:
        more = command_size(command)
        if not parts or size + more > ENTRY_BYTES_GATHER or len(parts[-1]) == ENTRY_COMMANDS_MAX:
            parts.append([])
            size = 0
        parts[-1].append(command)
        size += more
    return parts
