"""The messages between a node and an attempt process of its own: one setup, then work out and reports in.

The setup is pickled: both ends are one release, of one parent, over a socket that nobody else can reach. What follows
is MessagePack, array-like.
"""

import pickle
from dataclasses import dataclass

import msgspec

from hookline.node.config import NodeConfig
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport
from hookline.telemetry.log_events import LogArea, LogLevel
from hookline.telemetry.tracing.settings import NO_TRACES, TraceSettings


@dataclass(frozen=True, slots=True)
class Setup:
    """The first message: what an attempt process works by.

    Attributes:
        keys: of the vault.
        slots: attempts that it makes at once.
        logs_as_json, log_levels: as the node writes its logs.
        traces: as the node sends them.
    """

    config: NodeConfig
    keys: tuple[bytes, ...]
    slots: int
    logs_as_json: bool
    log_levels: dict[LogArea, LogLevel]
    traces: TraceSettings = NO_TRACES


class Assignment(msgspec.Struct, frozen=True, array_like=True):
    """Orders for the process; each replaces the validity, the time and the places of the one before.

    Attributes:
        term: requests of its claims may leave until ``valid_until_ms`` (boot clock), and of no other term.
        wall_ms: the trusted time minus the boot clock, which is the same for all processes of a machine.
        claims: attempts to make.
        cancelled: attempts to break off.
        places: (host, port) where our own processes listen, if that has changed.
        is_over: break off all attempts.
        log_levels: if they have changed.
    """

    term: int
    valid_until_ms: float
    wall_ms: float
    claims: tuple[Claim, ...] = ()
    cancelled: tuple[ClaimRef, ...] = ()
    places: tuple[tuple[str, int], ...] | None = None
    is_over: bool = False
    log_levels: dict[LogArea, LogLevel] | None = None


_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
decode_assignment = msgspec.msgpack.Decoder(Assignment).decode
decode_reports = msgspec.msgpack.Decoder(list[ClaimReport]).decode


def encode_setup(setup: Setup) -> bytes:
    """As the first message."""
    return pickle.dumps(setup)


def decode_setup(message: bytes) -> Setup:
    """The inverse."""
    setup = pickle.loads(message)  # noqa: S301 - from our own parent, see above
    assert isinstance(setup, Setup)
    return setup
