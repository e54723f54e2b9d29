"""``jobs import``: a file of jobs, one JSON object a line."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
from cyclopts import CycloptsError

from hookline.cli import inputs
from hookline.cli.output import print_json, progress, stderr, stdout, usage_error
from hookline.cli.parameters import AnyText
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.errors import HooklineError
from hookline.http_api import strict_json
from hookline.protocol.http import BriefResult, JobRequest

if TYPE_CHECKING:
    from hookline.cli.calls import Calls

_BATCH_JOBS = 500
_BATCH_BYTES = 4 * 1024 * 1024
_LINE_BYTES_MAX = 64 * 1024 * 1024  # far above what any service takes
_SHOWN_MAX = 20

Numbered = list[tuple[int, JobRequest]]
_jobs = msgspec.json.Decoder(JobRequest)
_MARK = b"\xef\xbb\xbf"  # some editors begin a file with it


def import_jobs(file: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> int:
    """Make a job of each line of a JSON-lines file; the fields are those of POST /jobs.

    Give each job an id, and the same file can be imported again without making any job twice.

    Args:
        file: The file, or - for stdin.
        service: Where Hookline is.
    """
    tally = {"created": 0, "existed": 0, "refused": 0}
    refused: list[dict[str, Any]] = []
    with ExitStack() as stack:
        calls = stack.enter_context(service.calls())
        lines = stack.enter_context(inputs.readable_file(file))
        size = None if file == "-" else Path(file).stat().st_size
        advance = stack.enter_context(progress("import (bytes)", size))
        try:
            for batch, length in _batches(lines, refused):
                _send(calls, batch, tally, refused)
                advance(length)
        except (CycloptsError, HooklineError, OSError):
            stderr().print(f"created {tally['created']:,}, existed already {tally['existed']:,}, then it ended early:")
            raise
    tally["refused"] = len(refused)
    _tell(tally, refused, service)
    return 1 if refused else 0


def _batches(lines: BinaryIO, refused: list[dict[str, Any]]) -> Iterator[tuple[Numbered, int]]:
    """The jobs with their line numbers, in batches, and how many bytes of the file each batch took."""
    batch: Numbered = []
    length = 0
    for number, line in enumerate(iter(lambda: lines.readline(_LINE_BYTES_MAX + 1), b""), 1):
        if len(line) > _LINE_BYTES_MAX:
            raise usage_error(f"line {number} has more than {_LINE_BYTES_MAX:,} bytes; is that a file of jobs?")
        length += len(line)
        text = line.removeprefix(_MARK) if number == 1 else line
        if not text.strip():
            continue
        try:
            batch.append((number, _read(text)))
        except HooklineError as error:
            refused.append({"line": number, "code": error.code, "detail": error.detail})
        if len(batch) >= _BATCH_JOBS or length >= _BATCH_BYTES:
            yield batch, length
            batch, length = [], 0
    yield batch, length


def _read(line: bytes) -> JobRequest:
    """The job of one line, read as the service would: a line that it refuses spoils the batch for the others.

    Raises:
        InvalidJson, InvalidRequest, UnknownField: what is wrong with it.
    """
    strict_json.check_utf8(line)
    job = strict_json.decode(_jobs, line)
    strict_json.check_unique_inside(strict_json.unique_fields(line), job)
    return job


def _send(calls: "Calls", batch: Numbered, tally: dict[str, int], refused: list[dict[str, Any]]) -> None:
    if not batch:
        return
    results = calls.send(requests.in_brief(requests.create_jobs([job for _, job in batch], calls.clock))).results
    if len(results) != len(batch):
        raise HooklineError(f"The service gave {len(results):,} results for {len(batch):,} jobs. Is the address right?")
    for (number, _), result in zip(batch, results, strict=True):
        if result.job is None:
            refused.append({"line": number} | _reason(result))
        else:
            tally["existed" if result.job.deduplicated else "created"] += 1


def _reason(result: BriefResult) -> dict[str, Any]:
    error = result.error or {}
    return {"code": error.get("code", "error"), "detail": error.get("detail", f"status {result.status}")}


def _tell(tally: dict[str, int], refused: list[dict[str, Any]], service: Service) -> None:
    if service.json:
        print_json(tally | {"errors": refused})
        return
    for one in refused[:_SHOWN_MAX]:
        stderr().print(f"line {one['line']}: {one['detail']} ({one['code']})", style="red")
    if len(refused) > _SHOWN_MAX:
        stderr().print(f"… and {len(refused) - _SHOWN_MAX:,} more lines; --json lists them all")
    stdout().print(f"created {tally['created']:,}, existed already {tally['existed']:,}, refused {tally['refused']:,}")
