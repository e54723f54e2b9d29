"""Applying the commands that change API keys."""

from hookline.node.state_machine.rows import ApiKeyRow
from hookline.node.state_machine.tables import Tables
from hookline.protocol.api_keys import KeptApiKey, outranks
from hookline.protocol.commands import Changed, PutApiKeys, Refused, Result, TouchApiKeys
from hookline.protocol.limits import API_KEYS_MAX

_TOO_MANY = "too_many_keys"
_REVOKED_KEPT_MS = 30 * 86_400_000  # at least: then no cluster that was away brings the key back


def put_keys(tables: Tables, time_ms: int, command: PutApiKeys) -> Result:
    """Keep each that is new or outranks the one that is kept; how many those were. Refused when there is no room."""
    changed = 0
    for key_id, blob in command.keys:
        known = tables.row(ApiKeyRow, "api_key", key_id)
        if known is None and len(tables.api_keys.by_id) >= API_KEYS_MAX and not _make_room(tables, time_ms):
            return Refused(_TOO_MANY)
        if known is None or outranks(blob, known.record):
            tables.keep_api_key(ApiKeyRow(key_id, blob, 0 if known is None else known.used_ms))
            changed += 1
    return Changed(changed)


def touch_keys(tables: Tables, command: TouchApiKeys) -> Result:
    """Keep the later time of each; how many changed."""
    changed = 0
    for key_id, used_ms in command.uses:
        known = tables.row(ApiKeyRow, "api_key", key_id)
        if known is not None and known.used_ms < used_ms:
            tables.keep_api_key(ApiKeyRow(key_id, known.record, used_ms))
            changed += 1
    return Changed(changed)


def _make_room(tables: Tables, time_ms: int) -> bool:
    """Forget the key that has been of no use for the longest time, if it has been for a month."""
    useless = [(ended, key.id) for key in tables.api_keys.by_id.values() if (ended := _ended_ms(key)) is not None]
    oldest, key_id = min(useless, default=(time_ms, ""))
    if oldest > time_ms - _REVOKED_KEPT_MS:
        return False
    tables.drop_api_key(key_id)
    return True


def _ended_ms(key: KeptApiKey) -> int | None:
    """When it was revoked, or it expires; None: never."""
    return key.record.expires_ms if key.record.revoked_ms is None else key.record.revoked_ms
