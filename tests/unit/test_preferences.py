"""``Prefer: return=minimal`` in the forms that RFC 7240 has for it."""

import pytest

from hookline.http_api.callers import CLIENT
from hookline.http_api.messages import ApiRequest
from hookline.http_api.preferences import preferences, wants_minimal
from hookline.protocol.calls import CALLS


def asked(*lines: bytes) -> bool:
    headers = [(b"host", b"x"), *((b"prefer", line) for line in lines)]
    return wants_minimal(ApiRequest({}, None, CALLS["createJob"], CLIENT, headers))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "lines",
    [
        (b"return=minimal",),
        (b"Return = Minimal",),
        (b'return="minimal"',),
        (b"respond-async, wait=10, return=minimal",),
        (b"respond-async", b"return=minimal; foo=bar"),
        (b'foo="a, return=representation", return=minimal',),
        (b"return=minimal, return=representation",),
        (b"return=minimal", b"return=representation"),
        (b"return=\x00, return=minimal",),
        (b"", b" , ,return=minimal,"),
    ],
)
def test_it_is_asked_for(lines: tuple[bytes, ...]) -> None:
    assert asked(*lines)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"",),
        (b"return",),
        (b"return=representation",),
        (b"return=representation, return=minimal",),
        (b"return=, return=minimal",),
        (b"minimal",),
        (b"wait=10; return=minimal",),
        (b'foo="a, return=minimal',),
        (b'foo="a, return=minimal"',),
        (b"return=minimal x",),
        (b"return=minimal=x",),
    ],
)
def test_it_is_not(lines: tuple[bytes, ...]) -> None:
    assert not asked(*lines)


def test_a_hostile_one_takes_no_longer_than_its_length() -> None:
    """Were it more, this would not end."""
    for line in (
        b"a" + b"; \t" * 20_000 + b"\x00",
        b'"' * 60_000,
        b'a="' + b"\\" * 60_000,
        b"a," * 30_000,
        b"=" * 60_000,
    ):
        preferences([line])
