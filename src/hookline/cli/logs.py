"""``hookline logs``: a job's story, step by step, until it ends if you like."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from hookline.cli import render
from hookline.cli.output import print_json, stdout
from hookline.cli.parameters import AnyText, Flag, Interval
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.client.answers import Attempt, AttemptList, Job
from hookline.client.timeline import StoryStep, steps_of
from hookline.protocol.durations import format_duration
from hookline.visible import visible, visible_line, without_password

if TYPE_CHECKING:
    from hookline.cli.calls import Calls

_ANSWER_CHARS_MAX: Final = 500
_INDENT: Final = " " * 26

StoryLine = tuple[str, str]
"""A line, and the word that gives it its colour; empty: it is dim."""


def logs(
    job_id: AnyText,
    /,
    *,
    follow: Flag = False,
    interval: Interval = 0.5,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Tell a job's story: when it was made, each attempt with its answer, how long it waited and why, and what is next.

    With --follow the exit code is 0 only if it succeeded. Only attempts that are kept are told; a job that was changed
    or tried again by hand is shown as it is now.

    Args:
        job_id: The job's id.
        follow: Go on until the job ends, and show each step when it comes.
        interval: Seconds between two looks.
        service: Where Hookline is. With --json: one JSON document, with --follow at the end.
    """
    console = stdout()
    shown: list[StoryStep] = []
    with service.calls() as calls:
        while True:
            job, attempts = job_with_attempts(calls, job_id)
            steps = steps_of(job, attempts)
            if not service.json:
                if not shown:
                    console.print(visible_line(_headline(job)), style="bold", soft_wrap=True)
                for text, word in story_lines(_news(steps, shown)):
                    console.print(text, style=render.style_of(word) if word else "dim", soft_wrap=True)
                shown = steps
            if not follow or job.state in requests.FINISHED:
                break
            time.sleep(interval)
    if service.json:
        print_json({"job": job, "steps": [_document(job, step) for step in steps]})
    return int(follow and job.state != "succeeded")


def job_with_attempts(calls: "Calls", job_id: str) -> tuple[Job, list[Attempt]]:
    """The job, and its attempts as they were no later than it: a job that has ended has them all."""
    job = calls.send(requests.get_job(job_id).giving(Job))
    return job, calls.send(requests.attempts(job_id).giving(AttemptList)).data


def _news(steps: Sequence[StoryStep], shown: Sequence[StoryStep]) -> Iterator[StoryStep]:
    """Those that came since. The last one, which says what is now, counts as new when it says something else."""
    for place, step in enumerate(steps):
        before = shown[place] if place < len(shown) else None
        if before is None or (before.title, before.at) != (step.title, step.at):
            yield step


def _headline(job: Job) -> str:
    return f"{job.id} · {job.method} {without_password(job.url)} · {job.state}, {job.guarantee}"


def story_lines(steps: Iterable[StoryStep]) -> Iterator[StoryLine]:
    """The steps as lines, each of which may hold several."""
    for step in steps:
        yield from _lines(step)


def _lines(step: StoryStep) -> Iterator[StoryLine]:
    at = "" if step.at is None else _time(step.at)
    if step.waited is not None:
        yield f"{_INDENT}… waited {format_duration(round(step.waited.total_seconds()) * 1_000)}", ""
    yield f"{at:<{len(_INDENT)}}{step.title}", step.word
    if step.attempt is not None:
        yield from ((f"{_INDENT}{text}", "") for text in _of_attempt(step.attempt))
    if step.detail:
        yield f"{_INDENT}{visible_line(step.detail)}", ""


def _of_attempt(attempt: Attempt) -> Iterator[str]:
    took = "nobody knows when" if attempt.duration_ms is None else f"after {attempt.duration_ms:,} ms"
    answer = "no answer" if attempt.status is None else f"answered {attempt.status}"
    yield f"{answer} {took} · node {attempt.node}, term {attempt.term}"
    body = attempt.response_body.strip()
    if body:
        more = " …" if len(body) > _ANSWER_CHARS_MAX else ""
        # Indented, so that no answer looks like the next step.
        yield visible(body[:_ANSWER_CHARS_MAX] + more).replace("\n", f"\n{_INDENT}")


def _document(job: Job, step: StoryStep) -> dict[str, Any]:
    attempt = step.attempt
    return {
        "kind": step.kind,
        "title": step.title,
        "at": None if step.at is None else _time(step.at),
        "waited_ms": None if step.waited is None else round(step.waited.total_seconds() * 1_000),
        "detail": step.detail,
        "attempt": attempt,
        "sent": None if attempt is None else _sent(job, attempt),
    }


def _sent(job: Job, attempt: Attempt) -> dict[str, str]:
    """The headers by which a receiver finds the attempt in its own log."""
    return {"webhook-id": job.id, "hookline-attempt": str(attempt.number), "hookline-term": str(attempt.term)}


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1_000:03d}Z"
