"""Names of tenants, and what is set for one. Pure.

The default tenant is kept as an empty text and shown as ``default``: it is the operators' own.
"""

import re

import msgspec

from hookline.errors import InvalidRequest
from hookline.protocol.jobs import DEFAULT_TENANT

DEFAULT_TENANT_NAME = "default"
TENANT_CHARS_MAX = 64
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_NOT_IN_A_PATH = frozenset({".", ".."})


class TenantSettings(msgspec.Struct, frozen=True, array_like=True):
    """Limits of a tenant in one cluster, and its weight beside others when slots are scarce; None: no limit.

    Attributes:
        pending_jobs: pending and running ones.
        pending_bytes: of their payloads.
        creates_per_second: so many at once, too.
    """

    pending_jobs: int | None = None
    pending_bytes: int | None = None
    creates_per_second: int | None = None
    weight: int = 1


UNLIMITED = TenantSettings()
REMOVED = b""
"""Is stored for a tenant whose settings were deleted; it reaches clusters that were away, as ``settings.DELETED``."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TenantSettings).decode


def encode_tenant(settings: TenantSettings) -> bytes:
    """The stored form."""
    return _encode(settings)


def decode_tenant(blob: bytes) -> TenantSettings:
    """The inverse. Raises msgspec.MsgspecError."""
    return _decode(blob) if blob else UNLIMITED


def tenant_of(name: str, *, field: str) -> str:
    """The tenant of that name, as it is kept. Raises InvalidRequest."""
    if len(name) > TENANT_CHARS_MAX or not _NAME.fullmatch(name) or name in _NOT_IN_A_PATH:
        raise InvalidRequest(
            f"a tenant's name has 1 to {TENANT_CHARS_MAX} of the characters A-Z a-z 0-9 . _ -", field=field
        )
    return DEFAULT_TENANT if name == DEFAULT_TENANT_NAME else name


def tenant_name(tenant: str) -> str:
    """The name that users see."""
    return tenant or DEFAULT_TENANT_NAME
