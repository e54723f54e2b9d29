"""``hookline destinations …``: limits, pauses, retries and signing secrets of the hosts that are called."""

from typing import Any

from cyclopts import App

from hookline.cli import render
from hookline.cli.job_options import NO_RETRY_OPTIONS, RetryOptions
from hookline.cli.output import print_json, stdout, usage_error
from hookline.cli.parameters import AnyText, Texts
from hookline.cli.service import DEFAULT_SERVICE, Service

app = App(name="destinations", help="Limits, pauses, retries and signing secrets of the hosts that are called.")


@app.command(name="list")
def list_(*, service: Service = DEFAULT_SERVICE) -> None:
    """List all destinations that jobs or settings name.

    Args:
        service: Where Hookline is.
    """
    with service.client() as client:
        found = list(client.destinations())
    if service.json:
        print_json({"data": found})
    else:
        stdout().print(render.destination_table(found))


@app.command
def get(host: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Show one destination.

    Args:
        host: scheme://host:port, such as https://example.com:443.
        service: Where Hookline is.
    """
    with service.client() as client:
        found = client.get_destination(host)
    if service.json:
        print_json(found)
    else:
        stdout().print(render.destination_table([found]))
        if found.retry is not None:
            stdout().print(render.retry_facts(found.retry))


@app.command(name="set")
def set_(
    host: AnyText,
    /,
    *,
    concurrency: int | None = None,
    rate: str | None = None,
    paused: bool | None = None,
    secret: Texts = None,
    retry: RetryOptions = NO_RETRY_OPTIONS,
    reset: Texts = None,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """Change the settings of a destination; what is not given stays.

    Args:
        host: scheme://host:port, such as https://example.com:443.
        concurrency: How many attempts may run at once.
        rate: How many attempts in which time, such as 10/1s.
        paused: Hold its jobs back; --no-paused lets them go.
        secret: Sign with this secret; repeat it during a rotation. All secrets are replaced.
        retry: When its jobs are tried again that do not say it themselves; all of it is replaced.
        reset: Go back to the default of concurrency, rate, retry or secrets; may be repeated.
        service: Where Hookline is.
    """
    settings: dict[str, Any] = dict.fromkeys(_resettable(reset or []))
    if concurrency is not None:
        settings["concurrency"] = concurrency
    if rate is not None:
        settings["rate"] = _rate(rate)
    if paused is not None:
        settings["paused"] = paused
    if secret is not None:
        settings["secrets"] = secret
    if retry_fields := retry.fields():
        settings["retry"] = retry_fields
    if not settings:
        raise usage_error("Nothing to change was given.")
    with service.client() as client:
        changed = client.put_destination(host, **settings)
    if service.json:
        print_json(changed)
    else:
        stdout().print(render.destination_table([changed]))


def _resettable(names: list[str]) -> list[str]:
    for name in names:
        if name not in ("concurrency", "rate", "retry", "secrets"):
            raise usage_error(f"--reset takes concurrency, rate, retry or secrets, not {name!r}.")
    return names


def _rate(text: str) -> dict[str, Any]:
    limit, slash, per = text.partition("/")
    if not slash or not (limit.isascii() and limit.isdecimal()):
        raise usage_error(f"{text!r} is not a rate; write it as COUNT/TIME, such as 10/1s.")
    return {"limit": int(limit), "per": per}
