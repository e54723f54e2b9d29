"""Decides by the claims of an id token whose session it is, and what they may do. Pure."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from hookline.dashboard.oidc.refusing import SignInRefused
from hookline.dashboard.oidc.settings import OidcSettings
from hookline.errors import InvalidRequest
from hookline.protocol.api_keys import KEY_SCOPES
from hookline.protocol.jobs import DEFAULT_TENANT
from hookline.protocol.passes import PERSON, SignInPass
from hookline.protocol.tenants import tenant_of

_EMAIL: Final = "email"
_VERIFIED: Final = (True, "true")
_NAME_CHARS_MAX: Final = 128
_VALUES_MAX: Final = 2_000


def pass_of(claims: Mapping[str, Any], settings: OidcSettings, now_ms: int) -> SignInPass:
    """The pass for whoever has these claims. Raises SignInRefused: they may do nothing here."""
    groups = _texts(_deciding(claims, settings.scopes_claim))
    allowed = {scope for group in groups for scope in settings.scopes_of.get(group, ())}
    if not allowed:
        raise SignInRefused(
            f"You are known to {settings.shown}, but in no group that may use Hookline. Ask an operator for one."
        )
    scopes = tuple(scope for scope in KEY_SCOPES if scope in allowed)
    return SignInPass(_name(claims, settings), scopes, _tenant(claims, settings), now_ms + settings.session_ms)


def _name(claims: Mapping[str, Any], settings: OidcSettings) -> str:
    """The name for the audit log. An address that the provider has not verified could be anybody's."""
    said = _found(claims, settings.name_claim)
    if settings.name_claim == _EMAIL and claims.get("email_verified", True) not in _VERIFIED:
        said = None
    name = said if isinstance(said, str) and said.strip() else claims.get("sub")
    if not isinstance(name, str) or not name.strip():
        raise SignInRefused("The provider does not say who you are.")
    quoted = PERSON + quote(
        name.strip(), safe="@+!#$&'*/=?^`{|}~:,", errors="replace"
    )  # visible ASCII: it goes into headers
    if len(quoted) > _NAME_CHARS_MAX:
        raise SignInRefused("The provider's name for you is too long.")
    return quoted


def _tenant(claims: Mapping[str, Any], settings: OidcSettings) -> str:
    if settings.tenant_claim is None:
        return DEFAULT_TENANT
    named = _texts(_deciding(claims, settings.tenant_claim))
    if len(named) != 1:
        raise SignInRefused("The provider does not say for which one tenant you work. Ask an operator.")
    try:
        return tenant_of(named[0], field=settings.tenant_claim)
    except InvalidRequest:
        raise SignInRefused("The provider names a tenant that cannot be. Ask an operator.") from None


def _deciding(claims: Mapping[str, Any], name: str) -> Any:
    """The claim, for what somebody may do: an address decides only if the provider says that it is theirs."""
    is_doubtful = name == _EMAIL and claims.get("email_verified") not in _VERIFIED
    return None if is_doubtful else _found(claims, name)


def _found(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of that name; else what dots lead to, as in ``realm_access.roles``."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values[:_VALUES_MAX] if isinstance(text, str)]
