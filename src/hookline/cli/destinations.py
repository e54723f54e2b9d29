"""``hookline destinations …``: limits, pauses and signing secrets of the hosts that are called."""

from typing import Any

from cyclopts import App

from hookline.cli import render
from hookline.cli.listing import DEFAULT_LISTING, Listing
from hookline.cli.output import print_json, show_whole, usage_error
from hookline.cli.parameters import AnyText, Texts
from hookline.cli.service import DEFAULT_SERVICE, Service

app = App(name="destinations", help="Limits, pauses and signing secrets of the hosts that are called.")


@app.command(name="list")
def list_(*, listing: Listing = DEFAULT_LISTING, service: Service = DEFAULT_SERVICE) -> None:
    """List all destinations that jobs or settings name.

    Args:
        listing: How to print them.
        service: Where Hookline is.
    """
    with service.client() as client:
        found = list(client.destinations())
    listing.print(found, render.destination_table(found), service)


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
        show_whole(render.destination_table([found]))


@app.command(name="set")
def set_(
    host: AnyText,
    /,
    *,
    concurrency: int | None = None,
    rate: str | None = None,
    paused: bool | None = None,
    secret: Texts = None,
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
        reset: Go back to the default of concurrency, rate or secrets; may be repeated.
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
    if not settings:
        raise usage_error("Nothing to change was given.")
    with service.client() as client:
        changed = client.put_destination(host, **settings)
    if service.json:
        print_json(changed)
    else:
        show_whole(render.destination_table([changed]))


def _resettable(names: list[str]) -> list[str]:
    for name in names:
        if name not in ("concurrency", "rate", "secrets"):
            raise usage_error(f"--reset takes concurrency, rate or secrets, not {name!r}.")
    return names


def _rate(text: str) -> dict[str, Any]:
    limit, slash, per = text.partition("/")
    if not slash or not (limit.isascii() and limit.isdecimal()):
        raise usage_error(f"{text!r} is not a rate; write it as COUNT/TIME, such as 10/1s.")
    return {"limit": int(limit), "per": per}
