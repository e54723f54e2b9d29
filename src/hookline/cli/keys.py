"""``hookline keys …``: who may call."""

from collections.abc import Iterable

from cyclopts import App

from hookline.cli.listing import DEFAULT_LISTING, ListOutput
from hookline.cli.output import confirm, print_done, print_json, stderr, stdout, usage_error, warn
from hookline.cli.parameters import AnyText, Yes
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.cli.sheet import Column, Sheet, facts
from hookline.client import requests
from hookline.protocol.api_keys import KEY_SCOPES, KeyScope
from hookline.protocol.http_keys import KeyView, NewKey

app = App(name="keys", help="API keys: who may call, and what. Needs a key with the scope admin, as the root key is.")


@app.command
def create(
    *,
    name: str,
    scope: str,
    expires: str | None = None,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """Make a key and print it, this once: only a hash of it is kept.

    For example: hookline keys create --name shop --scope read,write --expires 90d
    Another tenant's: hookline keys create --tenant acme --name shop --scope read,write

    Args:
        name: What it is for.
        scope: What it allows: read, write, cancel, separated by commas; or admin, which allows all.
        expires: How long it holds, such as 90d. Without it until it is revoked.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        made = calls.send(requests.create_key(name, _scopes(scope), tenant=None, expires=expires))
    _show_new(made, service)


@app.command(name="list")
def list_(*, listing: ListOutput = DEFAULT_LISTING, service: Service = DEFAULT_SERVICE) -> None:
    """List all keys that were not revoked, without their texts.

    Args:
        listing: How to print them.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        found = list(calls.items(lambda cursor: requests.list_keys(cursor=cursor)))
    listing.print(found, _table(found), service)


@app.command
def show(key_id: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Show one key without its text.

    Args:
        key_id: Its id, the letters between the first two underscores of the key.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        found = calls.send(requests.get_key(key_id))
    if service.json:
        print_json(found)
    else:
        stdout().print(
            facts(
                (
                    ("id", found.id),
                    ("name", found.name),
                    ("scopes", ", ".join(found.scopes)),
                    ("tenant", found.tenant),
                    ("created", found.created_at),
                    ("expires", found.expires_at or "never"),
                    ("last used", found.last_used_at or "never"),
                    ("rotated", found.rotated_at),
                    ("old text until", found.previous_until),
                )
            ),
            soft_wrap=True,
        )


@app.command
def rotate(key_id: AnyText, /, *, overlap: str = "24h", service: Service = DEFAULT_SERVICE) -> None:
    """Give a key a new text and print it, this once. The old one holds on for a while.

    Args:
        key_id: Its id.
        overlap: For how long the texts before still hold; 0s ends them at once.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        made = calls.send(requests.rotate_key(key_id, overlap=overlap))
    _show_new(made, service)


@app.command
def revoke(key_id: AnyText, /, *, yes: Yes = False, service: Service = DEFAULT_SERVICE) -> int:
    """Have a key refused from now on, by every process within two seconds. There is no way back.

    Args:
        key_id: Its id.
        yes: Do not ask.
        service: Where Hookline is.
    """
    if not confirm(f"Revoke the key {key_id}? Whoever uses it is refused at once.", yes=yes):
        return 1
    with service.calls() as calls:
        calls.send(requests.revoke_key(key_id))
    print_done("revoked", key_id, as_json=service.json)
    return 0


def _show_new(made: NewKey, service: Service) -> None:
    if made.incomplete:
        warn(f"{', '.join(made.incomplete)} cannot be reached now and gets it later")
    if service.json:
        print_json(made)
        return
    stdout().print(made.key, soft_wrap=True)
    until = f", until {made.expires_at}" if made.expires_at else ""
    stderr().print(f"{made.id}: {', '.join(made.scopes)}{until}. It is not shown again.", style="dim", soft_wrap=True)


def _scopes(text: str) -> list[KeyScope]:
    asked = [part.strip() for part in text.split(",")]
    if unknown := [part for part in asked if part not in KEY_SCOPES]:
        raise usage_error(f"--scope takes {', '.join(KEY_SCOPES)}, separated by commas, not {unknown[0]!r}.")
    return [scope for scope in KEY_SCOPES if scope in asked]


def _table(keys: Iterable[KeyView]) -> Sheet:
    sheet = Sheet(
        (
            Column("ID"),
            Column("NAME", is_long=True),
            Column("SCOPES", rank=1),
            Column("TENANT", rank=4),
            Column("EXPIRES", rank=2),
            Column("LAST USED", rank=3),
        )
    )
    for key in keys:
        sheet.add(
            key.id, key.name, ",".join(key.scopes), key.tenant, key.expires_at or "never", key.last_used_at or "never"
        )
    return sheet
