"""``export``: jobs as they are, as JSON lines, to be kept."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from hookline.cli.exporting import pages_of, side_by_side, written
from hookline.cli.filter_options import ALL_JOBS, FilterOptions
from hookline.cli.output import print_json, progress, stderr, usage_error, warn, warn_incomplete, warn_moving
from hookline.cli.parameters import AnyText, Flag
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.errors import AllClustersUnavailable, ClusterUnavailable, JobNotFound
from hookline.protocol import http

if TYPE_CHECKING:
    from hookline.cli.calls import Calls


@dataclass(slots=True)
class _Archive:
    exported: int = 0
    gone: int = 0
    unread: int = 0
    incomplete: list[str] = field(default_factory=list)
    moving: list[str] = field(default_factory=list)


class _Archived(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line."""

    job: http.Job
    attempts: list[http.Attempt] | None = None


def export(
    file: AnyText = "-",
    /,
    *,
    attempts: Flag = False,
    jobs: FilterOptions = ALL_JOBS,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Write jobs as they are, one JSON document a line: to keep what a cluster has before it is switched off.

    Each line is {"job": …}, as the API shows the job, with its state and its last attempt. "hookline jobs export"
    writes what can be imported again instead. Newest first. The exit code is 1 if a cluster or a job is missing.

    Args:
        file: The file to write, which must not exist, or - for stdout.
        attempts: Write all attempts of each job as well: {"job": …, "attempts": […]}.
        jobs: Which jobs.
        service: Where Hookline is; a node of a cluster that was taken out answers as well.
    """
    if service.json and file == "-":
        raise usage_error("--json prints what was exported; name a file for the jobs themselves.")
    tally = _Archive()
    with ExitStack() as stack:
        calls = stack.enter_context(service.calls())
        advance = stack.enter_context(progress("export", None))
        pages = pages_of(calls, jobs.fields(), tally)
        page: list[http.Job] | None = next(pages)  # so that what is refused leaves no file behind
        out = stack.enter_context(written(file))
        readers = stack.enter_context(side_by_side())
        while page is not None:
            for line in readers.map(lambda job: _line(calls, job, with_attempts=attempts), page):
                if isinstance(line, bytes):
                    out.write(line)
                    tally.exported += 1
                elif isinstance(line, JobNotFound):
                    tally.gone += 1
                else:
                    tally.unread += 1
                advance(1)
            page = next(pages, None)
    return _tell(tally, service)


def _line(calls: "Calls", listed: http.Job, *, with_attempts: bool) -> bytes | Exception:
    try:
        job = calls.send(requests.get_job(listed.id))
        made = calls.send(requests.attempts(listed.id)).data if with_attempts else None
    except (JobNotFound, ClusterUnavailable, AllClustersUnavailable) as error:
        return error
    if isinstance(job.payload, msgspec.Raw):  # a line break in JSON can only stand between its parts
        plain = msgspec.Raw(bytes(job.payload).replace(b"\n", b" ").replace(b"\r", b" "))
        job = msgspec.structs.replace(job, payload=plain)
    return msgspec.json.encode(_Archived(job, made)) + b"\n"


def _tell(tally: _Archive, service: Service) -> int:
    if service.json:
        found: dict[str, Any] = {name: value for name, value in asdict(tally).items() if value or name == "exported"}
        print_json(found)
    stderr().print(f"exported {tally.exported:,} job{'' if tally.exported == 1 else 's'}", soft_wrap=True)
    if tally.gone:
        warn(f"{tally.gone:,} left out: they were deleted while the export ran")
    if tally.unread:
        warn(f"{tally.unread:,} could not be read: missing here")
    warn_incomplete(tally.incomplete)
    warn_moving(tally.moving)
    return int(bool(tally.unread or tally.incomplete))
