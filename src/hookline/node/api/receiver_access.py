"""The part of a destination's settings that lets requests in there: its ``Authorization``, and TLS of its own.

It is stored sealed, as one blob. Only what is not secret is shown.
"""

from typing import Any

from cryptography import x509
from msgspec import UNSET

from hookline.errors import InvalidRequest, SecretKeyMissing, Unavailable
from hookline.http_api import strict_json
from hookline.http_client.own_tls import UnusablePem, own_context
from hookline.node.api.job_requests import JobRequests
from hookline.node.vault import Vault
from hookline.protocol import http
from hookline.protocol.durations import format_time
from hookline.protocol.receiver_access import (
    PEM_CHARS_MAX,
    TEXT_CHARS_MAX,
    BasicAuth,
    OAuth2Auth,
    ReceiverAccess,
    ReceiverAuth,
    ReceiverTls,
    decode_access,
    encode_access,
)


def check_unique(fields: dict[str, Any], wanted: http.DestinationRequest) -> None:
    """Raise InvalidRequest if a field inside of them is there twice."""
    for name in ("auth", "tls"):
        if getattr(wanted, name) not in (UNSET, None):
            strict_json.unique_fields(fields[name])


def changed_access(requests: JobRequests, vault: Vault, wanted: http.DestinationRequest, old: bytes) -> bytes:
    """The access as it is stored. Raises InvalidRequest, Unavailable."""
    if wanted.auth is UNSET and wanted.tls is UNSET:
        return old
    before = ReceiverAccess()
    if old and UNSET in (wanted.auth, wanted.tls):
        try:
            before = decode_access(vault.open_bytes(old))
        except SecretKeyMissing as error:
            raise Unavailable("the other is sealed with a key that this node does not have; give both") from error
    auth = before.auth if wanted.auth is UNSET else _checked_auth(requests, wanted.auth)
    tls = before.tls if wanted.tls is UNSET else _checked_tls(wanted.tls)
    access = ReceiverAccess(auth, tls)
    return b"" if access == ReceiverAccess() else requests.sealed_bytes(encode_access(access))


def _checked_auth(requests: JobRequests, auth: ReceiverAuth | None) -> ReceiverAuth | None:
    if auth is None:
        return None
    for name in auth.__struct_fields__:
        text = getattr(auth, name)
        is_needed = name != "scope"
        if (is_needed and not text) or len(text) > TEXT_CHARS_MAX or not text.isprintable():
            raise InvalidRequest(f"it has 1 to {TEXT_CHARS_MAX} printable characters", field=f"auth.{name}")
        if auth.__struct_config__.tag == "bearer" and (not text.isascii() or " " in text):
            raise InvalidRequest("a token has no spaces and only ASCII characters", field=f"auth.{name}")
    if isinstance(auth, BasicAuth) and ":" in auth.username:
        raise InvalidRequest("a username has no colon (RFC 7617)", field="auth.username")
    if isinstance(auth, OAuth2Auth):
        requests.check_url(auth.token_url, "auth.token_url")
    return auth


def _checked_tls(tls: ReceiverTls | None) -> ReceiverTls | None:
    if tls is None or tls == ReceiverTls():
        return None
    for name in tls.__struct_fields__:
        if len(getattr(tls, name) or "") > PEM_CHARS_MAX:
            raise InvalidRequest(f"it has more than {PEM_CHARS_MAX} characters", field=f"tls.{name}")
    if (tls.certificate is None) != (tls.key is None):
        missing = "key" if tls.key is None else "certificate"
        raise InvalidRequest("a certificate and its key belong together; give both", field=f"tls.{missing}")
    try:
        own_context(tls.ca, tls.certificate, tls.key)
        if tls.certificate is not None:
            x509.load_pem_x509_certificate(tls.certificate.encode())
    except UnusablePem as error:
        raise InvalidRequest(error.detail, field=f"tls.{error.part}") from None
    except ValueError as error:
        raise InvalidRequest(f"it holds no certificate in PEM: {error}", field="tls.certificate") from None
    return tls


def shown_access(vault: Vault, sealed: bytes) -> tuple[http.ShownAuth | None, http.ShownTls | None]:
    """The part that is not secret; nothing where the key is missing."""
    if not sealed:
        return None, None
    try:
        access = decode_access(vault.open_bytes(sealed))
    except SecretKeyMissing:
        return None, None
    return _shown_auth(access.auth), _shown_tls(access.tls)


def _shown_auth(auth: ReceiverAuth | None) -> http.ShownAuth | None:
    match auth:
        case None:
            return None
        case BasicAuth(username=username):
            return http.ShownAuth("basic", username=username)
        case OAuth2Auth():
            scope = auth.scope or UNSET
            return http.ShownAuth("oauth2", token_url=auth.token_url, client_id=auth.client_id, scope=scope)
        case _:
            return http.ShownAuth("bearer")


def _shown_tls(tls: ReceiverTls | None) -> http.ShownTls | None:
    if tls is None:
        return None
    if tls.certificate is None:
        return http.ShownTls(tls.ca is not None, None, None)
    certificate = x509.load_pem_x509_certificate(tls.certificate.encode())
    ends_ms = int(certificate.not_valid_after_utc.timestamp() * 1_000)
    return http.ShownTls(tls.ca is not None, certificate.subject.rfc4514_string(), format_time(ends_ms))
