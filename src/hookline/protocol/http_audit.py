"""The shapes of the audit log, as users see it."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

AUDIT_FILTERS = ("action", "actor", "after")


class AuditView(Struct, frozen=True):
    """A row of the audit log: who did what.

    ``actor``: id of the key, ``root``, ``oidc:`` and a name, or empty where nobody is asked for a key. ``address``:
    where the caller was; ``via``: through which proxies and nodes, as they say. ``changed``: how many things, such as
    jobs.
    """

    id: str
    at: str
    cluster: str
    action: str
    target: str
    actor: str
    actor_name: str
    tenant: str
    address: str
    via: str
    summary: str
    outcome: Literal["done", "unchanged", "refused"]
    code: str
    changed: int
    trace: str


class AuditPage(Struct, frozen=True, omit_defaults=True):
    """A page of the audit log, the newest first. ``incomplete``: clusters that did not answer."""

    data: list[AuditView]
    next_cursor: str | None
    incomplete: list[str] = []
    cursors: list[str] | UnsetType = UNSET
