"""The stored settings of schedules and destinations, as MessagePack. Pure data, in integers."""

from typing import Literal

import msgspec

from hookline.protocol.jobs import RetryPolicy


class ScheduleSpec(msgspec.Struct, frozen=True, array_like=True):
    """The calendar of a schedule; its job is stored beside it."""

    cron: str
    timezone: str
    catch_up: Literal["skip", "coalesce", "all"]
    window_ms: int
    skip_overlap: bool
    jitter_ms: int
    start_ms: int | None
    end_ms: int | None


class DestinationSettings(msgspec.Struct, frozen=True, array_like=True):
    """Limits, secrets and retry policy of a destination; None: the node's default."""

    concurrency: int | None = None
    rate_limit: int | None = None
    rate_per_ms: int = 1_000
    paused: bool = False
    sealed_secrets: tuple[bytes, ...] = ()
    retry: RetryPolicy | None = None
    sealed_access: bytes = b""  # a ``ReceiverAccess``


_encode = msgspec.msgpack.Encoder().encode
_schedules = msgspec.msgpack.Decoder(ScheduleSpec)
_destinations = msgspec.msgpack.Decoder(DestinationSettings)


def encode(settings: ScheduleSpec | DestinationSettings) -> bytes:
    """The stored form."""
    return _encode(settings)


def decode_schedule(blob: bytes) -> ScheduleSpec:
    """The inverse for a schedule."""
    return _schedules.decode(blob)


# What is stored for a destination that was deleted. It is a setting like any other, so it reaches clusters that were
# away and takes the place of theirs; a row that is merely gone would be put back by them.
DELETED = b""


def decode_destination(blob: bytes | None) -> DestinationSettings:
    """The inverse for a destination; None and ``DELETED`` give the defaults."""
    return _destinations.decode(blob) if blob else DestinationSettings()
