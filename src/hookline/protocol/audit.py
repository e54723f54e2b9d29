"""The audit log: who changed what. What a row holds, and what of commands it tells. Pure.

No secret is ever told: of a key its name and scopes, of a destination how many secrets sign for it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from hookline.protocol.api_keys import ApiKey, decode_key
from hookline.protocol.commands import (
    AnyCommand,
    AuditNote,
    AuditOutcome,
    ImportDestinations,
    PutApiKeys,
    PutDestination,
    PutTenant,
    SetMode,
    SetTopology,
)
from hookline.protocol.durations import format_duration, format_time
from hookline.protocol.settings import DELETED, decode_destination
from hookline.protocol.tenants import REMOVED, decode_tenant, tenant_name
from hookline.protocol.topology import parse_topology

SUMMARY_CHARS_MAX = 300
_KEYS_NAMED = 5


class AuditRecord(msgspec.Struct, frozen=True, array_like=True):
    """A row as a state keeps it.

    Attributes:
        changed: how many things changed, such as jobs.
        code: of the error, if it was refused.
    """

    note: AuditNote
    outcome: AuditOutcome
    changed: int
    code: str = ""


class ChangeTold(NamedTuple):
    """Tells what a change is about, and what it is."""

    target: str
    summary: str


def told(commands: Sequence[AnyCommand]) -> ChangeTold:
    """The target and the summary of what is about to be changed; both empty where the commands do not say."""
    match commands[0] if commands else None:
        case PutApiKeys(keys=keys):
            named = ", ".join(key_id for key_id, _ in keys[:_KEYS_NAMED])
            if len(keys) == 1:
                return ChangeTold(named, shortened(_of_key(decode_key(keys[0][1]))))
            return ChangeTold("", shortened(f"{len(keys)} keys: {named}" + (", …" if len(keys) > _KEYS_NAMED else "")))
        case PutDestination(name=name, settings=settings):
            return ChangeTold(name, shortened(_of_destination(settings)))
        case PutTenant(tenant=tenant, settings=settings):
            return ChangeTold(tenant_name(tenant), _of_tenant(settings))
        case SetTopology(epoch=epoch, document=document):
            topology = parse_topology(document)
            clusters = ", ".join(
                f"{one.name} (shard {one.shard}, weight {one.weight}, {len(one.nodes)} nodes)"
                for one in topology.clusters
            )
            return ChangeTold(f"epoch {epoch}", shortened(f"strategy {topology.strategy}; {clusters}"))
        case ImportDestinations(epoch=epoch, settings=rows):
            return ChangeTold(f"epoch {epoch}", f"settings of {len(rows)} destinations")
        case SetMode(mode=mode):
            return ChangeTold("", f"mode {mode}")
        case _:
            return ChangeTold("", "")


def _of_key(record: ApiKey) -> str:
    parts = [f"name {record.name}", f"scopes {','.join(record.scopes)}"]
    if record.tenant:
        parts.append(f"tenant {record.tenant}")
    if record.expires_ms is not None:
        parts.append(f"expires {format_time(record.expires_ms)}")
    if record.revoked_ms is not None:
        parts.append("revoked")
    elif record.rotated_ms is not None:
        ends = [secret.until_ms for secret in record.secrets if secret.until_ms is not None]
        parts.append(f"new text, the one before holds until {format_time(max(ends))}" if ends else "new text")
    return "; ".join(parts)


def _of_tenant(blob: bytes) -> str:
    if blob == REMOVED:
        return "settings deleted"
    settings = decode_tenant(blob)
    parts = {name.replace("_", " "): getattr(settings, name) for name in settings.__struct_fields__}
    return "; ".join(f"{name} {value}" for name, value in parts.items() if value is not None)


def _of_destination(blob: bytes) -> str:
    if blob == DELETED:
        return "settings deleted"
    settings = decode_destination(blob)
    parts = [] if settings.concurrency is None else [f"concurrency {settings.concurrency}"]
    if settings.rate_limit is not None:
        parts.append(f"rate {settings.rate_limit} per {format_duration(settings.rate_per_ms)}")
    if settings.paused:
        parts.append("paused")
    if settings.sealed_secrets:
        parts.append(f"{len(settings.sealed_secrets)} secrets")
    if settings.retry is not None:
        parts.append("retry policy of its own")
    return "; ".join(parts) or "defaults"


def of_filter(fields: Iterable[tuple[str, object]], overrides: Iterable[str]) -> str:
    """Says which jobs a change by filter means. Of overrides only the names: their values may be secrets."""
    return shortened("; ".join(_filter_parts(fields, overrides)) or "all jobs")


def _filter_parts(fields: Iterable[tuple[str, object]], overrides: Iterable[str]) -> Iterator[str]:
    for name, value in fields:
        yield f"{name} {value}"
    if names := sorted(overrides):
        yield f"overrides {', '.join(names)}"


def shortened(text: str) -> str:
    """The text, or its beginning where it is too long for a row."""
    return text if len(text) <= SUMMARY_CHARS_MAX else text[: SUMMARY_CHARS_MAX - 1] + "…"


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AuditRecord).decode


def encode_audit(record: AuditRecord) -> bytes:
    """The stored form."""
    return _encode(record)


def decode_audit(blob: bytes) -> AuditRecord:
    """The inverse."""
    return _decode(blob)
