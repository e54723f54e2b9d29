"""``jobs export``: jobs as JSON lines, which ``jobs import`` takes again."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import msgspec

from hookline.cli.filter_options import ALL_JOBS, FilterOptions
from hookline.cli.output import print_json, progress, stderr, usage_error, warn, warn_incomplete, warn_moving
from hookline.cli.parameters import AnyText
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.errors import AllClustersUnavailable, ClusterUnavailable, JobNotFound
from hookline.protocol import http
from hookline.protocol.limits import PAGE_MAX
from hookline.protocol.redaction import MASK, PAYLOAD
from hookline.protocol.retries import DEFAULT_RETRY, retry_view

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from hookline.cli.calls import Calls

_AT_ONCE = 8  # each job is asked for by itself, since lists have no payloads
_WAITS = ("max_attempts", "initial", "factor", "max", "schedule", "budget")
_DEFAULT = retry_view(DEFAULT_RETRY)


@dataclass(slots=True)
class _Tally:
    """Counts what became of the jobs that were listed."""

    exported: int = 0
    gone: int = 0
    payload_removed: int = 0
    payload_hidden: int = 0
    unread: int = 0
    signed: int = 0
    headers_left_out: int = 0
    incomplete: list[str] = field(default_factory=list)
    moving: list[str] = field(default_factory=list)


def export_jobs(file: AnyText = "-", /, *, jobs: FilterOptions = ALL_JOBS, service: Service = DEFAULT_SERVICE) -> int:
    """Write jobs as JSON lines that "hookline jobs import" takes again: --state dead is the dead-letter file.

    Newest first. Left out are jobs with a hidden payload, secrets, values of hidden headers, attempts, and which
    schedule made a job. An export that ends early cannot be resumed: start it again. The exit code is 1 if a cluster
    or a job is missing.

    Args:
        file: The file to write, which must not exist, or - for stdout.
        jobs: Which jobs.
        service: Where Hookline is.
    """
    if service.json and file == "-":
        raise usage_error("--json prints what was exported; name a file for the jobs themselves.")
    tally = _Tally()
    with ExitStack() as stack:
        calls = stack.enter_context(service.calls())
        advance = stack.enter_context(progress("export", None))
        pages = pages_of(calls, jobs.fields(), tally)
        first = next(pages)  # so that what is refused leaves no file behind
        out = stack.enter_context(written(file))
        readers = stack.enter_context(side_by_side())
        try:
            _write(first, out, calls, readers, tally, advance, jobs)
            for page in pages:
                _write(page, out, calls, readers, tally, advance, jobs)
        except BrokenPipeError:
            raise
        except BaseException:
            stderr().print(f"ended early, after {_count(tally.exported)}; start it again", soft_wrap=True)
            raise
    return _tell(tally, service)


class LeftOut(Protocol):
    """The clusters that were missing in the last page, and those out of which jobs have moved meanwhile."""

    incomplete: list[str]
    moving: list[str]


def pages_of(calls: "Calls", filters: Any, left_out: LeftOut) -> Iterator[list[http.Job]]:
    """Page by page; notes what is not in it.

    A proxy keeps the place of a cluster that is away: its jobs come later, or the end is an error.
    """
    cursor: str | None = None
    while True:
        try:
            page = calls.send(requests.list_jobs(filters, limit=PAGE_MAX, cursor=cursor))
        except (ClusterUnavailable, AllClustersUnavailable):
            if not left_out.incomplete:
                raise
            return
        left_out.incomplete = page.incomplete
        left_out.moving = sorted({*left_out.moving, *page.moving})
        yield page.data
        cursor = page.next_cursor
        if cursor is None:
            return


@contextmanager
def side_by_side() -> "Iterator[ThreadPoolExecutor]":
    """Threads that ask for some jobs at once; what they have not begun is given up in the end."""
    from concurrent.futures import ThreadPoolExecutor

    readers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="export")
    try:
        yield readers
    finally:
        readers.shutdown(cancel_futures=True)


@contextmanager
def written(name: str) -> Iterator[BinaryIO]:
    """The file, under its name only once it is whole; or stdout."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    if path.is_file() or path.is_dir() or not name:
        raise usage_error(f"{name or 'an empty name'} cannot be written: it exists; choose another name.")
    if path.exists():  # a device or a pipe
        with path.open("wb") as file:
            yield file
        return
    partial = path.with_name(f"{path.name}.partial")
    try:
        file = partial.open("wb")
    except OSError as error:
        raise usage_error(f"{name} cannot be written: {error.strerror or error}.") from error
    try:
        with file:
            yield file
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _write(
    page: list[http.Job],
    out: BinaryIO,
    calls: "Calls",
    readers: "ThreadPoolExecutor",
    tally: _Tally,
    advance: Any,
    jobs: FilterOptions,
) -> None:
    def read(listed: http.Job) -> http.Job | Exception:
        try:
            return calls.send(requests.get_job(listed.id))
        except (JobNotFound, ClusterUnavailable, AllClustersUnavailable) as error:
            return error

    for job in readers.map(read, page):
        if isinstance(job, JobNotFound) or (isinstance(job, http.Job) and jobs.state not in (None, job.state)):
            tally.gone += 1
        elif isinstance(job, Exception):
            tally.unread += 1
        elif job.payload_removed:  # imported, it would be another call
            tally.payload_removed += 1
        elif PAYLOAD in job.redact and job.payload is not msgspec.UNSET:
            tally.payload_hidden += 1
        else:
            line, left_out = line_of(job)
            out.write(line)
            tally.exported += 1
            tally.signed += job.signed
            tally.headers_left_out += left_out
        advance(1)


