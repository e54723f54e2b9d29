"""Signing in at a provider: the page that leads there, and the one that the provider leads back to."""

from typing import TYPE_CHECKING

from starlette.responses import Response

from hookline.dashboard.answers import see_other
from hookline.dashboard.oidc.refusing import FORBIDDEN, SignInRefused
from hookline.dashboard.pages.sign_in import own_path, sign_in_page
from hookline.dashboard.sessions import ACTS_FOR, BEGUN, BEGUN_S, Seals, begun_cookie, cookie
from hookline.dashboard.visits import PageRow, Visit
from hookline.errors import Forbidden, RouteNotFound, TooManyBadKeys, Unauthorized
from hookline.http_api.page_host import PageHost
from hookline.protocol.passes import pass_key, pass_text
from hookline.telemetry.area_log import log_of

if TYPE_CHECKING:
    from hookline.dashboard.oidc.flow import ProviderSignIn
    from hookline.dashboard.oidc.settings import OidcSettings

_log = log_of("dashboard")


def provider_sign_in(settings: "OidcSettings", seals: Seals, host: PageHost) -> "ProviderSignIn | None":
    """The provider's part of a dashboard; None: nobody is asked for a key, so nobody signs in."""
    from hookline.dashboard.oidc.flow import ProviderSignIn  # noqa: PLC0415  # only where it was asked for

    return ProviderSignIn(settings, seals, host.clock) if host.root_keys and host.guard is not None else None


def _provider(visit: Visit) -> "ProviderSignIn":
    if visit.desk.provider is None:
        raise RouteNotFound("There is no such page: nobody signs in at a provider here.")
    return visit.desk.provider


async def _start(visit: Visit) -> Response:
    provider = _provider(visit)
    wanted = own_path(visit.asks().get("next", ""))
    try:
        begun = await provider.begin(visit.origin, wanted)
    except SignInRefused as error:
        return _refused(visit, error, wanted)
    visit.cookies.append(begun_cookie(begun.sealed, BEGUN_S, is_secure=visit.is_secure or provider.is_https))
    return see_other(begun.location)


async def _come_back(visit: Visit) -> Response:
    """A page of ours, which leads on: a redirect would still be the provider's, and ``Strict`` cookies stay behind."""
    provider = _provider(visit)
    visit.cookies.append(cookie(ACTS_FOR, "", is_secure=visit.is_secure, is_over=True))  # of whoever was here before
    visit.cookies.append(begun_cookie("", 0, is_secure=visit.is_secure or provider.is_https))
    try:
        granted, wanted = await provider.finish(visit.asks(), visit.given.get(BEGUN, ""))
        await visit.sign_in(pass_text(pass_key(visit.desk.host.root_keys[0]), granted))
    except SignInRefused as error:
        return _refused(visit, error)
    except (Unauthorized, TooManyBadKeys):
        return _refused(visit, SignInRefused("The clocks of the service differ too much to sign you in.", 503))
    except Forbidden:
        return _refused(visit, SignInRefused("Your groups do not let you read; the dashboard needs the scope read."))
    _log.info("signed_in_at_provider", who=granted.name, scopes=granted.scopes, tenant=granted.tenant or "default")
    return visit.page("signed_in.html", wanted=own_path(wanted))


def _refused(visit: Visit, error: SignInRefused, wanted: str = "") -> Response:
    if error.status == FORBIDDEN:
        _log.warning("sign_in_refused", why=error.why)
    else:  # any stranger can bring it about
        _provider(visit).note_vain(error.why)
    return sign_in_page(visit, wanted, error.why, error.status)


PAGES = (
    PageRow("GET", "/oidc/start", None, _start),
    PageRow("GET", "/oidc/callback", None, _come_back),
)
