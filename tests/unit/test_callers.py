"""The headers that name the caller, and which of them are believed."""

import pytest

from hookline.errors import InvalidRequest
from hookline.http_api.callers import CLIENT, ApiCaller, HeaderPairs, admit_clients, admit_ours, check_epoch_is_said

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
