"""``hookline watch``: what happens to jobs, a line each, as it happens; and each request to an application here."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeVar

import msgspec
from cyclopts import Parameter

from hookline.cli import inputs, render
from hookline.cli.filter_options import ALL_JOBS, FilterOptions
from hookline.cli.output import stderr, stdout, warn
from hookline.cli.parameters import AnyText, Interval, Texts
from hookline.cli.replay import newest_attempt, replay_of, sent, whole_job
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.clock import SystemClock
from hookline.errors import ConnectionFailed, DeadlineExceeded, HooklineError
from hookline.protocol import http
from hookline.visible import visible_json, visible_line, without_password

if TYPE_CHECKING:
    from hookline.cli.calls import Calls
    from hookline.protocol.signatures import SigningKey

_JOBS_MAX: Final = 200
_KNOWN_MAX: Final = 100_000
_ANSWER_S: Final = 30.0
_STATE_WIDTH: Final = 10

T = TypeVar("T")
JobStand = tuple[str, int]
"""How far a job is: its state, and how many attempts were made."""


class LocalForward(NamedTuple):
    """The application that gets each attempt as well. ``keys``: of the receiver, to sign as the attempt was."""

    base: str
    keys: "Sequence[SigningKey]"


def watch(
    *,
    text: AnyText | None = None,
    forward_to: str | None = None,
    secret: Annotated[Texts, Parameter(env_var="HOOKLINE_LISTEN_SECRET")] = None,
    interval: Annotated[Interval, Parameter(help="Seconds between two looks.")] = 1.0,
    jobs: FilterOptions = ALL_JOBS,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """Print what happens to jobs as it happens: made, tried, succeeded, dead. Ctrl-C ends it.

    It looks at the 200 newest jobs that match. With --forward-to each attempt's request goes to an application on your
    machine as well, with the attempt's own number, time and term: with the receiver's --secret its signature is the
    original one. The job stays as it is.

    For example: hookline watch --state dead --label team=billing

    Or to see in your editor's debugger what a service delivers: hookline watch --forward-to 8000 --secret whsec_…

    Args:
        text: Only jobs in whose id, url, labels or last error this stands, in capitals or not.
        forward_to: Send each attempt's request to http://HOST:PORT, too, with its path and query.
        secret: Sign it with this whsec_ or whsk_ secret; may be repeated.
        interval: Seconds between two looks.
        jobs: Which jobs.
        service: Where Hookline is. With --json: one object a line.
    """
    from hookline.protocol.signatures import parse_secret

    keys = [parse_secret(one) for one in secret or []]
    forward = None if forward_to is None else LocalForward(inputs.local_url(forward_to, "--forward-to"), keys)
    clock = SystemClock()
    known: dict[str, JobStand] | None = None
    passed_on: dict[str, int] = {}  # the newest attempt of each job
    with service.calls() as calls:
        while True:
            try:
                found = calls.send(requests.list_jobs(jobs.fields(), limit=_JOBS_MAX, cursor=None)).data
            except (ConnectionFailed, DeadlineExceeded) as error:
                if known is None:
                    raise
                warn(f"{error.detail}; looking again")
                time.sleep(interval)
                continue
            if known is None:
                stderr().print(f"watching {without_password(service.place().url)}; Ctrl-C ends it", style="dim")
            for job in news_of(found, known, text):
                _show(job, as_json=service.json)
                if forward is not None and _newest(job) > passed_on.get(job.id, 0):
                    passed_on[job.id] = _forward(calls, job.id, forward, clock, as_json=service.json)
            known = {} if known is None else known
            for job in found:
                _keep(passed_on, job.id, max(_newest(job), passed_on.get(job.id, 0)))
                _keep(known, job.id, _stand(job))
            time.sleep(interval)


def _keep(kept: dict[str, T], job_id: str, value: T) -> None:
    """Note it as the newest; the oldest is forgotten when there are too many."""
    kept.pop(job_id, None)
    kept[job_id] = value
    if len(kept) > _KNOWN_MAX:
        del kept[next(iter(kept))]


def news_of(found: Sequence[http.Job], known: dict[str, JobStand] | None, text: str | None) -> Iterator[http.Job]:
    """The jobs that are further than they were known to be, the oldest first. Pure.

    Args:
        found: the newest first.
        known: None: this is the first look, and everything is as it was.
        text: only jobs in which it stands.
    """
    if known is None:
        return
    for job in reversed(found):
        if known.get(job.id) != _stand(job) and (text is None or text.casefold() in _all_text(job).casefold()):
            yield job


def _stand(job: http.Job) -> JobStand:
    return job.state, job.attempts_made


def _newest(job: http.Job) -> int:
    """The number of the newest attempt that has ended; 0: none has."""
    return 0 if job.last_attempt is None else job.last_attempt.number


def _all_text(job: http.Job) -> str:
    error = "" if job.last_attempt is None else job.last_attempt.error or ""
    return "\n".join((job.id, job.url, render.label_text(job.labels), error))


def _show(job: http.Job, *, as_json: bool) -> None:
    if as_json:
        print(visible_json(msgspec.json.encode(job).decode()), flush=True)
        return
    last = job.last_attempt
    at = job.created_at if last is None else job.finished_at or last.started_at
    told = "" if last is None else f" · attempt {last.number}: {render.last_answer(job)}"
    line = visible_line(f"{at} {job.state:<{_STATE_WIDTH}} {job.id} · {job.method} {without_password(job.url)}{told}")
    stdout().print(line, style=render.style_of(job.state) or None, soft_wrap=True)


def _forward(calls: "Calls", job_id: str, to: LocalForward, clock: SystemClock, *, as_json: bool) -> int:
    """Pass the newest attempt on; its number, 0 if that could not be."""
    try:
        job, newest = whole_job(calls, job_id), newest_attempt(calls, job_id)
    except HooklineError as error:
        warn(f"{job_id} is not passed on: {error.detail}")
        return 0
    request = replay_of(job, to.base, to.keys, {}, clock.wall_ms(), newest)
    answer, error_text, took_ms = sent(request, _ANSWER_S, clock)
    where = f"{without_password(request.url)}{request.target}"
    console = stderr() if as_json else stdout()
    if answer is None:
        console.print(visible_line(f"  → {where}: no answer: {error_text}"), style="bold red", soft_wrap=True)
        return request.attempt
    style = "green" if answer.status < 300 else "bold red"
    console.print(visible_line(f"  → {where} answered {answer.status} after {took_ms} ms"), style=style, soft_wrap=True)
    return request.attempt
