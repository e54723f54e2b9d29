"""People sign in at a provider: what a session may do, and every way in that is none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from structlog.testing import capture_logs

from tests.dashboard_visitor import Visitor
from tests.integration.dashboard_parts import node_with_pages, proxy_with_pages
from tests.integration.forged_tokens import FORGED, KEYS, WRONG
from tests.integration.keyed_servers import ROOT, Guarded
from tests.integration.node_under_test import NodeUnderTest
from tests.integration.oidc_parts import asked_by, come_back, sent_back, sent_to_provider, settings_for, signed_in
from tests.oidc_provider import OidcProvider, oidc_provider


@pytest.fixture(scope="module")
def one_provider() -> Iterator[OidcProvider]:
    with oidc_provider(KEYS) as found:
        yield found


@pytest.fixture
def provider(one_provider: OidcProvider) -> OidcProvider:
    one_provider.behave(KEYS)
    return one_provider


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, one_provider: OidcProvider) -> Iterator[NodeUnderTest]:
    one_provider.behave(KEYS)
    oidc = settings_for(one_provider)
    with node_with_pages(tmp_path_factory.mktemp("oidc"), oidc=oidc, root_key=ROOT) as (found, _):
        yield found


@pytest.fixture
def visitor(node: NodeUnderTest) -> Visitor:
    return Visitor(node.port)


def test_the_page_to_sign_in_leads_there_and_back_to_what_was_wanted(provider: OidcProvider, visitor: Visitor) -> None:
    page = visitor.follow(visitor.get("/jobs?state=dead"))
    assert "Sign in with the test&#39;s provider" in page.text
    assert f'href="http://127.0.0.1:{visitor.port}/dashboard/oidc/start?next=' in page.text
    assert "API key" in page.text
    back = signed_in(visitor, "/dashboard/jobs?state=dead")
    assert back.status == 200
    assert '<meta http-equiv="refresh" content="0; url=/dashboard/jobs?state=dead">' in back.text
    shown = visitor.get("/jobs?state=dead")
    assert shown.status == 200
    assert "Signed in as" in shown.text
    assert "alice@example.com" in shown.text


def test_the_provider_is_asked_with_pkce_state_and_nonce(provider: OidcProvider, visitor: Visitor) -> None:
    asked = asked_by(sent_to_provider(visitor))
    assert asked["redirect_uri"] == f"http://127.0.0.1:{visitor.port}/dashboard/oidc/callback"
    assert asked["scope"] == "openid email profile"
    assert asked["code_challenge_method"] == "S256"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) == 43
    again = asked_by(sent_to_provider(visitor))
    assert all(asked[name] != again[name] for name in ("state", "nonce", "code_challenge"))


def test_the_cookies_are_for_their_purpose_alone(provider: OidcProvider, visitor: Visitor) -> None:
    page = visitor.get("/oidc/start")
    [begun] = [value for value in page.cookies if value.startswith("hookline_begun")]
    assert begun.partition("; ")[2] == "Path=/dashboard/oidc; HttpOnly; SameSite=Lax; Max-Age=600"
    assert asked_by(page.headers["location"])["state"] not in begun
    back = come_back(visitor, sent_back(page.headers["location"]))
    given = {value.partition("=")[0].removeprefix("hookline_"): value for value in back.cookies}
    assert set(given) == {"begun", "acts_for", "visitor", "session"}
    assert given["begun"] == "hookline_begun=; Path=/dashboard/oidc; HttpOnly; SameSite=Lax; Max-Age=0"
    assert given["acts_for"].endswith("Max-Age=0"), "what somebody else chose in this browser"
    assert "HttpOnly; SameSite=Lax" in given["visitor"]
    assert "HttpOnly; SameSite=Strict" in given["session"]
    assert visitor.get("/oidc/start", x_forwarded_proto="https").cookies[-1].endswith("; Secure")


@pytest.mark.parametrize(
    ("groups", "scopes", "may_write"),
    [
        (["admins"], "read, write, cancel, admin", True),
        (["support", "others"], "read", False),
        ("support", "read", False),
        (["support", "writers"], "read, write", True),
    ],
)
def test_groups_decide_what_somebody_may_do(
    provider: OidcProvider, visitor: Visitor, groups: object, scopes: str, may_write: bool
) -> None:
    provider.extra = {"groups": groups}
    assert signed_in(visitor).status == 200
    assert f": {scopes}" in visitor.get().text
    assert visitor.get("/new").status == (200 if may_write else 403)


@pytest.mark.parametrize("groups", [[], ["others"], None, "", {"admins": 1}, [["admins"]], 7, ["admins "], ["writers"]])
def test_whoever_is_in_no_group_is_told_so(provider: OidcProvider, visitor: Visitor, groups: object) -> None:
    provider.extra = {"groups": groups}
    page = signed_in(visitor)
    assert page.status == 403
    assert 'role="alert"' in page.text
    assert "group" in page.text
    assert visitor.get().status == 303


@pytest.mark.parametrize("claim", ["scopes_claim", "tenant_claim"])
@pytest.mark.parametrize(("verified", "status"), [(True, 200), ("true", 200), (False, 403), (None, 403)])
def test_an_address_decides_only_when_it_is_verified(
    provider: OidcProvider, tmp_path: Path, claim: str, verified: object, status: int
) -> None:
    provider.extra = {"email": "admins", "email_verified": verified}
    with node_with_pages(tmp_path, oidc=settings_for(provider, **{claim: "email"}), root_key=ROOT) as (_, visitor):
        assert signed_in(visitor).status == status


def test_signing_out_ends_it(provider: OidcProvider, visitor: Visitor) -> None:
    signed_in(visitor)
    assert visitor.submit(visitor.get(), "/sign-out").headers["location"] == "/dashboard/sign-in"
    assert visitor.get().status == 303


def test_a_session_ends_when_its_time_is_over(provider: OidcProvider, tmp_path: Path) -> None:
    with node_with_pages(tmp_path, oidc=settings_for(provider, session_ms=60_000), root_key=ROOT) as (node, visitor):
        assert signed_in(visitor).status == 200
        node.clock.shift_ms = 50_000
        assert visitor.get().status == 200
        node.clock.shift_ms = 61_000
        assert visitor.get().headers["location"] == "/dashboard/sign-in"


def test_another_node_ends_what_one_began_and_shows_the_pages(provider: OidcProvider, tmp_path: Path) -> None:
    oidc = settings_for(provider)
    with (
        node_with_pages(tmp_path / "a", oidc=oidc, root_key=ROOT) as (_, first),
        node_with_pages(tmp_path / "b", oidc=oidc, root_key="another-root-key-here", former_root_key=ROOT) as (
            _,
            second,
        ),
        node_with_pages(tmp_path / "c", oidc=oidc, root_key="a-root-key-of-others") as (_, third),
    ):
        back = sent_back(sent_to_provider(first))
        third.cookies = dict(first.cookies)
        assert come_back(third, back).status == 400
        second.cookies = dict(first.cookies)
        assert come_back(second, back).status == 200
        assert second.get().status == 200
        first.cookies = dict(second.cookies)
        assert first.get().status == 303, "the newer root key is not known there yet"


def test_behind_a_front_and_at_a_proxy_it_is_the_same_and_the_audit_log_names_the_person(
    provider: OidcProvider, tmp_path: Path
) -> None:
    oidc = settings_for(provider)
    with node_with_pages(tmp_path / "front", has_front=True, oidc=oidc, root_key=ROOT) as (node, visitor):
        assert_audited(visitor, Guarded("node", node.port))
    with proxy_with_pages(tmp_path / "proxy", oidc=oidc, root_key=ROOT) as (_, visitor):
        assert_audited(visitor, Guarded("proxy", visitor.port))
        assert "c1" in visitor.get("/clusters").text


def assert_audited(visitor: Visitor, server: Guarded) -> None:
    assert server.call("PUT", "/destinations/example.com", {"concurrency": 3}).status == 200
    assert signed_in(visitor).status == 200
    page = visitor.get("/destination?host=example.com")
    assert visitor.submit(page, "/destination/pause").status == 303
    [row, *_] = server.call("GET", "/audit?actor=oidc:alice@example.com").json["data"]
    assert (row["action"], row["target"], row["tenant"]) == ("putDestination", "https://example.com:443", "default")


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        ({"email": None}, "u-1"),
        ({"email_verified": False}, "u-1"),
        ({"email_verified": None}, "alice@example.com"),
        ({"email": "jörg smith\r\nx: y"}, "j%C3%B6rg%20smith%0D%0Ax:%20y"),
    ],
)
def test_a_person_has_a_name_that_nobody_else_can_have(
    provider: OidcProvider, visitor: Visitor, extra: dict[str, Any], name: str
) -> None:
    provider.extra = extra
    with capture_logs() as lines:
        assert signed_in(visitor).status == 200
    [line] = [line for line in lines if line["event"] == "signed_in_at_provider"]
    assert line["who"] == f"oidc:{name}"


@pytest.mark.parametrize(
    ("claim", "status"),
    [("acme", 200), (["acme"], 200), (None, 403), ("", 403), (["acme", "umbrella"], 403), ("../x", 403), (7, 403)],
)
def test_the_tenant_is_the_one_that_the_claim_names(
    provider: OidcProvider, tmp_path: Path, claim: object, status: int
) -> None:
    provider.extra = {"company": claim}
    oidc = settings_for(provider, tenant_claim="company")
    with node_with_pages(tmp_path, oidc=oidc, root_key=ROOT) as (_, visitor):
        assert signed_in(visitor).status == status
        page = visitor.get()
        assert page.status == (200 if status == 200 else 303)
        if status == 200:
            assert "acme" in page.text
            assert "Act for a tenant" not in page.text


# --- attacks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", FORGED)
def test_a_token_that_the_provider_did_not_sign_so_is_refused(
    provider: OidcProvider, visitor: Visitor, how: str
) -> None:
    provider.forge = FORGED[how]
    assert_refused(visitor, 403, "id token")


@pytest.mark.parametrize("what", WRONG)
def test_a_token_that_is_not_for_this_sign_in_is_refused(provider: OidcProvider, visitor: Visitor, what: str) -> None:
    provider.extra, said = WRONG[what]
    assert_refused(visitor, 403, said)


def assert_refused(visitor: Visitor, status: int, said: str) -> None:
    page = signed_in(visitor)
    assert (page.status, said in page.text) == (status, True), page.text
    assert "hookline_session" not in visitor.cookies
    assert visitor.get().status == 303


@pytest.mark.parametrize("number", range(3))
def test_each_kind_of_key_signs_somebody_in(provider: OidcProvider, visitor: Visitor, number: int) -> None:
    provider.forge = KEYS[number].token
    assert signed_in(visitor).status == 200


def test_several_audiences_are_right_when_it_was_made_for_us(provider: OidcProvider, visitor: Visitor) -> None:
    provider.extra = {"aud": ["another", "hookline"], "azp": "hookline"}
    assert signed_in(visitor).status == 200


@pytest.mark.parametrize("error", ["access_denied", "server_error", "<script>alert(1)</script>"])
def test_the_providers_refusal_is_told(provider: OidcProvider, visitor: Visitor, error: str) -> None:
    provider.refuses = error
    page = signed_in(visitor)
    assert page.status == 403
    assert (error in page.text) is not error.startswith("<")
    assert "&lt;b&gt;x" not in page.text, "its description could be anybody's words"


def test_a_callback_holds_once_and_for_its_browser_only(provider: OidcProvider, visitor: Visitor) -> None:
    location = sent_to_provider(visitor)
    begun = visitor.cookies["hookline_begun"]
    back = sent_back(location)
    stranger = Visitor(visitor.port)
    assert come_back(stranger, back).status == 400
    sent_to_provider(stranger)
    provider.seen.clear()
    assert come_back(stranger, back).status == 400, "the state of another browser"
    assert provider.seen == []
    assert come_back(visitor, back).status == 200
    assert come_back(visitor, back).status == 400
    visitor.cookies["hookline_begun"] = begun
    page = come_back(visitor, back)
    assert page.status == 400
    assert "does not take the code" in page.text


@pytest.mark.parametrize(
    "change",
    [{"state": "x"}, {"state": ""}, {"state": "é"}, {"code": ""}, {"iss": "https://evil.example"}, {"iss": ""}],
)
def test_a_callback_that_was_changed_is_refused(
    provider: OidcProvider, visitor: Visitor, change: dict[str, str]
) -> None:
    back = sent_back(sent_to_provider(visitor))
    provider.seen.clear()
    page = come_back(visitor, f"{urlsplit(back).path}?{urlencode(asked_by(back) | change)}")
    assert page.status == 400
    assert "/token" not in provider.seen


@pytest.mark.parametrize("sealed", ["", "x", "é", "session"])
def test_a_cookie_that_is_not_of_a_sign_in_is_refused(provider: OidcProvider, visitor: Visitor, sealed: str) -> None:
    signed_in(visitor)
    back = sent_back(sent_to_provider(visitor))
    visitor.cookies["hookline_begun"] = visitor.cookies["hookline_session"] if sealed == "session" else sealed
    assert come_back(visitor, back).status == 400


def test_whoever_takes_too_long_begins_again(provider: OidcProvider, tmp_path: Path) -> None:
    with node_with_pages(tmp_path, oidc=settings_for(provider), root_key=ROOT) as (node, visitor):
        back = sent_back(sent_to_provider(visitor))
        node.clock.shift_ms = 601_000
        page = come_back(visitor, back)
        assert page.status == 400
        assert "took too long" in page.text


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/dashboard\\@evil", "/dashboards", "javascript:alert(1)", ""]
)
def test_it_leads_to_no_other_site(provider: OidcProvider, visitor: Visitor, wanted: str) -> None:
    page = signed_in(visitor, wanted)
    assert 'content="0; url=/dashboard"' in page.text
    assert "evil" not in page.text


def test_no_log_has_what_is_secret(provider: OidcProvider, visitor: Visitor) -> None:
    with capture_logs() as lines:
        signed_in(visitor)
        for forge in FORGED.values():
            provider.forge = forge
            signed_in(visitor)
        provider.behave(KEYS)
        for extra, _ in WRONG.values():
            provider.extra = extra
            signed_in(visitor)
        provider.refuses = "access_denied"
        signed_in(visitor)
    text = json.dumps(lines, default=str)
    assert text.count("sign_in_refused") == len(FORGED) + len(WRONG) + 1
    assert text.count("signed_in_at_provider") == 1
    assert len(provider.shown) > 30
    assert [secret for secret in provider.shown if len(secret) > 8 and secret in text] == []
    assert ROOT not in text
    assert visitor.cookies["hookline_session"] not in text
