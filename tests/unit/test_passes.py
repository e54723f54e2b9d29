"""Passes: what opens, under which keys, until when; and what the guard makes of one."""

import base64

import pytest

from hookline.errors import Forbidden, Unauthorized
from hookline.http_api.callers import CLIENT, ApiCaller
from hookline.http_api.guard import Guard, bearer
from hookline.protocol.api_keys import KEY_SCOPES, ApiKey, hash_of
from hookline.protocol.calls import CALLS
from hookline.protocol.passes import SignInPass, pass_key, pass_text, read_pass
from tests.node_parts import ManualClock

ROOT, FORMER = "root-key-of-these-tests", "the-root-key-before-it"
ALICE = SignInPass("oidc:alice@example.com", ("read", "cancel"), "acme", 1_000)
TEXT = pass_text(pass_key(ROOT), ALICE)


def test_a_pass_holds_until_its_end_wherever_the_root_key_is_known() -> None:
    assert read_pass(TEXT, [pass_key("another"), pass_key(ROOT)], 999) == ALICE
    assert read_pass(TEXT, [pass_key(ROOT)], 1_000) is None
    assert read_pass(TEXT, [pass_key(FORMER)], 0) is None
    assert read_pass(TEXT, [], 0) is None
    assert TEXT.isascii()
    assert ROOT not in TEXT


def test_no_change_of_it_holds() -> None:
    for at in range(len(TEXT)):
        changed = TEXT[:at] + ("A" if TEXT[at] != "A" else "B") + TEXT[at + 1 :]
        assert read_pass(changed, [pass_key(ROOT)], 0) is None, at
        assert read_pass(TEXT[:at], [pass_key(ROOT)], 0) is None, at


@pytest.mark.parametrize("text", ["", "hookline_pass_", "hookline_pass_é", "hookline_pass_" + "A" * 5_000, "x" * 60])
def test_other_texts_are_no_passes(text: str) -> None:
    assert read_pass(text, [pass_key(ROOT)], 0) is None


def test_what_another_key_of_ours_has_signed_is_no_pass() -> None:
    said = base64.urlsafe_b64encode(b"\x94").decode().rstrip("=")
    assert read_pass(pass_text(ROOT.encode(), ALICE), [pass_key(ROOT)], 0) is None
    assert read_pass(f"hookline_pass_{said}{TEXT[-43:]}", [pass_key(ROOT)], 0) is None


async def admitted(granted: SignInPass, call: str, *, has_keys: bool = True) -> ApiCaller:
    clock, uses = ManualClock(), dict[str, int]()
    text = pass_text(pass_key(ROOT), granted)

    async def look() -> None:
        return

    keys = [pass_key(ROOT)] if has_keys else []
    guard = Guard([hash_of(ROOT)], dict[str, ApiKey]().get, clock, look, lambda: True, uses, pass_keys=keys)
    found = await guard.admitted(CALLS[call], CLIENT, [bearer(text)], ("192.0.2.1", 1))
    assert uses == {}
    return found


async def test_the_guard_takes_scopes_and_tenant_from_a_pass() -> None:
    now_ms = ManualClock().wall_ms()
    alice = SignInPass("oidc:alice", ("read",), "acme", now_ms + 1)
    caller = await admitted(alice, "getJob")
    assert caller == CLIENT._replace(key="oidc:alice", scopes=("read",), tenant="acme", key_tenant="acme")
    assert not caller.is_operator
    with pytest.raises(Forbidden):
        await admitted(alice, "createJob")
    with pytest.raises(Unauthorized):
        await admitted(alice, "getJob", has_keys=False)
    with pytest.raises(Unauthorized):
        await admitted(SignInPass("oidc:alice", ("read",), "acme", now_ms), "getJob")
    admin = SignInPass("oidc:bob", ("admin",), "", now_ms + 1)
    assert (await admitted(admin, "putTopology")).scopes == KEY_SCOPES
    with pytest.raises(Forbidden):
        await admitted(SignInPass("oidc:bob", ("admin",), "acme", now_ms + 1), "putTopology")
