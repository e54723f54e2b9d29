"""The headers that name the caller, and which of them are believed."""

from collections.abc import Callable

import pytest

from hookline.errors import Forbidden, InvalidRequest
from hookline.http_api.callers import (
    CLIENT,
    ApiCaller,
    HeaderPairs,
    admit_clients,
    admit_ours,
    check_epoch_is_said,
)
from hookline.protocol.api_keys import KeyScope

OWN: HeaderPairs = [(b"idempotency-key", b"k"), (b"hookline-fallback", b"allow"), (b"hookline-timeout-ms", b"5")]


@pytest.mark.parametrize(
    ("said", "caller"),
    [
        ([], CLIENT),
        ([("epoch", "7")], ApiCaller("proxy", 7)),
        ([("epoch", "7"), ("topology", "1f"), ("for-cluster", "c0")], ApiCaller("proxy", 7, "1f", "c0")),
        ([("for-cluster", "c0"), ("decided", "1")], ApiCaller("proxy", cluster="c0")),
        ([("proxy", "h:1")], ApiCaller("proxy")),
        ([("epoch", "7"), ("forwarded", "1")], ApiCaller("node", 7, is_forwarded=True)),
    ],
    ids=repr,
)
def test_a_node_believes_what_proxies_and_nodes_say(said: list[tuple[str, str]], caller: ApiCaller) -> None:
    sent = OWN + [(f"hookline-{name}".encode(), value.encode()) for name, value in said]
    assert admit_ours(sent) == (caller, sent)
    assert admit_clients(sent) == (CLIENT, OWN), "a proxy believes nobody"


def test_what_nobody_of_ours_says_is_dropped() -> None:
    assert admit_ours([*OWN, (b"hookline-anything", b"1")]) == (CLIENT, OWN)


@pytest.mark.parametrize(
    "said", [[b"x"], [b"-1"], [b"7", b"8"], [b"9" * 17], [b"\xb2"]], ids=["text", "sign", "two", "long", "superscript"]
)
def test_an_epoch_that_is_none_is_refused(said: list[bytes]) -> None:
    with pytest.raises(InvalidRequest):
        admit_ours([(b"hookline-epoch", value) for value in said])


def test_a_call_that_needs_an_epoch_says_so() -> None:
    check_epoch_is_said(ApiCaller("proxy", 0))
    with pytest.raises(InvalidRequest, match="needs the header hookline-epoch"):
        check_epoch_is_said(CLIENT)


@pytest.mark.parametrize("admit", [admit_ours, admit_clients])
def test_a_caller_may_name_a_tenant(admit: Callable[[HeaderPairs], tuple[ApiCaller, HeaderPairs]]) -> None:
    headers: HeaderPairs = [*OWN, (b"hookline-tenant", b"acme")]
    caller, kept = admit(headers)
    assert (caller.named, caller.tenant, kept) == ("acme", "", headers)
    assert caller.acting().tenant == "acme", "where nobody is asked for a key"
    with pytest.raises(InvalidRequest):
        admit([*headers, (b"hookline-tenant", b"acme")])


def test_a_proxy_passes_the_tenant_on_and_its_own_words_beside_it() -> None:
    caller, _ = admit_ours([(b"hookline-epoch", b"7"), (b"hookline-tenant", b"acme")])
    assert (caller.kind, caller.epoch, caller.named) == ("proxy", 7, "acme")


@pytest.mark.parametrize(
    ("key_tenant", "scopes", "named", "tenant"),
    [
        ("", ("admin",), "acme", "acme"),
        ("", ("admin",), "default", ""),
        ("", ("read", "write", "cancel"), "acme", None),
        ("", ("read",), "default", ""),
        ("acme", ("admin",), "acme", "acme"),
        ("acme", ("read",), "acme", "acme"),
        ("acme", ("admin",), "globex", None),
        ("acme", ("admin",), "default", None),
    ],
)
def test_operators_act_for_any_tenant_and_others_for_their_own(
    key_tenant: str, scopes: tuple[KeyScope, ...], named: str, tenant: str | None
) -> None:
    caller = ApiCaller(tenant=key_tenant, key_tenant=key_tenant, scopes=scopes, named=named)
    if tenant is None:
        with pytest.raises(Forbidden):
            caller.acting()
    else:
        assert caller.acting().tenant == tenant
    assert caller._replace(named=None).acting().tenant == key_tenant
