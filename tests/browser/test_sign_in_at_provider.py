"""Somebody signs in at a provider by clicking, sees the buttons of their groups, and signs out."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.hands import HANDS
from tests.browser.test_dashboard import serious
from tests.integration.dashboard_parts import node_with_pages
from tests.integration.keyed_servers import ROOT
from tests.integration.node_under_test import NodeUnderTest
from tests.integration.oidc_parts import settings_for
from tests.oidc_provider import OidcProvider, new_keys, oidc_provider


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    """At another site, for a browser: ``localhost`` is not ``127.0.0.1``."""
    with oidc_provider(new_keys(), name="localhost") as found:
        found.asks = True
        yield found


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, provider: OidcProvider) -> Iterator[NodeUnderTest]:
    oidc = settings_for(provider)
    with node_with_pages(tmp_path_factory.mktemp("provider"), oidc=oidc, root_key=ROOT) as (found, _):
        yield found


@pytest.mark.parametrize("hand_name", HANDS)
@pytest.mark.parametrize(("group", "may_write"), [("admins", True), ("support", False)])
def test_somebody_signs_in_and_out(
    page: Page, node: NodeUnderTest, provider: OidcProvider, hand_name: str, group: str, may_write: bool
) -> None:
    hand = HANDS[hand_name](page)
    provider.person["groups"] = [group]
    home = f"http://127.0.0.1:{node.port}/dashboard"
    page.goto(f"{home}/jobs?state=dead")
    assert serious(page) == []
    hand.press("Sign in with the test's provider")
    expect(page).to_have_title("P")
    assert page.url.startswith(provider.url)
    page.get_by_text("I am Alice").click()
    expect(page).to_have_url(f"{home}/jobs?state=dead")
    expect(page.get_by_text("Signed in as")).to_contain_text("alice@example.com")
    expect(page.get_by_role("link", name="New")).to_have_count(1 if may_write else 0)
    names = {cookie["name"]: cookie.get("sameSite") for cookie in page.context.cookies()}
    assert names == {"hookline_visitor": "Lax", "hookline_session": "Strict"}
    hand.press("Sign out")
    expect(page).to_have_url(f"{home}/sign-in")
    page.goto(home)
    expect(page).to_have_url(f"{home}/sign-in")


def test_without_a_group_the_page_says_so(page: Page, node: NodeUnderTest, provider: OidcProvider) -> None:
    provider.person["groups"] = []
    page.goto(f"http://127.0.0.1:{node.port}/dashboard")
    page.get_by_role("link", name="Sign in with").click()
    page.get_by_text("I am Alice").click()
    expect(page.get_by_role("alert")).to_contain_text("in no group that may use Hookline")
    assert serious(page) == []
