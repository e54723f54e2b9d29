"""The settings of signing in at a provider, checked. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

from hookline.errors import InvalidConfig
from hookline.http_api.access import is_loopback
from hookline.protocol.api_keys import KeyScope

CALLBACK: Final = "/dashboard/oidc/callback"
_SESSION_MS_MIN, _SESSION_MS_MAX = 60_000, 12 * 3_600_000


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """One provider, and what its people may do here. Raises InvalidConfig.

    Attributes:
        issuer: the provider's url, letter by letter as it names itself.
        client_id: of Hookline at the provider.
        scopes_of: what each value of ``scopes_claim`` allows.
        client_secret: None: Hookline is a public client there.
        scopes_claim: of the id token: text or a list of texts; dots lead into objects.
        name_claim: whose text the audit log has; where it is missing, ``sub``.
        tenant_claim: names the tenant; None: all are the default tenant's.
        redirect_url: of the callback, as browsers reach it; None: this machine's browsers alone sign in.
        request: the OAuth scopes to ask for.
        session_ms: so long somebody is signed in.
        label: what the button says the provider is.
    """

    issuer: str
    client_id: str
    scopes_of: Mapping[str, tuple[KeyScope, ...]]
    client_secret: str | None = field(default=None, repr=False)
    scopes_claim: str = "groups"
    name_claim: str = "email"
    tenant_claim: str | None = None
    redirect_url: str | None = None
    request: tuple[str, ...] = ("openid", "email", "profile")
    session_ms: int = 8 * 3_600_000
    label: str = ""

    def __post_init__(self) -> None:
        check_provider_url(self.issuer, "oidc-issuer")
        if not self.client_id:
            raise InvalidConfig("sign-in at a provider needs --oidc-client-id", field="oidc-client-id")
        if not self.scopes_of:
            raise InvalidConfig("sign-in at a provider needs --oidc-map, which says who may do what", field="oidc-map")
        if "openid" not in self.request:
            raise InvalidConfig("--oidc-request has to contain openid", field="oidc-request")
        if not _SESSION_MS_MIN <= self.session_ms <= _SESSION_MS_MAX:
            raise InvalidConfig("--oidc-session is between 1m and 12h", field="oidc-session")
        if self.redirect_url is not None:
            parts = check_provider_url(self.redirect_url, "oidc-redirect-url")
            if parts.path != CALLBACK:
                raise InvalidConfig(f"--oidc-redirect-url ends with {CALLBACK}", field="oidc-redirect-url")

    @property
    def shown(self) -> str:
        """The provider, as the button names it."""
        return self.label or urlsplit(self.issuer).netloc


def check_provider_url(url: str, name: str) -> SplitResult:
    """The parts of an address that secrets are sent to. Raises InvalidConfig unless they are safe on their way."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidConfig(f"{name} is not a url", field=name) from error
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or not url.isprintable() or " " in url:
        raise InvalidConfig(f"{name} is not an https:// url without a user", field=name)
    if parts.query or parts.fragment:
        raise InvalidConfig(f"{name} has a ? or a #, which does not belong there", field=name)
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidConfig(f"{name} has to begin with https://; http:// is for this machine only", field=name)
    return parts
