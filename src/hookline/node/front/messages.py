"""The messages that a front and its node send each other over their link. Pure data, as MessagePack.

A call that a front answers itself asks the node one question, which has one answer: ``Create`` or ``Confirm``. Every
other call is relayed: its request goes to the node as it came and the answer comes back as it is, both piece by piece.
``number`` tells the calls of one front apart.
"""

from collections.abc import Callable

import msgspec

from hookline.http_api.callers import ApiCaller
from hookline.http_api.messages import HeaderPair
from hookline.node.api.views import Pending
from hookline.protocol.commands import CreateJob
from hookline.protocol.http import WaitingFor
from hookline.telemetry.log_events import LogArea, LogLevel


class FrontMessage(msgspec.Struct, frozen=True, array_like=True):
    """The root of what a front sends."""


class Ready(FrontMessage, frozen=True, array_like=True, tag=1):
    """It takes connections."""


class Create(FrontMessage, frozen=True, array_like=True, tag=2):
    """Put these jobs into the log.

    Attributes:
        is_each: it is a batch: each is accepted or refused on its own.
        is_shown: the answer shows the job, so the front has to know why it waits.
        caller: None: an ordinary client.
        is_fallback: it allows that its id goes to another cluster than its home.
        has_more: further ones of the same call follow; the answer comes after the last.
    """

    number: int
    commands: list[CreateJob]
    is_each: bool
    is_shown: bool
    caller: ApiCaller | None
    is_fallback: bool
    has_more: bool = False


class Confirm(FrontMessage, frozen=True, array_like=True, tag=3):
    """May the front answer this call itself, after it has read the state?

    Attributes:
        term: in which the node led before the front read; so it does still.
        call: by name.
        pending: jobs; why do they wait?
    """

    number: int
    term: int
    call: str
    caller: ApiCaller | None
    pending: list[Pending]


class Begin(FrontMessage, frozen=True, array_like=True, tag=4):
    """A call for the node, without its body: what its ASGI scope holds."""

    number: int
    method: str
    path: str
    raw_path: bytes
    query_string: bytes
    headers: list[HeaderPair]
    client: tuple[str, int] | None
    http_version: str


class Part(FrontMessage, frozen=True, array_like=True, tag=5):
    """The next piece of the body."""

    number: int
    body: bytes
    has_more: bool


class Gone(FrontMessage, frozen=True, array_like=True, tag=6):
    """The client has gone away, or has its answer."""

    number: int


class Taken(FrontMessage, frozen=True, array_like=True, tag=7):
    """The last piece of the answer is on its way to the client; the next may come."""

    number: int


class Counts(FrontMessage, frozen=True, array_like=True, tag=8):
    """Happened since the last such message: how long creates took, refusals by code."""

    create_seconds: list[float]
    refusals: dict[str, int]


class NodeMessage(msgspec.Struct, frozen=True, array_like=True):
    """The root of what the node sends."""


class Drain(NodeMessage, frozen=True, array_like=True, tag=1):
    """Take no more connections, answer what is under way, and end."""


class NodeTime(NodeMessage, frozen=True, array_like=True, tag=2):
    """By how much the trusted time is ahead of the boot clock, the term in which the node leads, or 0; log levels."""

    offset_ms: float
    term: int
    log_levels: dict[LogArea, LogLevel]


class JobFate(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """The fate of one job: it is there as ``id``, or ``refused`` with that code, or ``home`` is another cluster."""

    id: str = ""
    is_deduplicated: bool = False
    refused: str = ""
    home: str = ""


class CreateAnswer(NodeMessage, frozen=True, array_like=True, tag=3):
    """The answer to ``Create``.

    Attributes:
        time_ms: of the entry.
        waiting_for: why the job waits; None where nobody asked, or it was there before.
        settings: of its destination, as they are stored; empty: the default.
    """

    number: int
    fates: list[JobFate]
    time_ms: int
    waiting_for: WaitingFor | None = None
    settings: bytes = b""


class Confirmed(NodeMessage, frozen=True, array_like=True, tag=4):
    """The answer to ``Confirm``: yes."""

    number: int
    waiting_for: list[WaitingFor]


class GivenAnswer(NodeMessage, frozen=True, array_like=True, tag=5):
    """The call is to be answered with this."""

    number: int
    status: int
    body: bytes
    content_type: bytes
    headers: list[HeaderPair]


class NotByYou(NodeMessage, frozen=True, array_like=True, tag=6):
    """Nothing was accepted: the call is to be relayed. ``term``: in which this node leads; 0: it does not."""

    number: int
    term: int


class Want(NodeMessage, frozen=True, array_like=True, tag=7):
    """The node asks for the next piece of a relayed call's body, or for its end."""

    number: int


class Start(NodeMessage, frozen=True, array_like=True, tag=8):
    """The head of a relayed answer."""

    number: int
    status: int
    headers: list[HeaderPair]


class Body(NodeMessage, frozen=True, array_like=True, tag=9):
    """The next piece of a relayed answer."""

    number: int
    body: bytes
    has_more: bool


class Broken(NodeMessage, frozen=True, array_like=True, tag=10):
    """There will be no further piece: the node could not go on."""

    number: int


FromFront = Ready | Create | Confirm | Begin | Part | Gone | Taken | Counts
FromNode = Drain | NodeTime | CreateAnswer | Confirmed | GivenAnswer | NotByYou | Want | Start | Body | Broken

encode: Callable[[FromFront | FromNode], bytes] = msgspec.msgpack.Encoder().encode
from_front: Callable[[bytes], FromFront] = msgspec.msgpack.Decoder(FromFront).decode
from_node: Callable[[bytes], FromNode] = msgspec.msgpack.Decoder(FromNode).decode
