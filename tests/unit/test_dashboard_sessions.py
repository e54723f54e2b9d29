"""The cookies of the dashboard: what opens, for whom, and until when."""

import base64

import pytest

from hookline.clock import SystemClock
from hookline.dashboard.sessions import DashboardSession, Seals, cookie, cookies_in, visitor_in

ROOT, FORMER = "root-key-of-these-tests", "the-root-key-before-it"
SESSION = DashboardSession("hl_abc_def", "0" * 32, 1_000)


def seals(*keys: str) -> Seals:
    return Seals(keys, SystemClock().token)


def test_a_session_opens_wherever_the_root_key_is_the_same() -> None:
    sealed = seals(ROOT).sealed(SESSION)
    assert seals(ROOT).opened(sealed, 999) == SESSION
    assert "hl_abc" not in base64.urlsafe_b64decode(sealed).decode("latin-1")


def test_a_session_ends() -> None:
    assert seals(ROOT).opened(seals(ROOT).sealed(SESSION), 1_000) is None


def test_a_root_key_that_was_replaced_still_opens_and_another_one_does_not() -> None:
    sealed = seals(FORMER).sealed(SESSION)
    assert seals(ROOT, FORMER).opened(sealed, 0) == SESSION
    assert seals(ROOT).opened(sealed, 0) is None
    assert seals().opened(sealed, 0) is None


@pytest.mark.parametrize("text", ["", "x", "====", "AAAA", "é", base64.urlsafe_b64encode(bytes(60)).decode()])
def test_what_is_not_a_session_opens_nothing(text: str) -> None:
    assert seals(ROOT).opened(text, 0) is None


def test_one_changed_bit_opens_nothing() -> None:
    data = bytearray(base64.urlsafe_b64decode(seals(ROOT).sealed(SESSION)))
    data[20] ^= 1
    assert seals(ROOT).opened(base64.urlsafe_b64encode(data).decode(), 0) is None


@pytest.mark.parametrize("keys", [(), (ROOT,)])
def test_the_token_of_a_form_is_its_visitors(keys: tuple[str, ...]) -> None:
    one = seals(*keys)
    first, second = one.new_visitor(), one.new_visitor()
    assert first != second
    assert one.is_form_token(first, one.form_token(first))
    assert not one.is_form_token(first, one.form_token(second))
    assert not one.is_form_token(first, "é")


def test_no_script_and_no_other_site_gets_at_the_cookies() -> None:
    plain = cookie("hookline_session", "x", is_secure=False)
    assert plain == "hookline_session=x; Path=/dashboard; HttpOnly; SameSite=Strict"
    assert cookie("hookline_session", "x", is_secure=True).endswith("; Secure")
    assert "; SameSite=Lax" in cookie("hookline_visitor", "x", is_secure=False)
    assert cookie("hookline_session", "", is_secure=False, is_over=True).endswith("; Max-Age=0")


def test_a_visitor_is_known_by_a_word_of_ours_only() -> None:
    word = seals().new_visitor()
    assert visitor_in(cookies_in(f"a=b; hookline_visitor={word}")) == word
    assert visitor_in(cookies_in("hookline_visitor=<script>")) is None
    assert visitor_in(cookies_in('"')) is None
