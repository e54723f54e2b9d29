"""An accepted job: its states, its outcomes, and the immutable spec that is stored and sent."""

from enum import IntEnum

import msgspec


class State(IntEnum):
    """The stages of a job's life. The numbers are stored; never renumber."""

    PENDING = 0
    RUNNING = 1
    SUCCEEDED = 2
    DEAD = 3
    CANCELLED = 4
    UNKNOWN = 5

    def __init__(self, number: int) -> None:
        self.label = self._name_.lower()  # the name users see
        self.is_open = number < 2  # not finished


STATES = tuple(State)
"""By their numbers; to look one up here takes a tenth of the time that ``State(number)`` does."""
FINISHED = frozenset({State.SUCCEEDED, State.DEAD, State.CANCELLED, State.UNKNOWN})
STATE_BY_LABEL = {state.label: state for state in State}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # of the call to be made


class Outcome(IntEnum):
    """The result of one attempt. The numbers are stored; never renumber."""

    SUCCESS = 0
    RETRYABLE_FAILURE = 1
    PERMANENT_FAILURE = 2
    UNKNOWN = 3

    def __init__(self, _number: int) -> None:
        self.label = self._name_.lower()  # the name users see


RETRY_ON = ("connection", "timeout", "4xx", "5xx")
RETRY_NOT_ON = ("410",)  # the receiver says that it is gone for good


class RetryPolicy(msgspec.Struct, frozen=True, array_like=True):
    """Decides when to try again, and after which failures.

    ``schedule_ms`` (an explicit list of waits) wins over the exponential figures. ``on`` and ``not_on`` hold statuses
    (``"429"``), classes of them (``"5xx"``), ``"connection"`` and ``"timeout"``; ``on`` None: the default.
    ``has_waits``: the figures were chosen for this very job or destination; else a destination's may take their place.
    """

    max_attempts: int = 25
    initial_ms: int = 5_000
    factor_milli: int = 3_000
    max_ms: int = 4 * 3_600_000
    schedule_ms: tuple[int, ...] = ()
    budget_ms: int | None = None
    on: tuple[str, ...] | None = None
    not_on: tuple[str, ...] = ()
    has_waits: bool = False

    @property
    def has_conditions(self) -> bool:
        """Does it say after what to try again?"""
        return self.on is not None or bool(self.not_on)

    @property
    def retried(self) -> tuple[str, ...]:
        """Failures after which the job is tried again, but for those of ``not_retried``."""
        return RETRY_ON if self.on is None else self.on

    @property
    def not_retried(self) -> tuple[str, ...]:
        """Failures after which it is not. ``not_on`` alone takes from the default, which has exceptions of its own."""
        return self.not_on if self.on is not None else tuple(dict.fromkeys(RETRY_NOT_ON + self.not_on))


def in_force(own: RetryPolicy, destination: RetryPolicy | None) -> RetryPolicy:
    """The policy of a job: its waits and its conditions are each its own, if it has any, else the destination's."""
    if destination is None or (own.has_waits and own.has_conditions):
        return own
    waits = own if own.has_waits or not destination.has_waits else destination
    conditions = own if own.has_conditions else destination
    return msgspec.structs.replace(waits, on=conditions.on, not_on=conditions.not_on)


PAYLOAD_REMOVED = -1
"""As the size of a job's payload: it was deleted, so the job is never sent again."""


class JobSpec(msgspec.Struct, frozen=True, array_like=True):
    """Everything needed to make the call; stored as one MessagePack blob, replaced as a whole by an update.

    Where payloads are encrypted at rest, ``sealed_content`` stands for ``headers`` and ``body``, which are empty then.
    """

    url: str
    destination: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_json: bool
    timeout_ms: int
    retry: RetryPolicy
    at_most_once: bool
    priority: int
    labels: dict[str, str] | tuple[str, ...]
    sealed_secret: bytes | None = None
    traceparent: str | None = None
    redact: tuple[str, ...] = ()  # what is shown as a mask: headers, ``payload``, ``response_body``; sorted
    sealed_content: bytes = b""
    tracestate: str = ""  # with traceparent


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(JobSpec)


def encode_spec(spec: JobSpec) -> bytes:
    """The stored form."""
    return _encoder.encode(spec)


def decode_spec(blob: bytes) -> JobSpec:
    """The inverse of ``encode_spec``; fields added later take their defaults."""
    return _decoder.decode(blob)


DEFAULT_TENANT = ""
"""The owner of everything, as long as nobody names another tenant."""


class Work(msgspec.Struct, frozen=True, array_like=True):
    """The call to make, and for whom: the part of a job that all commands about it share.

    Attributes:
        tenant: whose job it is.
        size: bytes of the payload, or ``PAYLOAD_REMOVED``.
        labels: as they are indexed, see ``label_texts``.
        spec: a ``JobSpec``, encoded. What apply has to know of it stands beside it, so that it decodes nothing.
    """

    tenant: str
    destination: str
    priority: int
    at_most_once: bool
    size: int
    timeout_ms: int
    labels: tuple[str, ...]
    spec: bytes


