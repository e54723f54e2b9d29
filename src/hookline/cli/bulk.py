"""Changing many jobs at once: ``jobs retry-all`` and ``jobs cancel-all``."""

from collections.abc import Callable

from hookline.cli import inputs
from hookline.cli.filter_options import ALL_JOBS, FilterOptions
from hookline.cli.output import confirm, print_json, progress, stdout, warn, warn_incomplete, warn_moving
from hookline.cli.parameters import Flag, Yes
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.protocol import http

_DONE = {"retry": "will retry", "cancel": "cancelled"}
_STEP = 1_000  # jobs of one call, so that the progress bar moves


def retry_all(
    *,
    dry_run: Flag = False,
    yes: Yes = False,
    to: str | None = None,
    jobs: FilterOptions = ALL_JOBS,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Try all dead jobs again that match; --state names others. The exit code is 1 if a cluster is left out.

    Args:
        dry_run: Only say how many there are.
        yes: Do not ask.
        to: Send them to this url instead.
        jobs: Which jobs.
        service: Where Hookline is.
    """
    overrides = inputs.given(url=to)
    with service.calls() as calls:
        return _change(
            lambda dry, limit: calls.send(
                requests.retry_jobs(jobs.fields(), dry_run=dry, limit=limit, overrides=overrides)
            ),
            "retry",
            dry_run=dry_run,
            yes=yes,
            as_json=service.json,
        )


def cancel_all(
    *,
    dry_run: Flag = False,
    yes: Yes = False,
    jobs: FilterOptions = ALL_JOBS,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Cancel all unfinished jobs that match. The exit code is 1 if a cluster is left out.

    Args:
        dry_run: Only say how many there are.
        yes: Do not ask.
        jobs: Which jobs.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        return _change(
            lambda dry, limit: calls.send(requests.cancel_jobs(jobs.fields(), dry_run=dry, limit=limit)),
            "cancel",
            dry_run=dry_run,
            yes=yes,
            as_json=service.json,
        )


def _change(
    call: Callable[[bool, int | None], http.BulkResponse], verb: str, *, dry_run: bool, yes: bool, as_json: bool
) -> int:
    seen = call(True, None)
    if dry_run:
        if as_json:
            print_json(seen)
        else:
            stdout().print(f"would {verb} {_jobs(seen.matched, more=seen.more)}")
        warn_moving(seen.moving)
        return _name_left_out(seen.incomplete, [])
    if seen.matched and not confirm(f"{verb.capitalize()} {_jobs(seen.matched, more=seen.more)}?", yes=yes):
        return 1
    answers = _step_by_step(call, verb, seen)
    changed = sum(answer.changed for answer in answers)
    incomplete = sorted({name for answer in answers for name in answer.incomplete})
    unclear = sorted({name for answer in answers for name in answer.unclear})
    if as_json:
        left_out = {name: names for name, names in (("incomplete", incomplete), ("unclear", unclear)) if names}
        print_json({"matched": seen.matched, "changed": changed, "dry_run": False, **left_out})
    else:
        stdout().print(f"{_DONE[verb]} {_jobs(changed)}")
    warn_moving(sorted({name for answer in answers for name in answer.moving}))
    return _name_left_out(incomplete, unclear)


def _step_by_step(
    call: Callable[[bool, int | None], http.BulkResponse], verb: str, seen: http.BulkResponse
) -> list[http.BulkResponse]:
    answers = []
    with progress(verb, None if seen.more else seen.matched) as advance:
        while True:
            answer = call(False, _STEP)
            answers.append(answer)
            advance(answer.changed)
            if not answer.more or answer.changed == 0:
                return answers


def _name_left_out(incomplete: list[str], unclear: list[str]) -> int:
    """Say which clusters are not in the figures; the exit code."""
    warn_incomplete(incomplete)
    if unclear:
        warn(f"{', '.join(unclear)} did not answer: jobs there may have been changed too; look with --dry-run")
    return int(bool(incomplete or unclear))


def _jobs(count: int, *, more: bool = False) -> str:
    return f"{count:,}{' or more' if more else ''} {'job' if count == 1 and not more else 'jobs'}"
