"""The provider that people sign in at, as options and environment variables of nodes and proxies."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from hookline.cli import inputs
from hookline.cli.parameters import CommaTexts, DurationText, NamedPath, Texts
from hookline.dashboard.settings import DashboardMode
from hookline.errors import InvalidConfig
from hookline.http_api.access import is_loopback
from hookline.protocol.api_keys import KEY_SCOPES, KeyScope

if TYPE_CHECKING:
    from hookline.dashboard.oidc.settings import OidcSettings

SEPARATOR = ";"


def _env(name: str) -> Parameter:
    return Parameter(env_var=f"HOOKLINE_OIDC_{name}")


def _apart(_type: Any, text: str, *, delimiter: str | None = None) -> list[str]:
    """Names of groups may have spaces, so these do not part the entries in a variable."""
    del delimiter  # for what is no variable
    return [entry for entry in text.split(SEPARATOR) if entry.strip()]


@Parameter(name="*", group=Group("Settings"))
@dataclass(frozen=True, kw_only=True)
class OidcOptions:
    """OpenID Connect, beside API keys; needs a root key.

    Attributes:
        oidc_issuer: Let people sign in to the dashboard at this OpenID Connect provider, such as
            https://login.example.com/realms/main.
        oidc_client_id: The name that the provider has for Hookline.
        oidc_client_secret_file: A file that holds the secret it has for Hookline; without it, a public client.
        oidc_map: What the members of a group may do: admins=read,write,cancel,admin; may be given again. In the
            variable, between semicolons.
        oidc_scopes_claim: The claim of the id token that has the groups; dots lead into objects. [groups]
        oidc_name_claim: The claim that names a person in the audit log; where it is missing, sub. [email]
        oidc_tenant_claim: The claim that names the tenant; without it, all see what is of the tenant default.
        oidc_redirect_url: Where the provider sends browsers back to: https://HOST/dashboard/oidc/callback. Needed
            unless they are on this machine.
        oidc_request: The OAuth scopes to ask for, separated by commas. [openid,email,profile]
        oidc_session: How long somebody is signed in, up to 12h. [8h]
        oidc_label: The provider's name on the button, instead of its host.
    """

    oidc_issuer: Annotated[str | None, _env("ISSUER")] = None
    oidc_client_id: Annotated[str | None, _env("CLIENT_ID")] = None
    oidc_client_secret_file: Annotated[NamedPath | None, _env("CLIENT_SECRET_FILE")] = None
    oidc_map: Annotated[Texts, Parameter(env_var="HOOKLINE_OIDC_MAP", env_var_split=_apart)] = None
    oidc_scopes_claim: Annotated[str | None, _env("SCOPES_CLAIM")] = None
    oidc_name_claim: Annotated[str | None, _env("NAME_CLAIM")] = None
    oidc_tenant_claim: Annotated[str | None, _env("TENANT_CLAIM")] = None
    oidc_redirect_url: Annotated[str | None, _env("REDIRECT_URL")] = None
    oidc_request: Annotated[CommaTexts | None, _env("REQUEST")] = None
    oidc_session: Annotated[DurationText | None, _env("SESSION")] = None
    oidc_label: Annotated[str | None, _env("LABEL")] = None

    def oidc_settings(self, root_key: str | None, host: str, dashboard: DashboardMode) -> "OidcSettings | None":
        """The settings, checked; None: nobody asked for a provider. Raises InvalidConfig."""
        if self.oidc_issuer is None:
            self._check_nothing_else()
            return None
        from hookline.dashboard.oidc.settings import OidcSettings

        if root_key is None:
            raise InvalidConfig(
                "--oidc-issuer needs a root key, which seals the sessions; give --root-key-file FILE",
                field="root_key",
            )
        if dashboard == "off":
            raise InvalidConfig(
                "--oidc-issuer is for the dashboard, which --dashboard off takes away", field="dashboard"
            )
        settings = OidcSettings(
            self.oidc_issuer,
            self.oidc_client_id or "",
            _scopes_of(self.oidc_map or []),
            self._client_secret,
            **inputs.given(
                scopes_claim=self.oidc_scopes_claim,
                name_claim=self.oidc_name_claim,
                tenant_claim=self.oidc_tenant_claim,
                redirect_url=self.oidc_redirect_url,
                request=None if self.oidc_request is None else tuple(self.oidc_request.replace(",", " ").split()),
                session_ms=None if self.oidc_session is None else inputs.duration_ms(self.oidc_session),
                label=self.oidc_label,
            ),
        )
        if settings.redirect_url is None and not is_loopback(host):
            raise InvalidConfig(
                "--oidc-issuer at an address beyond this machine needs --oidc-redirect-url, which says by which name "
                "browsers reach it",
                field="oidc-redirect-url",
            )
        return settings

    @cached_property
    def _client_secret(self) -> str | None:
        """Read once: settings are checked before they are used, and a pipe has it once only."""
        return _secret_in(self.oidc_client_secret_file)

    def _check_nothing_else(self) -> None:
        for name in OidcOptions.__dataclass_fields__:
            if getattr(self, name) is not None:
                option = name.replace("_", "-")
                raise InvalidConfig(f"--{option} needs --oidc-issuer", field=option)


def _scopes_of(entries: list[str]) -> dict[str, tuple[KeyScope, ...]]:
    found: dict[str, tuple[KeyScope, ...]] = {}
    for entry in entries:
        group, _, text = entry.rpartition("=")
        wanted = {scope.strip() for scope in text.split(",")}
        group = group.strip()
        if not group or not wanted <= set(KEY_SCOPES):
            raise InvalidConfig(
                f"--oidc-map {entry!r} is not GROUP=SCOPE,…; scopes are {', '.join(KEY_SCOPES)}", field="oidc-map"
            )
        if group in found:
            raise InvalidConfig(f"--oidc-map names {group!r} twice", field="oidc-map")
        found[group] = tuple(scope for scope in KEY_SCOPES if scope in wanted)
    return found


def _secret_in(file: Path | None) -> str | None:
    if file is None:
        return None
    secret = inputs.read_file(str(file)).decode("utf-8", "replace").strip()
    if not secret:
        raise InvalidConfig(
            f"{file} is empty; it has to hold the secret of the client", field="oidc-client-secret-file"
        )
    return secret


DEFAULT_OIDC_OPTIONS = OidcOptions()
