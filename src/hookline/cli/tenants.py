"""``hookline tenants …``: limits of tenants, and their shares of the slots."""

from collections.abc import Iterable
from typing import Any

from cyclopts import App

from hookline.cli.listing import DEFAULT_LISTING, ListOutput
from hookline.cli.output import confirm, print_done, print_json, show_whole, usage_error
from hookline.cli.parameters import AnyText, Texts, Yes
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.cli.sheet import Column, Sheet
from hookline.client import requests
from hookline.protocol.http_tenants import Tenant

_RESETTABLE = ("pending-jobs", "pending-bytes", "creates-per-second", "weight")

app = App(name="tenants", help="Limits of tenants, and their shares of the slots. Needs an operator's key.")


@app.command(name="list")
def list_(*, listing: ListOutput = DEFAULT_LISTING, service: Service = DEFAULT_SERVICE) -> None:
    """List all tenants that have settings, jobs or keys.

    Args:
        listing: How to print them.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        found = list(calls.items(lambda cursor: requests.list_tenants(cursor=cursor)))
    listing.print(found, _table(found), service)


@app.command
def show(name: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Show one tenant.

    Args:
        name: Its name; default is the operators' own.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        found = calls.send(requests.get_tenant(name))
    _print(found, service)


@app.command(name="set")
def set_(
    name: AnyText,
    /,
    *,
    pending_jobs: int | None = None,
    pending_bytes: int | None = None,
    creates_per_second: int | None = None,
    weight: int | None = None,
    reset: Texts = None,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """Change the limits or the weight of a tenant; what is not given stays. Limits hold in each cluster by itself.

    For example: hookline tenants set acme --pending-jobs 100000 --creates-per-second 500

    Args:
        name: Its name.
        pending_jobs: How many of its jobs may be pending or running.
        pending_bytes: How many bytes their payloads may have together.
        creates_per_second: How many jobs it may create in a second.
        weight: Its share of the slots beside other tenants that wait: with 2, twice that of one with 1.
        reset: Go back to the default of pending-jobs, pending-bytes, creates-per-second or weight; may be repeated.
        service: Where Hookline is.
    """
    given = {
        "pending_jobs": pending_jobs,
        "pending_bytes": pending_bytes,
        "creates_per_second": creates_per_second,
        "weight": weight,
    }
    settings: dict[str, Any] = _defaults(reset or []) | {key: one for key, one in given.items() if one is not None}
    if not settings:
        raise usage_error("Nothing to change was given.")
    with service.calls() as calls:
        changed = calls.send(requests.put_tenant(name, settings))
    _print(changed, service)


@app.command
def delete(name: AnyText, /, *, yes: Yes = False, service: Service = DEFAULT_SERVICE) -> int:
    """Delete the settings of a tenant: it has no limits then, and the weight 1. Its jobs and keys stay.

    Args:
        name: Its name.
        yes: Do not ask.
        service: Where Hookline is.
    """
    if not confirm(f"Delete the settings of {name}? It has no limits then.", yes=yes):
        return 1
    with service.calls() as calls:
        calls.send(requests.delete_tenant(name))
    print_done("deleted", name, as_json=service.json)
    return 0


def _defaults(names: list[str]) -> dict[str, Any]:
    for name in names:
        if name not in _RESETTABLE:
            raise usage_error(f"--reset takes {', '.join(_RESETTABLE)}, not {name!r}.")
    return {name.replace("-", "_"): 1 if name == "weight" else None for name in names}


def _print(tenant: Tenant, service: Service) -> None:
    if service.json:
        print_json(tenant)
    else:
        show_whole(_table([tenant]))


def _table(tenants: Iterable[Tenant]) -> Sheet:
    sheet = Sheet(
        (
            Column("TENANT", is_long=True),
            Column("PENDING", rank=1),
            Column("BYTES", rank=2),
            Column("CREATES/S", rank=3, is_number=True),
            Column("WEIGHT", rank=5, is_number=True),
            Column("RUNNING", rank=4, is_number=True),
        )
    )
    for one in tenants:
        sheet.add(
            one.name,
            _of(one.used.pending_jobs, one.pending_jobs),
            _of(one.used.pending_bytes, one.pending_bytes),
            "-" if one.creates_per_second is None else str(one.creates_per_second),
            str(one.weight),
            str(one.used.running),
        )
    return sheet


def _of(used: int, limit: int | None) -> str:
    return str(used) if limit is None else f"{used} of {limit}"
