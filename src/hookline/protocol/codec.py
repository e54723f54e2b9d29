"""Log entries as bytes: 4 bytes CRC-32 (big endian) of what follows, then one MessagePack array.

Source of the layout: docs/decisions/0003-entry-format.md.
"""

import zlib

import msgspec

from hookline.errors import EntryDamaged, EntryTooLarge, UnknownCommand
from hookline.protocol.commands import AnyCommand
from hookline.protocol.limits import ENTRY_BYTES_MAX

VERSION = 1


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One batch of commands, the unit of the log. ``time_ms`` is the leader's wall clock, the only time apply sees."""

    version: int
    term: int
    index: int
    time_ms: int
    nonce: bytes
    commands: tuple[AnyCommand, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)
_versions = msgspec.msgpack.Decoder(tuple[int, ...])


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
    if entry.version > VERSION:
        raise UnknownCommand(
            f"entry {entry.index} has version {entry.version}, this release knows {VERSION}; upgrade me"
        )
    return entry


def command_size(command: AnyCommand) -> int:
    """About how many bytes a command adds to an entry: exact for what can be large, generous for the rest."""
    spec = getattr(command, "spec", b"")
    body = getattr(command, "response_body", b"")
    claims = getattr(command, "claims", ())
    return (
        400
        + len(spec)
        + len(body)
        + 32 * len(claims)
        + len(getattr(command, "job_spec", b""))
        + len(getattr(command, "settings", b""))
    )
