"""Passes: what the session of somebody who signed in at a provider shows in place of an API key. Pure.

A pass says itself who it is of, what they may do and until when, under a MAC whose key follows from the root key. So
every process that has the root key can check it, and nothing is stored: see docs/decisions/0044-oidc.md.
"""

import base64
import hmac
from collections.abc import Sequence
from typing import Final

import msgspec

from hookline.protocol.api_keys import KeyScope

PERSON: Final = "oidc:"
"""Begins the name of whoever signed in so, where an API key has its id; no id has a colon."""

_PREFIX: Final = "hookline_pass_"
_PURPOSE: Final = b"hookline sign-in pass"
_MAC_CHARS: Final = 43  # of 32 bytes, without the "=" at the end
_CHARS_MAX: Final = 4_096


class SignInPass(msgspec.Struct, frozen=True, array_like=True):
    """The rights of somebody who signed in.

    Attributes:
        name: whose it is, such as ``oidc:alice@example.com``: visible ASCII, without spaces.
        tenant: theirs; the default tenant's is empty.
        ends_ms: it holds until then.
    """

    name: str
    scopes: tuple[KeyScope, ...]
    tenant: str
    ends_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(SignInPass).decode


def pass_key(root_key: str) -> bytes:
    """The key of the MACs; it tells nothing about the root key."""
    return hmac.digest(root_key.encode(), _PURPOSE, "sha256")


def pass_text(key: bytes, granted: SignInPass) -> str:
    """The text that goes where an API key would."""
    said = base64.urlsafe_b64encode(_encode(granted)).decode().rstrip("=")
    return f"{_PREFIX}{said}{_mac(key, said)}"


def read_pass(text: str, keys: Sequence[bytes], now_ms: int) -> SignInPass | None:
    """The pass; None: it was not made under one of these keys, or it is over."""
    if not text.startswith(_PREFIX) or len(text) > _CHARS_MAX or not text.isascii():
        return None
    body = text.removeprefix(_PREFIX)
    said, mac = body[:-_MAC_CHARS], body[-_MAC_CHARS:]
    if not sum(hmac.compare_digest(mac, _mac(key, said)) for key in keys):  # all, whichever it is
        return None
    try:
        found = _decode(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
    except (ValueError, msgspec.MsgspecError):  # of another release
        return None
    return found if now_ms < found.ends_ms else None


def _mac(key: bytes, said: str) -> str:
    mac = hmac.digest(key, _PREFIX.encode() + said.encode(), "sha256")
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")
