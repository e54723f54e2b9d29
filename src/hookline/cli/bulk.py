"""Changing many jobs at once: ``jobs retry-all`` and ``jobs cancel-all``."""

from collections.abc import Callable

from hookline.cli.job_options import ALL_JOBS, FilterOptions
from hookline.cli.output import confirm, print_json, progress, stderr, stdout
from hookline.cli.parameters import Flag, Yes
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client.fields import JobUpdateFields
from hookline.protocol import http

_STEP = 1_000  # jobs of one call, so that the progress bar moves


def retry_all(
    *,
    dry_run: Flag = False,
    yes: Yes = False,
    to: str | None = None,
    jobs: FilterOptions = ALL_JOBS,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Try all finished jobs again that match, for instance --state dead.

    Args:
        dry_run: Only say how many there are.
        yes: Do not ask.
        to: Send them to this url instead.
        jobs: Which jobs.
        service: Where Hookline is.
    """
    overrides: JobUpdateFields | None = None if to is None else {"url": to}
    with service.client() as client:
        return _change(
            lambda dry, limit: client.retry_jobs(dry_run=dry, limit=limit, overrides=overrides, **jobs.fields()),
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
    """Cancel all unfinished jobs that match.

    Args:
        dry_run: Only say how many there are.
        yes: Do not ask.
        jobs: Which jobs.
        service: Where Hookline is.
    """
    with service.client() as client:
        return _change(
            lambda dry, limit: client.cancel_jobs(dry_run=dry, limit=limit, **jobs.fields()),
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
            _tell(seen.matched, seen.more, f"would {verb}")
        return 0
    many = f"{seen.matched:,}{' or more' if seen.more else ''}"
    if seen.matched and not yes and not confirm(f"{verb.capitalize()} {many} jobs?"):
        stderr().print("Nothing was changed.")
        return 1
    changed = _step_by_step(call, verb, seen)
    if as_json:
        print_json({"matched": seen.matched, "changed": changed, "dry_run": False})
    else:
        _tell(changed, False, f"did {verb}")
    return 0


def _step_by_step(call: Callable[[bool, int | None], http.BulkResponse], verb: str, seen: http.BulkResponse) -> int:
    changed = 0
    with progress(verb, None if seen.more else seen.matched) as advance:
        while True:
            answer = call(False, _STEP)
            changed += answer.changed
            advance(answer.changed)
            if not answer.more or answer.changed == 0:
                return changed


def _tell(count: int, more: bool, did: str) -> None:
    stdout().print(f"{did} {count:,}{' or more' if more else ''} jobs")
