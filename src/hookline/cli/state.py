"""``hookline state …``: look into a state that was kept aside, and get its jobs back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from cyclopts import App

from hookline.cli.output import print_json, progress, show_whole, stderr, stdout, warn
from hookline.cli.parameters import File, Flag
from hookline.cli.render import mark
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.cli.sheet import Column, Sheet, facts
from hookline.client import requests
from hookline.client.fields import JobFields
from hookline.errors import DataDirectoryInUse, HooklineError, InvalidConfig, JobNotFound
from hookline.protocol.durations import format_duration, format_time
from hookline.protocol.jobs import State
from hookline.protocol.retries import given_retry

if TYPE_CHECKING:
    from hookline.cli.calls import Calls
    from hookline.node.storage.kept_state import KeptJob, Summary

_SHOWN_MAX = 20

app = App(name="state", help="Look into the state of a stopped node, or one that was kept aside, and get jobs back.")


@app.command
def show(path: File, /, *, json: Flag = False) -> None:
    """Say whose state it is, how far it goes, what it holds, and whether it is sound; changes nothing.

    Args:
        path: A data directory: all states in it, of a node that runs those that were kept aside. Or one state file.
        json: Print exactly one JSON document on stdout.
    """
    from hookline.node.storage.kept_state import summary

    with _states(path) as files:
        found = {str(file): summary(file) for file in files}
    if json:
        print_json(found)
        return
    for name, one in found.items():
        stdout().print(facts(_facts(name, one)), soft_wrap=True)


@app.command
def salvage(path: File, /, *, create: Flag = False, service: Service = DEFAULT_SERVICE) -> int:
    """List the unfinished jobs of a state that the service does not know; with --create, make them there.

    They keep their ids, so that doing it twice makes none twice. A job with a signing secret of its own is listed and
    not made, since the secret is sealed; one that was under way and is at_most_once is not made either.

    Args:
        path: The state file, such as state.db.replaced-472.
        create: Make the jobs; without it nothing is changed.
        service: Where Hookline is.
    """
    with _states(path) as files, service.calls() as calls:
        if len(files) != 1:
            raise InvalidConfig(f"{path} holds {len(files)} states; name one of them", field="path")
        missing = _missing(files[0], calls)
        kept_back = {job.record.id: why for job in missing if (why := _why_not(job)) is not None}
        wanted = [job for job in missing if job.record.id not in kept_back] if create else []
        refused = dict(_make(wanted, calls))
    made = len(wanted) - len(refused)
    if service.json:
        ids = [job.record.id for job in missing]
        print_json({"missing": ids, "created": made, "kept_back": kept_back, "refused": refused})
    else:
        _tell(missing, kept_back | refused, made)
        if missing and not create:
            stderr().print("Nothing was changed; add --create to make them.")
    return int(bool(refused))


def _missing(file: Path, calls: "Calls") -> "list[KeptJob]":
    from hookline.node.storage.kept_state import open_jobs

    missing = []
    with progress("jobs looked up", None) as advance:
        for job in open_jobs(file):
            advance(1)
            try:
                calls.send(requests.get_job(job.record.id))
            except JobNotFound:
                missing.append(job)
    return missing


def _make(jobs: "list[KeptJob]", calls: "Calls") -> "Iterator[tuple[str, str]]":
    """Make the jobs; yields (id, reason) of those that are refused."""
    with progress("jobs made", len(jobs)) as advance:
        for job in jobs:
            try:
                calls.send(requests.create_job(job.spec.url, _fields(job), calls.clock))
            except HooklineError as error:
                yield job.record.id, error.detail
            advance(1)


def _tell(missing: "list[KeptJob]", not_made: dict[str, str], made: int) -> None:
    sheet = Sheet([Column(name) for name in ("ID", "STATE", "DUE", "URL")], form="wide")
    for job in missing[:_SHOWN_MAX]:
        sheet.add(job.record.id, mark(State(job.record.state).label), format_time(job.record.due_ms), job.spec.url)
    show_whole(sheet)
    if len(missing) > _SHOWN_MAX:
        stderr().print(f"… and {len(missing) - _SHOWN_MAX:,} more; --json lists them all")
    for job_id, why in not_made.items():
        warn(f"{job_id} is not made: {why}")
    stdout().print(f"{len(missing):,} jobs are not known to the service, {made:,} were made")


@contextmanager
def _states(path: Path) -> Iterator[list[Path]]:
    """The state files, while no node can start on them; where one runs, those that were kept aside only."""
    from hookline.node.leadership.local import LocalLeadership
    from hookline.node.storage.snapshots import STATE_FILE, kept_aside

    directory = path if path.is_dir() else path.parent
    files = [path] if not path.is_dir() else [*kept_aside(path), path / STATE_FILE]
    files = [file for file in files if file.is_file()]
    if not files:
        raise InvalidConfig(f"there is no state at {path}", field="path")
    aside = [file for file in files if file.name != STATE_FILE]
    if aside == files:
        yield files  # no node has it open
        return
    lock = LocalLeadership(directory)
    try:
        lock.lock()
    except DataDirectoryInUse:
        if not aside:
            raise
        warn(f"a node runs in {directory}; what it works with is left out")
        yield aside
        return
    try:
        yield files
    finally:
        lock.unlock()


def _facts(name: str, one: "Summary") -> list[tuple[str, object]]:
    position = one.position
    jobs = {state.label: one.counters.get(state.label, 0) for state in State}
    return [
        ("file", name),
        (
            "cluster",
            f"{position.cluster}, shard {position.shard}, id {position.cluster_id}" if position.cluster_id else "none",
        ),
        ("generation", position.generation),
        ("log entry", f"{position.index} of term {position.term}, digest {position.digest}"),
        ("jobs", ", ".join(f"{count:,} {state}" for state, count in jobs.items() if count)),
        ("sound", mark("ok") if one.damage is None else one.damage),
    ]


def _why_not(job: "KeptJob") -> str | None:
    if not job.is_sound:
        return "what it is to send was changed on the disk"
    if job.spec.sealed_secret is not None:
        return "its signing secret is sealed; create it by hand, with the secret"
    if job.spec.sealed_content:
        return "what it is to send is encrypted; create it by hand"
    if job.record.state == State.RUNNING and job.spec.at_most_once:
        return "it was under way, and must not be sent twice"
    return None


def _fields(job: "KeptJob") -> JobFields:
    record, spec = job.record, job.spec
    fields: JobFields = {
        "id": record.id,
        "method": spec.method,
        "headers": dict(spec.headers),
        "redact": list(spec.redact),
        "run_at": format_time(record.due_ms),
        "timeout": format_duration(spec.timeout_ms),
        "guarantee": "at_most_once" if spec.at_most_once else "at_least_once",
        "priority": spec.priority,
        "labels": spec.labels if isinstance(spec.labels, dict) else list(spec.labels),
    }
    if (retry := given_retry(spec.retry)) is not None:
        fields["retry"] = retry
    if spec.body and spec.is_json:
        fields["payload"] = msgspec.Raw(spec.body)
    elif spec.body:
        fields["body"] = spec.body
    if record.keys:
        fields["idempotency_key"] = record.keys[-1].key
    return fields
