"""The shapes of the calls about API keys, as users send and see them; the key itself is in the answer that made it."""

from msgspec import Struct

from hookline.protocol.api_keys import KeyScope


class KeyRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``POST /keys``. It expires after ``expires`` or at ``expires_at``; with neither it holds until it is revoked."""

    name: str
    scopes: list[KeyScope]
    tenant: str | None = None
    expires: str | int | float | None = None
    expires_at: str | None = None


class KeyRotation(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``POST /keys/{id}/rotate``. ``overlap``: for how long the texts before the new one still hold."""

    overlap: str | int | float = "24h"


class KeyView(Struct, frozen=True):
    """A key without its text.

    ``last_used_at`` is true to the hour. ``previous_until``: until then a text from before the rotation holds, too.
    """

    id: str
    name: str
    scopes: list[KeyScope]
    tenant: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    rotated_at: str | None
    previous_until: str | None


class OwnKey(Struct, frozen=True):
    """The caller as the service sees it. ``id`` is ``root`` with a root key, and null where nobody is asked for a key.

    Of somebody who signed in at a provider it is ``oidc:`` and their name.

    ``scopes``: what it may do. ``tenant``: whose key it is; ``acts_for``: whose jobs it sees by this call. An operator
    (``is_operator``) may act for any tenant.
    """

    id: str | None
    name: str | None
    scopes: list[KeyScope]
    tenant: str
    acts_for: str
    is_operator: bool
    expires_at: str | None


class NewKey(Struct, frozen=True, omit_defaults=True):
    """A key with its text, which is shown this once. ``incomplete``: clusters that get it when they can be reached."""

    id: str
    key: str
    name: str
    scopes: list[KeyScope]
    tenant: str
    created_at: str
    expires_at: str | None
    previous_until: str | None
    incomplete: list[str] = []


class KeyPage(Struct, frozen=True, omit_defaults=True):
    """A page of keys, the oldest first. ``incomplete``: clusters that did not answer."""

    data: list[KeyView]
    next_cursor: str | None
    incomplete: list[str] = []


class KeysTold(Struct, frozen=True, omit_defaults=True):
    """Between our processes: all keys of a cluster, (id, record as stored, last use); None: the caller has them."""

    version: str
    keys: list[tuple[str, bytes, int]] | None = None


class KeysGiven(Struct, frozen=True):
    """Between our processes: keys that a cluster is to take, (id, record as stored)."""

    keys: list[tuple[str, bytes]]
