"""The messages between a leader and a runner: claims and cancellations out, reports in. Pure data.

All of it is MessagePack between processes, array-like: a field may be added at the end with a default.
"""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

import msgspec

from hookline.protocol.jobs import DEFAULT_TENANT, JobSpec, Outcome
from hookline.protocol.modes import RunnerKind

DestinationVerdict = Literal["good", "bad", "timeout", "none"]
"""An attempt's news of its destination: it works, it fails, it did not answer in time, or nothing new."""

Trouble = Literal["connection", "timeout"]
"""The reason why no answer came: the connection failed or broke off, or the answer took too long."""


class ClaimRef(NamedTuple):
    """Names a claim by the job's number and the attempt's. No two claims of a cluster share it."""

    seq: int
    attempt: int


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """A committed claim with all that its attempt needs.

    Attributes:
        term: of the leader that claimed it; nothing is sent once that leader may be replaced.
        due_ms: when the job was due.
        ends_ms: from then on another process may make the call again (wall clock).
        run_at_ms: when the client asked for the job to run.
        sealed: the secrets that sign it, newest first; empty: the runner's default signs, if it has one.
        access: sealed, what its destination asks of callers; empty: nothing.
        tenant: whose job it is.
    """

    ref: ClaimRef
    term: int
    due_ms: int
    ends_ms: int
    job_id: str
    run_at_ms: int
    spec: JobSpec
    sealed: tuple[bytes, ...] = ()
    access: bytes = b""
    tenant: str = DEFAULT_TENANT


class Report(msgspec.Struct, frozen=True, array_like=True):
    """The result of one attempt, before the job's retry policy decides: that may make a failure permanent.

    Attributes:
        sent: the request left, or may have.
        trouble: why there is no answer, where the receiver or the way to it is to blame.
        costs_no_attempt: it did not leave, or was broken off, for a reason of our own.
        is_held: and a person has to do something first.
        is_lost: nobody tells of the attempt any more: the part of the runner that made it is dead, for one.
    """

    outcome: Outcome
    verdict: DestinationVerdict
    started_ms: int
    duration_ms: int
    sent: bool = False
    status: int | None = None
    error: str | None = None
    trouble: Trouble | None = None
    retry_after_ms: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    costs_no_attempt: bool = False
    is_held: bool = False
    is_lost: bool = False


class ClaimReport(msgspec.Struct, frozen=True, array_like=True):
    """A report and the claim that it is about; ``term`` is the claim's."""

    ref: ClaimRef
    term: int
    report: Report


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """From a runner to the leader: who it is, how its attempts ended, and which claims it still works on.

    Attributes:
        node: its name, as it is recorded with the attempts.
        reports: none twice.
        held: all its claims whose report is not among ``reports``.
        owner: its process, as claims name it.
        slots: attempts that it makes at once; 0: it takes no claims any more.
        number: of the frame; a later one of the same process has a larger number.
        unanswered: numbers of frames before it whose answers the runner may still take.
        term: the newest whose leader has answered the runner.
        places: the version of the places that it knows, see ``Orders``.
        is_last: it ends, and holds nothing.
    """

    node: str
    reports: tuple[ClaimReport, ...]
    held: tuple[ClaimRef, ...]
    owner: str
    kind: RunnerKind = "follower"
    slots: int = 0
    number: int = 0
    unanswered: tuple[int, ...] = ()
    term: int = 0
    places: str = ""
    is_last: bool = False


class Orders(msgspec.Struct, frozen=True, array_like=True):
    """The leader's answer, once all reports of the frame are in the log.

    Durations count from when the frame arrived. The runner takes them from when it sent the frame, which was before.

    Attributes:
        cancelled: of the claims that the runner works on, those to break off.
        claims: to attempt. The ``ends_ms`` of each is a duration here.
        term: of the leader.
        valid_for_ms: for as long requests of claims of this term may leave.
        wall_ms: the leader's trusted time when the frame arrived.
        places: (host, port) where the cluster's processes listen; None: as the runner knows.
        version: of these places.
    """

    cancelled: tuple[ClaimRef, ...]
    claims: tuple[Claim, ...] = ()
    term: int = 0
    valid_for_ms: int = 0
    wall_ms: int = 0
    places: tuple[tuple[str, int], ...] | None = None
    version: str = ""


TELL_MS: Final = 1_000  # after the longest an attempt can take, to have its outcome recorded before its claim ends


def not_sent(why: str, now_ms: int) -> Report:
    """The result of an attempt that was not begun, for a reason of our own."""
    return Report(Outcome.RETRYABLE_FAILURE, "none", now_ms, 0, error=why, costs_no_attempt=True)


def lost(now_ms: int, why: str | None = None) -> Report:
    """The result of an attempt that nobody tells of any more."""
    return Report(Outcome.UNKNOWN, "none", now_ms, 0, True, error=why, is_lost=True)


_BYTES_FIXED, _BYTES_PER_CHAR = 128, 4


def first_of(reports: Iterable[ClaimReport], bytes_max: int) -> tuple[ClaimReport, ...]:
    """As many of the reports as have about ``bytes_max`` together; one at least, if there is one."""
    found: list[ClaimReport] = []
    size = 0
    for it in reports:
        size += _size(it.report)
        if found and size > bytes_max:
            break
        found.append(it)
    return tuple(found)


def _size(report: Report) -> int:
    texts = len(report.error or "") + sum(len(name) + len(value) for name, value in report.headers)
    return _BYTES_FIXED + len(report.body) + _BYTES_PER_CHAR * texts