def work_of(spec: JobSpec, tenant: str, *, stored: JobSpec | None = None) -> Work:
    """The work that a spec describes; ``stored``: the same with its content sealed, if it is."""
    return Work(
        tenant=tenant,
        destination=spec.destination,
        priority=spec.priority,
        at_most_once=spec.at_most_once,
        size=len(spec.body),
        timeout_ms=spec.timeout_ms,
        labels=tuple(label_texts(spec.labels)) if spec.labels else (),
        spec=encode_spec(stored or spec),
    )


_work_decoder = msgspec.msgpack.Decoder(Work)


def encode_work(work: Work) -> bytes:
    """The stored form, for what makes jobs again and again."""
    return _encoder.encode(work)


def decode_work(blob: bytes) -> Work:
    """The inverse of ``encode_work``."""
    return _work_decoder.decode(blob)


class AttemptRecord(msgspec.Struct, frozen=True, array_like=True):
    """One attempt that was made; ``duration_ms`` None: nobody knows, since its process was lost."""

    number: int
    outcome: int
    status: int | None
    error: str | None
    started_ms: int
    duration_ms: int | None
    node: str
    term: int
    response_headers: tuple[tuple[str, str], ...] = ()
    response_body: bytes = b""


class ClaimRecord(msgspec.Struct, frozen=True, array_like=True):
    """The claim of an attempt whose outcome may still come."""

    term: int
    deadline_ms: int
    owner: str


class KeyRecord(msgspec.Struct, frozen=True, array_like=True):
    """An idempotency key that names a job."""

    key: str
    fingerprint: bytes
    expires_ms: int


class JobRecord(msgspec.Struct, frozen=True, array_like=True):
    """A whole job, as one state gives it and another takes it: all but the number that it has in a state.

    Attributes:
        attempts: claims so far, ``attempts_before`` of which are not in the budget; ``lost``: the last ones in a row
            that had no outcome.
        is_retry: it waits for another attempt than its first, or made one.
        schedule: the id of the schedule that made it, while that exists.
        history: the attempts whose end is known.
    """

    id: str
    work: Work
    state: int
    due_ms: int
    run_at_ms: int
    created_ms: int
    budget_from_ms: int
    finished_ms: int | None = None
    is_retry: bool = False
    attempts: int = 0
    attempts_before: int = 0
    lost: int = 0
    claimed_ms: int | None = None
    claim: ClaimRecord | None = None
    revision: int = 1
    fingerprint: bytes = b""
    kept_until_ms: int = 0
    keys: tuple[KeyRecord, ...] = ()
    schedule: str | None = None
    history: tuple[AttemptRecord, ...] = ()


def without_payload(spec: JobSpec) -> JobSpec:
    """The spec that stays when the payload is deleted: the call, with the names of its headers and no values."""
    headers = tuple((name, "") for name, _ in spec.headers)
    return msgspec.structs.replace(
        spec, headers=headers, body=b"", is_json=False, sealed_secret=None, sealed_content=b"", tracestate=""
    )


def label_texts(labels: dict[str, str] | tuple[str, ...]) -> list[str]:
    """The labels as they are indexed: ``name=value`` for pairs, the text itself for a plain list."""
    if isinstance(labels, dict):
        return [f"{name}={value}" for name, value in labels.items()]
    return list(labels)


def in_one_order(spec: JobSpec) -> JobSpec:
    """The same for specs that differ only in the order of headers and labels, which says nothing."""
    labels = spec.labels if isinstance(spec.labels, dict) else tuple(sorted(spec.labels))
    return msgspec.structs.replace(spec, headers=tuple(sorted(spec.headers)), labels=labels)


# A lane is what due jobs are queued by: (destination, priority, is it a retry). One integer, so that the due
# index sorts a destination's first tries of high priority first.
_PRIORITY_SHIFT, _DESTINATION_SHIFT = 1, 9
_PRIORITY_BIAS = 128


def lane_of(destination_id: int, priority: int, retry: bool) -> int:
    """The lane number; the inverse is ``lane_parts``."""
    return destination_id << _DESTINATION_SHIFT | (_PRIORITY_BIAS - priority) << _PRIORITY_SHIFT | retry


def lane_parts(lane: int) -> tuple[int, int, bool]:
    """(destination id, priority, is a retry) of a lane."""
    return lane >> _DESTINATION_SHIFT, _PRIORITY_BIAS - (lane >> _PRIORITY_SHIFT & 0xFF), bool(lane & 1)


def destination_of(lane: int) -> int:
    """The destination id of a lane."""
    return lane >> _DESTINATION_SHIFT


def trace_id_of(traceparent: str | None) -> str | None:
    """The id of the trace that a well-formed header of W3C Trace Context names."""
    return None if traceparent is None else traceparent[3:35]
