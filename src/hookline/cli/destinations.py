"""``hookline destinations …``: limits, pauses, retries and signing secrets of the hosts that are called."""

from typing import TYPE_CHECKING, Any

from cyclopts import App

from hookline.cli import render
from hookline.cli.access_options import NO_ACCESS_OPTIONS, AccessOptions
from hookline.cli.job_options import NO_RETRY_OPTIONS, RetryOptions
from hookline.cli.listing import DEFAULT_LISTING, ListOutput
from hookline.cli.output import confirm, print_done, print_json, show_whole, stderr, usage_error
from hookline.cli.parameters import AnyText, Texts, Yes
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.protocol.http import Destination

if TYPE_CHECKING:
    from hookline.cli.calls import Calls

_UNITS = {
    "s": "1s",
    "sec": "1s",
    "second": "1s",
    "m": "1m",
    "min": "1m",
    "minute": "1m",
    "h": "1h",
    "hour": "1h",
    "d": "1d",
    "day": "1d",
    "ms": "1ms",
}

app = App(name="destinations", help="Limits, pauses, retries and signing secrets of the hosts that are called.")


@app.command(name="list")
def list_(*, listing: ListOutput = DEFAULT_LISTING, service: Service = DEFAULT_SERVICE) -> None:
    """List all destinations that jobs or settings name.

    Args:
        listing: How to print them.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        found = _all(calls)
    listing.print(found, render.destination_table(found), service)


@app.command
def get(host: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Show one destination.

    Args:
        host: scheme://host:port, such as https://example.com:443.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        found = calls.send(requests.get_destination(host))
    if service.json:
        print_json(found)
    else:
        show_whole(render.destination_table([found]))
        if found.retry is not None:
            show_whole(render.retry_facts(found.retry))
        if found.auth is not None or found.tls is not None:
            show_whole(render.access_facts(found))


@app.command(name="set")
def set_(
    host: AnyText,
    /,
    *,
    concurrency: int | None = None,
    rate: str | None = None,
    paused: bool | None = None,
    secret: Texts = None,
    access: AccessOptions = NO_ACCESS_OPTIONS,
    retry: RetryOptions = NO_RETRY_OPTIONS,
    reset: Texts = None,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """Change the settings of a destination; what is not given stays.

    For example: hookline destinations set https://shop.example.com --rate 10/s --concurrency 5

    Or hold its jobs back for a while: hookline destinations set https://shop.example.com --paused

    Args:
        host: scheme://host:port, such as https://example.com:443.
        concurrency: How many attempts may run at once.
        rate: How many attempts in which time, such as 10/s, 600/m or 5/10s.
        paused: Hold its jobs back; --no-paused lets them go.
        secret: Sign with this secret; repeat it during a rotation. All secrets are replaced.
        access: How requests there are let in.
        retry: When its jobs are tried again that do not say it themselves; all of it is replaced.
        reset: Go back to the default of concurrency, rate, retry, secrets, auth or tls; may be repeated.
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
    settings |= access.fields()
    if retry_fields := retry.fields():
        settings["retry"] = retry_fields
    if not settings:
        raise usage_error("Nothing to change was given.")
    with service.calls() as calls:
        if "://" not in host:
            host = _with_scheme(calls, host)
        changed = calls.send(requests.put_destination(host, settings))
    if service.json:
        print_json(changed)
    else:
        show_whole(render.destination_table([changed]))


@app.command
def delete(host: AnyText, /, *, yes: Yes = False, service: Service = DEFAULT_SERVICE) -> int:
    """Delete the settings of a destination: limits, pause, retries and secrets. Jobs stay.

    It is listed again while unfinished jobs name it.

    Args:
        host: scheme://host:port, such as https://example.com:443.
        yes: Do not ask.
        service: Where Hookline is.
    """
    if not confirm(f"Delete the settings of {host}? Jobs that a pause holds back will go.", yes=yes):
        return 1
    with service.calls() as calls:
        calls.send(requests.delete_destination(host))
    print_done("deleted", host, as_json=service.json)
    return 0


def _all(calls: "Calls") -> list[Destination]:
    return list(calls.items(lambda cursor: requests.list_destinations(cursor=cursor)))


def _with_scheme(calls: "Calls", host: str) -> str:
    """https, as for a url, and said; refused when jobs go to the same name by http, since it would apply to nothing."""
    known = {one.host for one in _all(calls)}
    plain = f"http://{host if ':' in host else host + ':80'}".lower()
    secure = f"https://{host if ':' in host else host + ':443'}".lower()
    if plain in known:
        others = f"there is {plain}" + (f" as well as {secure}" if secure in known else ", and nothing with https")
        raise usage_error(f"{host!r} has no scheme, and {others}; say which is meant.")
    stderr().print(f"{host} is taken to be https://{host}", style="dim", soft_wrap=True)
    return f"https://{host}"


def _resettable(names: list[str]) -> list[str]:
    for name in names:
        if name not in ("concurrency", "rate", "retry", "secrets", "auth", "tls"):
            raise usage_error(f"--reset takes concurrency, rate, retry, secrets, auth or tls, not {name!r}.")
    return names


def _rate(text: str) -> dict[str, Any]:
    limit, slash, per = text.partition("/")
    if not slash or not (limit.isascii() and limit.isdecimal()):
        raise usage_error(f"{text!r} is not a rate; write it as COUNT/TIME, such as 10/s or 5/10s.")
    return {"limit": int(limit), "per": _UNITS.get(per, per)}
