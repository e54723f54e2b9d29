"""A dashboard whose people sign in at a provider, and a browser that goes there and back."""

import http.client
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hookline.dashboard.oidc.settings import OidcSettings
from tests.dashboard_visitor import PageOf, Visitor
from tests.oidc_provider import OidcProvider

SCOPES: dict[str, Any] = {"admins": ("admin",), "support": ("read",), "writers": ("write",), "ops": ("read", "cancel")}


def settings_for(provider: OidcProvider, **changes: Any) -> OidcSettings:
    """The settings of a dashboard."""
    secret = None if provider.is_public else provider.client_secret
    fields: dict[str, Any] = {"client_secret": secret, "scopes_of": SCOPES, "label": "the test's provider"} | changes
    return OidcSettings(provider.url, provider.client_id, **fields)


def sent_to_provider(visitor: Visitor, wanted: str = "/dashboard") -> str:
    """Begin; the provider's address."""
    page = visitor.get(f"/oidc/start?next={wanted}")
    assert page.status == 303, page
    return page.headers["location"]


def sent_back(location: str) -> str:
    """Be somebody whom the provider knows; the address that it sends the browser back to."""
    parts = urlsplit(location)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        assert answer.status == 302, answer.read()
        return str(answer.getheader("location"))
    finally:
        connection.close()


def come_back(visitor: Visitor, back: str) -> PageOf:
    """Follow a link of another site, as browsers do: without the ``Strict`` cookies."""
    parts = urlsplit(back)
    kept = visitor.cookies
    visitor.cookies = {name: value for name, value in kept.items() if name == "hookline_begun"}
    page = visitor.get(f"{parts.path.removeprefix('/dashboard')}?{parts.query}")
    visitor.cookies = kept | visitor.cookies
    return page


def signed_in(visitor: Visitor, wanted: str = "/dashboard") -> PageOf:
    """All of it."""
    return come_back(visitor, sent_back(sent_to_provider(visitor, wanted)))


def asked_by(location: str) -> dict[str, str]:
    """The query of an address."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(location).query).items()}
