"""``hookline audit``: who changed what."""

import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from hookline.cli.listing import DEFAULT_LISTING, ListOutput
from hookline.cli.output import print_json, stdout, usage_error, warn_incomplete
from hookline.cli.parameters import AnyText, Flag
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.cli.sheet import Column, Sheet
from hookline.client import requests
from hookline.protocol.http_audit import AuditView
from hookline.protocol.limits import PAGE_MAX

if TYPE_CHECKING:
    from hookline.cli.calls import Calls

_LOOK_S = 2.0
_KNOWN_MAX = 10_000


def audit(
    *,
    action: str | None = None,
    actor: AnyText | None = None,
    after: str | None = None,
    limit: int = 50,
    follow: Flag = False,
    listing: ListOutput = DEFAULT_LISTING,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """Show who changed keys, topology, destinations or the cluster, or many jobs at once; the newest first.

    With --follow the newest last, and then what comes, a line each, or with --json a document each; Ctrl-C ends it.

    For example: hookline audit --action revokeKey

    Args:
        action: Only this call, by its name in the reference of the HTTP API, such as createKey.
        actor: Only this API key, by its id, or root.
        after: Only what came after this time, such as 2026-11-28T09:00:00Z.
        limit: How many at most; 0 for all.
        follow: Go on, and show what comes.
        listing: How to print them.
        service: Where Hookline is.
    """
    if not 0 <= limit <= sys.maxsize:
        raise usage_error(f"--limit must be 0 to {sys.maxsize}.")
    with service.calls() as calls:
        if follow:
            for row in _followed(calls, action, actor, after, limit):
                _print_line(row, as_json=service.json)
            return
        found = _found(calls, action, actor, after, limit)
    listing.print(found, _table(found), service)


def _found(calls: "Calls", action: str | None, actor: str | None, after: str | None, limit: int) -> list[AuditView]:
    if 0 < limit <= PAGE_MAX:
        page = calls.send(requests.list_audit(action=action, actor=actor, after=after, limit=limit, cursor=None))
        warn_incomplete(page.incomplete)
        return page.data
    pages = calls.items(lambda cursor: requests.list_audit(action=action, actor=actor, after=after, cursor=cursor))
    return list(islice(pages, limit or None))


def _followed(
    calls: "Calls", action: str | None, actor: str | None, after: str | None, limit: int
) -> Iterator[AuditView]:
    """The newest, the oldest of them first, then what comes. Never ends."""
    known: dict[str, None] = {}  # ids of the newest that were shown; those of several clusters mix
    found = _found(calls, action, actor, after, limit)
    while True:
        for row in reversed(found):
            if row.id not in known:
                known[row.id] = None
                yield row
        for old in list(known)[:-_KNOWN_MAX]:
            del known[old]
        time.sleep(_LOOK_S)
        found = calls.send(
            requests.list_audit(action=action, actor=actor, after=after, limit=PAGE_MAX, cursor=None)
        ).data


def _print_line(row: AuditView, *, as_json: bool) -> None:
    if as_json:
        print_json(row)
    else:
        who = row.actor_name or row.actor or "nobody"
        parts = (row.at, row.cluster, who, row.address, row.action, row.target, row.outcome, row.summary)
        stdout().print("  ".join(part for part in parts if part), soft_wrap=True)
    sys.stdout.flush()


def _table(rows: Iterable[AuditView]) -> Sheet:
    sheet = Sheet(
        (
            Column("TIME"),
            Column("WHO"),
            Column("ACTION"),
            Column("TARGET", is_long=True),
            Column("OUTCOME"),
            Column("CHANGED", rank=2, is_number=True),
            Column("FROM", rank=1),
            Column("CLUSTER", rank=3),
            Column("SUMMARY", is_long=True),
        )
    )
    for row in rows:
        outcome = f"{row.outcome} {row.code}".strip()
        who = row.actor_name or row.actor or "-"
        sheet.add(
            *(row.at, who, row.action, row.target, outcome, str(row.changed)),
            *(row.address, row.cluster, row.summary),
        )
    return sheet
