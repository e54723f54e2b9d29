"""The messages between a leader and a runner: claims and cancellations out, reports in. Pure data.

All of it is MessagePack between processes, array-like: a field may be added at the end with a default.
"""

from typing import Literal, NamedTuple

import msgspec

from hookline.protocol.jobs import JobSpec, Outcome

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
    """

    ref: ClaimRef
    term: int
    due_ms: int
    ends_ms: int
    job_id: str
    run_at_ms: int
    spec: JobSpec
    sealed: tuple[bytes, ...] = ()


class Report(msgspec.Struct, frozen=True, array_like=True):
    """The result of one attempt, before the job's retry policy decides: that may make a failure permanent.

    Attributes:
        sent: the request left, or may have.
        trouble: why there is no answer, where the receiver or the way to it is to blame.
        costs_no_attempt: it did not leave, or was broken off, for a reason of our own.
        is_held: and a person has to do something first.
        is_lost: the part of the runner is dead that made the attempt, and nobody knows what came of it.
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
    """From a runner to the leader: reports, and which claims it still works on. ``node``: where the attempts ran."""

    node: str
    reports: tuple[ClaimReport, ...]
    held: tuple[ClaimRef, ...]


class Orders(msgspec.Struct, frozen=True, array_like=True):
    """The leader's answer: which of the claims that the runner works on it shall break off."""

    cancelled: tuple[ClaimRef, ...]


_BYTES_FIXED, _BYTES_PER_CHAR = 128, 4


def frames(node: str, reports: list[ClaimReport], held: tuple[ClaimRef, ...], *, bytes_max: int) -> list[Frame]:
    """The reports in their order, in frames of about ``bytes_max`` at most, and at least one frame."""
    parts: list[list[ClaimReport]] = [[]]
    size = 0
    for it in reports:
        more = _size(it.report)
        if parts[-1] and size + more > bytes_max:
            parts.append([])
            size = 0
        parts[-1].append(it)
        size += more
    return [Frame(node, tuple(part), held) for part in parts]


def _size(report: Report) -> int:
    texts = len(report.error or "") + sum(len(name) + len(value) for name, value in report.headers)
    return _BYTES_FIXED + len(report.body) + _BYTES_PER_CHAR * texts
