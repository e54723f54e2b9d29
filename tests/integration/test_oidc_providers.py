"""Providers of all kinds: what they say of themselves, how we prove who we are, new keys, and none at all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dashboard_parts import node_with_pages
from tests.integration.forged_tokens import FORGED, KEYS
from tests.integration.keyed_servers import ROOT
from tests.integration.oidc_parts import asked_by, settings_for, signed_in
from tests.oidc_provider import OidcProvider, new_keys, oidc_provider


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with oidc_provider(KEYS) as found:
        yield found


def test_a_key_that_is_new_is_looked_for_and_not_at_every_token(provider: OidcProvider, tmp_path: Path) -> None:
    with node_with_pages(tmp_path, oidc=settings_for(provider), root_key=ROOT) as (node, visitor):
        assert signed_in(visitor).status == 200
        provider.keys = new_keys("2")
        node.clock.shift_ms = 6_000
        assert signed_in(visitor).status == 200
        provider.forge = FORGED["an unknown key"]
        provider.seen.clear()
        assert [signed_in(visitor).status for _ in range(3)] == [403] * 3
        assert provider.seen.count("/jwks") == 0
        assert provider.seen.count("/.well-known/openid-configuration") == 0


def test_where_it_is_told_its_name_that_one_is_used(provider: OidcProvider, tmp_path: Path) -> None:
    redirect = "https://hooks.example.com/dashboard/oidc/callback"
    with node_with_pages(tmp_path, oidc=settings_for(provider, redirect_url=redirect), root_key=ROOT) as (_, visitor):
        assert 'href="https://hooks.example.com/dashboard/oidc/start?next=' in visitor.get("/sign-in").text
        page = visitor.get("/oidc/start")
        assert asked_by(page.headers["location"])["redirect_uri"] == redirect
        assert page.cookies[-1].endswith("; Secure")


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "ftp://127.0.0.1/"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        {"jwks_uri": 7},
    ],
)
def test_a_discovery_document_that_is_not_right_is_not_used(
    provider: OidcProvider, tmp_path: Path, discovery: dict[str, Any]
) -> None:
    provider.discovery = discovery
    with node_with_pages(tmp_path, oidc=settings_for(provider), root_key=ROOT) as (node, visitor):
        page = visitor.get("/oidc/start")
        assert page.status == 502
        assert "API key" in page.text
        provider.discovery = {}
        provider.seen.clear()
        assert visitor.get("/oidc/start").status == 502
        assert provider.seen == []
        node.clock.shift_ms = 2_100
        assert signed_in(visitor).status == 200, "it is asked again"


def test_a_provider_that_is_away_leaves_the_api_key(provider: OidcProvider, tmp_path: Path) -> None:
    with oidc_provider(KEYS) as other:
        oidc = settings_for(other)
    with node_with_pages(tmp_path, oidc=oidc, root_key=ROOT) as (_, visitor):
        page = visitor.get("/oidc/start")
        assert page.status == 502
        assert visitor.submit(page, "/sign-in", key=ROOT).status == 303


@pytest.mark.parametrize("method", ["client_secret_post", "none", "wrong"])
def test_the_client_proves_itself_as_the_provider_wants_it(provider: OidcProvider, tmp_path: Path, method: str) -> None:
    provider.is_public = method == "none"
    if method == "client_secret_post":
        provider.discovery = {"token_endpoint_auth_methods_supported": [method]}
    oidc = settings_for(provider)
    if method == "wrong":
        provider.client_secret = "another"
    with node_with_pages(tmp_path, oidc=oidc, root_key=ROOT) as (_, visitor):
        page = signed_in(visitor)
        assert page.status == (502 if method == "wrong" else 200)
        assert ("does not know this client" in page.text) is (method == "wrong")


def test_without_a_provider_its_pages_are_not_there(tmp_path: Path) -> None:
    with node_with_pages(tmp_path, root_key=ROOT) as (_, visitor):
        assert visitor.get("/oidc/start").status == 404
        assert visitor.get("/oidc/callback").status == 404
        assert "Sign in with" not in visitor.get("/sign-in").text
