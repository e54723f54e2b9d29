"""The story of a job, from its row and its attempts: what happened when, and why it waited in between. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from hookline.client.answers import Attempt, Job


class StoryStep(NamedTuple):
    """One thing that happened, or will.

    Attributes:
        kind: ``created``, ``attempt``, ``waiting``, ``running`` or ``ended``.
        title: in a few words.
        at: when; None: nobody knows.
        word: the state or outcome that it shows, for its colour.
        waited: since the step before ended, if that is worth a word.
        detail: a sentence.
        attempt: what was answered.
    """

    kind: str
    title: str
    at: datetime | None
    word: str
    waited: timedelta | None = None
    detail: str = ""
    attempt: Attempt | None = None


_ENDS = {
    "succeeded": "Succeeded",
    "dead": "Dead: it is not tried again by itself",
    "cancelled": "Cancelled",
    "unknown": "Unknown: its node was lost, and it may be sent at most once",
}
_OUTCOMES = {
    "success": "succeeded",
    "retryable_failure": "failed",
    "permanent_failure": "failed for good",
    "unknown": "has an unknown end: its node was lost",
}
_WORTH_A_WORD = timedelta(seconds=1)


def steps_of(job: Job, attempts: Sequence[Attempt]) -> list[StoryStep]:
    """The steps, oldest first."""
    planned = "" if job.run_at - job.created_at < _WORTH_A_WORD else "It was made to run later."
    if job.schedule is not None:
        planned = f"The schedule {job.schedule} made it."
    found = [StoryStep("created", "Created", job.created_at, "created", detail=planned)]
    ended = job.created_at
    for attempt in attempts:
        waited = attempt.started_at - ended
        found.append(
            StoryStep(
                "attempt",
                f"Attempt {attempt.number} {_OUTCOMES[attempt.outcome]}",
                attempt.started_at,
                attempt.outcome,
                waited if waited >= _WORTH_A_WORD else None,
                attempt.error or "",
                attempt,
            )
        )
        ended = attempt.started_at + timedelta(milliseconds=attempt.duration_ms or 0)
    return [*found, *_now(job)]


def _now(job: Job) -> list[StoryStep]:
    if job.state in _ENDS:
        return [StoryStep("ended", _ENDS[job.state], job.finished_at, job.state)]
    if job.state == "running":
        return [StoryStep("running", f"Attempt {job.attempts_made} is under way", None, "running")]
    why = "" if job.waiting_for is None else job.waiting_for.detail
    return [
        StoryStep("waiting", f"Waits for attempt {job.attempts_made + 1}", job.next_attempt_at, "pending", detail=why)
    ]
