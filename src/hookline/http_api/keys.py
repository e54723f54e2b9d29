"""Reads what callers want of API keys, makes new ones, and shows them: the same in nodes and proxies."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from hookline.clock import Clock
from hookline.errors import Forbidden, InvalidRequest, InvalidTime, TooManyKeys
from hookline.http_api import strict_json
from hookline.http_api.callers import ApiCaller
from hookline.http_api.cursors import decode_cursor, encode_cursor
from hookline.http_api.messages import ApiRequest, page_limit
from hookline.protocol import http_keys
from hookline.protocol.api_keys import (
    ID_BYTES,
    KEY_SCOPES,
    SECRET_BYTES,
    ApiKey,
    KeptApiKey,
    KeySecret,
    encode_key,
    hash_of,
    key_id,
    key_text,
)
from hookline.protocol.durations import format_time, parse_duration, parse_time
from hookline.protocol.jobs import DEFAULT_TENANT
from hookline.protocol.limits import API_KEYS_PER_TENANT_MAX, check_between
from hookline.protocol.passes import PERSON
from hookline.protocol.tenants import tenant_name, tenant_of

NAME_CHARS_MAX = 128
_SCOPE = "keys"
_OVERLAP_MS_MAX = 90 * 86_400_000
_requests = msgspec.json.Decoder(http_keys.KeyRequest)
_rotations = msgspec.json.Decoder(http_keys.KeyRotation)


class MintedKey(NamedTuple):
    """A key with a new text."""

    id: str
    text: str
    record: ApiKey

    def kept(self, used_ms: int = 0) -> KeptApiKey:
        """All of it but the text."""
        return KeptApiKey(self.id, self.record, encode_key(self.record), used_ms)

    def view(self, incomplete: Iterable[str] = ()) -> http_keys.NewKey:
        """To be shown once. ``incomplete``: clusters that do not have it yet."""
        shown = key_view(self.kept())
        return http_keys.NewKey(
            *(self.id, self.text, shown.name, shown.scopes, shown.tenant),
            *(shown.created_at, shown.expires_at, shown.previous_until, sorted(incomplete)),
        )


async def minted(request: ApiRequest, clock: Clock, known: Iterable[KeptApiKey]) -> MintedKey:
    """The key that ``POST /keys`` asks for.

    Args:
        request: the call.
        clock: the time, and randomness.
        known: all keys there are, revoked ones too.

    Raises:
        InvalidRequest: a field is wrong.
        Forbidden: it would be another tenant's.
        TooManyKeys: the tenant has as many as it may have.
    """
    body = await request.body()
    strict_json.check_utf8(body)
    wanted = strict_json.decode(_requests, body)
    strict_json.unique_fields(body)
    if not (wanted.name.isprintable() and 1 <= len(wanted.name) <= NAME_CHARS_MAX):
        raise InvalidRequest(f"name must have 1 to {NAME_CHARS_MAX} characters that can be printed", field="name")
    if not wanted.scopes:
        raise InvalidRequest(f"scopes must name one at least of {', '.join(KEY_SCOPES)}", field="scopes")
    tenant = request.caller.tenant if wanted.tenant is None else tenant_of(wanted.tenant, field="tenant")
    if not sees(request.caller, tenant):
        raise Forbidden("a tenant makes its own keys only; ask an operator for another tenant's")
    if tenant != DEFAULT_TENANT and sum(key.record.tenant == tenant for key in known) >= API_KEYS_PER_TENANT_MAX:
        raise TooManyKeys(
            f"a tenant has at most {API_KEYS_PER_TENANT_MAX} keys, and so many of {tenant} are kept, those among them"
            " that were revoked in the last month"
        )
    now_ms, new_id = clock.wall_ms(), key_id(clock.token(ID_BYTES))
    text = key_text(new_id, clock.token(SECRET_BYTES))
    scopes = tuple(scope for scope in KEY_SCOPES if scope in wanted.scopes)
    secrets = (KeySecret(hash_of(text)),)
    return MintedKey(new_id, text, ApiKey(tenant, wanted.name, scopes, secrets, now_ms, _expiry_ms(wanted, now_ms)))


def sees(caller: ApiCaller, tenant: str) -> bool:
    """May the caller see and change the keys of that tenant? An operator may, unless it acts for another one."""
    return tenant == caller.tenant or (caller.is_operator and caller.tenant == DEFAULT_TENANT)


async def rotated(request: ApiRequest, known: KeptApiKey, clock: Clock) -> MintedKey:
    """The key as ``POST /keys/{id}/rotate`` asks for it. Raises InvalidRequest."""
    body = (await request.body()).strip()
    strict_json.check_utf8(body)
    wanted = strict_json.decode(_rotations, body or b"{}")
    strict_json.unique_fields(body or b"{}")
    overlap_ms = parse_duration(wanted.overlap, field="overlap")
    check_between("overlap", overlap_ms / 86_400_000, 0, _OVERLAP_MS_MAX / 86_400_000)
    now_ms, text = clock.wall_ms(), key_text(known.id, clock.token(SECRET_BYTES))
    return MintedKey(known.id, text, known.record.rotated(hash_of(text), now_ms, now_ms + overlap_ms))


def key_view(key: KeptApiKey) -> http_keys.KeyView:
    """A key as users see it."""
    record = key.record
    return http_keys.KeyView(
        id=key.id,
        name=record.name,
        scopes=list(record.scopes),
        tenant=tenant_name(record.tenant),
        created_at=format_time(record.created_ms),
        expires_at=_time(record.expires_ms),
        last_used_at=_time(key.used_ms or None),
        rotated_at=_time(record.rotated_ms),
        previous_until=_time(max((secret.until_ms for secret in record.secrets if secret.until_ms), default=None)),
    )


def own_key(caller: ApiCaller, key: KeptApiKey | None) -> http_keys.OwnKey:
    """The caller as it sees itself. ``key``: the record of its key; None: root, a pass, or nobody asks for one."""
    person = caller.key.removeprefix(PERSON) if caller.key.startswith(PERSON) else None
    return http_keys.OwnKey(
        id=caller.key or None,
        name=person if key is None else key.record.name,
        scopes=list(caller.scopes),
        tenant=tenant_name(caller.key_tenant),
        acts_for=tenant_name(caller.tenant),
        is_operator=caller.is_operator,
        expires_at=None if key is None else _time(key.record.expires_ms),
    )


def page_of(keys: Iterable[KeptApiKey], request: ApiRequest) -> http_keys.KeyPage:
    """The page that ``GET /keys`` asks for: those that were not revoked, the oldest first. Raises InvalidCursor."""
    query = request.query("limit", "cursor")
    limit, cursor = page_limit(query), query.get("cursor")
    after = "" if cursor is None else decode_cursor(cursor, _SCOPE)
    places = sorted((place, key) for key in keys if _is_shown(key, request.caller) and (place := _place(key)) > after)
    shown = [key for _, key in places[:limit]]
    next_cursor = encode_cursor(_place(shown[-1]), _SCOPE) if len(places) > limit else None
    return http_keys.KeyPage([key_view(key) for key in shown], next_cursor)


def _is_shown(key: KeptApiKey, caller: ApiCaller) -> bool:
    return key.record.revoked_ms is None and sees(caller, key.record.tenant)


def _place(key: KeptApiKey) -> str:
    return f"{key.record.created_ms:015d}{key.id}"


def _time(ms: int | None) -> str | None:
    return None if ms is None else format_time(ms)


def _expiry_ms(wanted: http_keys.KeyRequest, now_ms: int) -> int | None:
    if wanted.expires is not None and wanted.expires_at is not None:
        raise InvalidRequest("give either expires or expires_at", field="expires")
    if wanted.expires is not None:
        return now_ms + parse_duration(wanted.expires, field="expires")
    if wanted.expires_at is None:
        return None
    expires_ms = parse_time(wanted.expires_at, field="expires_at")
    if expires_ms <= now_ms:
        raise InvalidTime("expires_at is in the past", field="expires_at")
    return expires_ms
