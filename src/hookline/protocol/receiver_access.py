"""The things that a destination asks of callers: an ``Authorization``, an authority, a client certificate. Pure data.

It is stored sealed, as one blob, and opened where an attempt is made.
"""

from typing import Final

import msgspec

TEXT_CHARS_MAX: Final = 4_096
PEM_CHARS_MAX: Final = 32_768


class BearerAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="bearer"):
    """``Authorization: Bearer``."""

    token: str


class BasicAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="basic"):
    """``Authorization: Basic`` (RFC 7617)."""

    username: str
    password: str


class OAuth2Auth(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type", tag="oauth2"
):
    """A bearer token from ``token_url`` by client credentials (RFC 6749, section 4.4), new before it expires."""

    token_url: str
    client_id: str
    client_secret: str
    scope: str = ""


ReceiverAuth = BearerAuth | BasicAuth | OAuth2Auth


class ReceiverTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """TLS towards a destination, in PEM.

    Attributes:
        ca: the authorities that are trusted there, in the place of the system's.
        certificate: shown by the caller, with the chain below it.
        key: of the certificate, not encrypted.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class ReceiverAccess(msgspec.Struct, frozen=True, omit_defaults=True):
    """Both of a destination."""

    auth: ReceiverAuth | None = None
    tls: ReceiverTls | None = None


encode_access = msgspec.msgpack.Encoder().encode
decode_access = msgspec.msgpack.Decoder(ReceiverAccess).decode
