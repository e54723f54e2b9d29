"""One request of a browser: who asks, what they may do, and the SDK's client that acts for them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request as BrowserRequest
from starlette.responses import Response

from hookline.client.answers import OwnKey
from hookline.client.in_process import InProcessClient
from hookline.dashboard.answers import page_response, see_other
from hookline.dashboard.history import ChartHistory
from hookline.dashboard.rendering import html
from hookline.dashboard.sessions import (
    ACTS_FOR,
    SESSION,
    SESSION_MS,
    DashboardSession,
    Seals,
    cookie,
    cookies_in,
    tenant_in,
    visitor_in,
)
from hookline.dashboard.settings import DashboardSettings
from hookline.errors import Forbidden, HooklineError, InvalidRequest, PayloadTooLarge, TooManyBadKeys, Unauthorized
from hookline.http_api.page_host import PageHost
from hookline.protocol.api_keys import KEY_SCOPES, KeyScope
from hookline.protocol.limits import KIB
from hookline.protocol.passes import PERSON
from hookline.protocol.tenants import DEFAULT_TENANT_NAME, tenant_name, tenant_of

if TYPE_CHECKING:
    from hookline.dashboard.live import Streams
    from hookline.dashboard.oidc.flow import ProviderSignIn

TOKEN: Final = "token"  # noqa: S105 - the name of a field
_FORM_BYTES_MAX: Final = 4 * 1024 * KIB  # a payload of 1 MiB, of whose bytes a form makes up to three each
_FORM_FIELDS_MAX: Final = 100
_RETRIES: Final = 1
_ROOT: Final = "/dashboard"
_ANYBODY: Final = OwnKey(None, None, list(KEY_SCOPES), DEFAULT_TENANT_NAME, DEFAULT_TENANT_NAME, True, None)


class MenuEntry(NamedTuple):
    """An entry of the menu."""

    path: str
    name: str
    icon: str
    scope: KeyScope = "read"


@dataclass(frozen=True, slots=True)
class Desk:
    """Holds what all visits share."""

    host: PageHost
    settings: DashboardSettings
    seals: Seals
    menu: tuple[MenuEntry, ...]
    streams: "Streams"
    history: ChartHistory
    provider: "ProviderSignIn | None" = None


class SignInNeeded(Exception):
    """Nobody is signed in, and the service asks for keys."""


class Visit:
    """One request.

    Attributes:
        request: of the browser.
        desk: shared by all.
        visitor: the word of the cookie that forms are bound to.
        me: whose key it is, and what it may do.
        given: the cookies that came with it.
        acts_for: the tenant for whom an operator acts; None: for their own.
        client: the SDK's, which acts for them.
        cookies: headers ``Set-Cookie`` that go with the answer.
    """

    def __init__(self, request: BrowserRequest, desk: Desk) -> None:
        self.request = request
        self.desk = desk
        self.cookies: list[str] = []
        self.me = _ANYBODY
        host = desk.host
        self.given = given = cookies_in(request.headers.get("cookie", ""))
        known = visitor_in(given)
        self.visitor = known or desk.seals.new_visitor()
        if known is None:
            self.cookies.append(cookie("hookline_visitor", self.visitor, is_secure=self.is_secure))
        session = desk.seals.opened(given[SESSION], host.clock.wall_ms()) if host.guard and SESSION in given else None
        self._session = session if session is not None and session.visitor == self.visitor else None
        self.acts_for = tenant_in(given)
        self.client = self._client("" if self._session is None else self._session.api_key)

    def _client(self, api_key: str) -> InProcessClient:
        host = self.desk.host
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        if self.acts_for is not None:
            headers["hookline-tenant"] = self.acts_for
        found = self.request.client
        address = ("127.0.0.1", 1) if found is None else (found.host, found.port)
        return InProcessClient(lambda: host.app, host.clock, retries=_RETRIES, headers=headers, address=address)

    @property
    def is_secure(self) -> bool:
        """Is the browser's connection encrypted? A proxy before us says so; a lie only makes the cookie stricter."""
        return self.desk.host.is_secure or self.request.headers.get("x-forwarded-proto") == "https"

    @property
    def origin(self) -> str:
        """The service as the browser calls it."""
        return f"{'https' if self.is_secure else 'http'}://{self.request.headers.get('host', '127.0.0.1')}"

    @property
    def now(self) -> datetime:
        """The time of the process."""
        return datetime.fromtimestamp(self.desk.host.clock.wall_ms() / 1_000, UTC)

    async def admit(self) -> None:
        """Find out what they may do.

        Raises:
            SignInNeeded: there is no session, or its key does not hold any more.
            Forbidden: the key may not even read.
        """
        if self.desk.host.guard is None:
            return
        if self._session is None:
            raise SignInNeeded
        try:
            await self._ask_who(self._session.api_key)
        except (Unauthorized, TooManyBadKeys):
            self.forget()
            raise SignInNeeded from None

    async def _ask_who(self, api_key: str) -> None:
        """Ask whose key it is. Whoever may not act for others any more acts for their own."""
        try:
            self.me = await self.client.own_key()
        except Forbidden:
            if self.acts_for is None:
                raise
            self.act_for(None)
            self.client = self._client(api_key)
            self.me = await self.client.own_key()

    def act_for(self, tenant: str | None) -> None:
        """See and do everything as that tenant from the next page on; None: as their own. Raises InvalidRequest."""
        if tenant is None and self.acts_for is None:
            return
        self.acts_for = None if tenant is None else tenant_name(tenant_of(tenant, field="tenant"))
        self.cookies.append(cookie(ACTS_FOR, self.acts_for or "", is_secure=self.is_secure, is_over=tenant is None))

    async def sign_in(self, api_key: str) -> None:
        """Begin a session with this key, or pass. Raises Unauthorized, TooManyBadKeys, Forbidden."""
        if not api_key.isascii():
            raise Unauthorized
        self.act_for(None)
        self.client = self._client(api_key)
        await self._ask_who(api_key)
        ends_ms = self.desk.host.clock.wall_ms() + SESSION_MS
        sealed = self.desk.seals.sealed(DashboardSession(api_key, self.visitor, ends_ms))
        self.cookies.append(cookie(SESSION, sealed, is_secure=self.is_secure))

    def forget(self) -> None:
        """End the session."""
        self.cookies.append(cookie(SESSION, "", is_secure=self.is_secure, is_over=True))

    def may(self, scope: KeyScope) -> bool:
        """May they do what needs this scope, here?"""
        if self.desk.settings.is_read_only and scope != "read":
            return False
        return scope in self.me.scopes

    @property
    def is_signed_in(self) -> bool:
        """Did they show a key?"""
        return self._session is not None

    def asks(self) -> dict[str, str]:
        """The query of the address; the last value of a name counts."""
        return dict(self.request.query_params)

    async def form(self) -> dict[str, str]:
        """The fields of the form that was sent, which has to be of ours.

        Raises:
            InvalidRequest: it is not a form, or not one of ours.
            PayloadTooLarge: it is too long.
        """
        site = self.request.headers.get("sec-fetch-site", "same-origin")
        if site not in ("same-origin", "none"):
            raise InvalidRequest("this form was sent by another site; nothing was done")
        body = bytearray()
        async for part in self.request.stream():
            body += part
            if len(body) > _FORM_BYTES_MAX:
                raise PayloadTooLarge(f"the form has more than {_FORM_BYTES_MAX:,} bytes")
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FORM_FIELDS_MAX)
        except ValueError as error:
            raise InvalidRequest("the form cannot be read") from error
        fields = dict(pairs)
        if not self.desk.seals.is_form_token(self.visitor, fields.pop(TOKEN, "")):
            raise InvalidRequest(
                "the page was open for too long, or its cookie is gone; load it again. Nothing was done"
            )
        return fields

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """The template as a page, with what every page shows."""
        return page_response(self.text(template, **values), status)

    def text(self, template: str, **values: Any) -> str:
        """The template, as a page or a part of one."""
        desk = self.desk
        shared = {
            "menu": desk.menu,
            "here": self.request.url.path,
            "token": desk.seals.form_token(self.visitor),
            "may": self.may,
            "is_proxy": desk.host.server == "proxy",
            "is_read_only": desk.settings.is_read_only,
            "asks_for_keys": desk.host.guard is not None,
            "is_signed_in": self.is_signed_in,
            "me": self.me,
            "is_person": (self.me.id or "").startswith(PERSON),
            "acts_for": self.acts_for,
            "done": self.request.query_params.get("done", ""),
            "origin": self.origin,
        }
        return html(template, self.now, shared | values)

    def look_at(self, path: str) -> Response:
        """Send them to a page below ``/dashboard``."""
        return see_other(_ROOT + path)

    @property
    def is_for_part(self) -> bool:
        """Does a script of ours ask for a part of the page only?"""
        return self.request.headers.get("hx-request") == "true"


PageHandler = Callable[[Visit], Awaitable[Response]]


class PageRow(NamedTuple):
    """A page, or what one of its forms does.

    Attributes:
        scope: what a key must have; None: nobody has to be signed in.
    """

    method: str
    path: str
    scope: KeyScope | None
    handler: PageHandler


def refusal_page(visit: Visit, error: HooklineError) -> Response:
    """Says what is wrong, and what to do, in the words of the API."""
    return visit.page("refused.html", error.http_status, error=error, title=error.title())
