"""Moving between clusters when the topology changes: the shapes of batches and of their steps. Pure data.

Everything goes in batches, each in three steps: the new home takes it inert, the old home gives it up (the point of no
return), the new home makes it count. docs/explanation/moving.md says what a crash leaves at each step.
"""

from typing import Final

import msgspec

from hookline.protocol.jobs import JobRecord

JOB, KEY, SCHEDULE = 0, 1, 2
"""Kinds of names. The numbers are stored; never renumber."""

BATCH_ITEMS_MAX: Final = 100  # some ten milliseconds of work in one go
BATCH_ITEMS_BESIDE: Final = 20  # while a cluster delivers: what falls due meanwhile waits for that long
BATCH_BYTES_MAX: Final = 256 * 1024  # of an entry's 512 KiB: others' commands travel with it


class ScheduleRecord(msgspec.Struct, frozen=True, array_like=True):
    """A whole schedule, as one state gives it and another takes it: all but its number there and its newest job."""

    tenant: str
    id: str
    revision: int
    spec: bytes
    work: bytes
    next_tick_ms: int | None
    skip_overlap: bool
    paused: bool
    created_ms: int
    last_tick_ms: int | None = None
    made: int = 0
    skipped: int = 0


class Pointer(msgspec.Struct, frozen=True, array_like=True):
    """A name whose home is another cluster than the one that has it, and keeps it: shard ``shard``.

    ``until_ms``: nobody can ask for it afterwards.
    """

    kind: int
    tenant: str
    name: str
    shard: int
    until_ms: int


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Holds what travels together."""

    jobs: tuple[JobRecord, ...] = ()
    schedules: tuple[ScheduleRecord, ...] = ()
    pointers: tuple[Pointer, ...] = ()


class Departure(msgspec.Struct, frozen=True, array_like=True):
    """A batch that was given up, whose new home has not said that it counts there.

    ``batch``: as it was sent; ``jobs``, ``schedules``: the positions of what went. ``since_ms``: when.
    """

    number: int
    batch: bytes
    jobs: tuple[int, ...]
    schedules: tuple[int, ...]
    since_ms: int


_encoder = msgspec.msgpack.Encoder()
_batches = msgspec.msgpack.Decoder(Batch)
_departures = msgspec.msgpack.Decoder(Departure)


def encode_batch(batch: Batch) -> bytes:
    """The form that is sent and stored."""
    return _encoder.encode(batch)


def decode_batch(blob: bytes) -> Batch:
    """The inverse. Raises msgspec.MsgspecError."""
    return _batches.decode(blob)


def encode_departure(departure: Departure) -> bytes:
    """The stored form."""
    return _encoder.encode(departure)


def decode_departure(blob: bytes) -> Departure:
    """The inverse of ``encode_departure``."""
    return _departures.decode(blob)


class Arrival(msgspec.Struct, frozen=True, array_like=True):
    """The body of ``POST /internal/moves/arrivals``: a batch on its way from a cluster, to be kept inert.

    Attributes:
        source: the history of the state it comes from, see ``source_of``.
        number: its own; one more than the last one that counts here, or that one again.
        batch: encoded.
    """

    source: str
    number: int
    batch: bytes


class Activation(msgspec.Struct, frozen=True, array_like=True):
    """The body of ``POST /internal/moves/activations``: the old home has given these up, by their positions."""

    source: str
    number: int
    jobs: tuple[int, ...]
    schedules: tuple[int, ...]


def source_of(cluster_id: str, generation: int) -> str:
    """Tells the batches of one history of a cluster from those of any other."""
    return f"{cluster_id}/{generation}"