def line_of(job: http.Job) -> tuple[bytes, int]:
    """The job as ``POST /jobs`` takes it, on one line; and how many headers are missing in it. Pure."""
    shown = {name: value for name, value in job.headers.items() if value != MASK}
    fields: dict[str, Any] = {
        "id": job.id,
        "url": job.url,
        "method": job.method,
        "headers": shown,
        "payload": job.payload,
        "body_base64": job.body_base64,
        "run_at": job.run_at,
        "timeout": job.timeout,
        "retry": _retry(job.retry),
        "guarantee": job.guarantee,
        "priority": job.priority,
        "labels": job.labels,
        "redact": job.redact,
    }
    if isinstance(job.payload, msgspec.Raw):
        # A line break in JSON can only stand between its parts.
        fields["payload"] = msgspec.Raw(bytes(job.payload).replace(b"\n", b" ").replace(b"\r", b" "))
    given = {name: value for name, value in fields.items() if value is not msgspec.UNSET and value not in ({}, [])}
    return msgspec.json.encode(given) + b"\n", len(job.headers) - len(shown)


def _retry(policy: http.RetryView) -> dict[str, Any]:
    """Gives what differs from the default; waits go together, and so do conditions."""
    found: dict[str, Any] = {}
    waits = {name: getattr(policy, name) for name in _WAITS}
    if waits != {name: getattr(_DEFAULT, name) for name in _WAITS}:
        found |= {name: value for name, value in waits.items() if value not in (None, [])}
    if (policy.on, policy.not_on) != (_DEFAULT.on, _DEFAULT.not_on):
        found |= {"on": [word for word in policy.on if word not in policy.not_on], "not_on": policy.not_on}
    return found


def _tell(tally: _Tally, service: Service) -> int:
    if service.json:
        print_json({name: value for name, value in asdict(tally).items() if value or name == "exported"})
    stderr().print(f"exported {_count(tally.exported)}", soft_wrap=True)
    if tally.headers_left_out:
        warn(f"{_count(tally.headers_left_out, 'header')} left out, since Hookline does not show what they hold")
    if tally.signed:
        warn(f"{tally.signed:,} of them signed: secrets are never given away, so a job's own is missing")
    if tally.gone:
        warn(f"{_count(tally.gone)} left out: they went or changed while the export ran")
    if tally.payload_removed:
        warn(f"{_count(tally.payload_removed)} left out: what they sent was deleted")
    if tally.payload_hidden:
        warn(f"{_count(tally.payload_hidden)} left out: their payload is not shown")
    if tally.unread:
        warn(f"{_count(tally.unread)} could not be read: missing here")
    warn_incomplete(tally.incomplete)
    warn_moving(tally.moving)
    return int(bool(tally.unread or tally.incomplete))


def _count(number: int, noun: str = "job") -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
