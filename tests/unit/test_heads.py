"""A server refuses heads of requests that two readers might read differently, and heads that are too large."""

import pytest

from hookline.http_api.heads import HeadRules, host_name, hosts_allowed

HOST = (b"host", b"localhost:7070")


def code(*headers: tuple[bytes, bytes], rules: HeadRules | None = None) -> str | None:
    found = (rules or HeadRules()).refusal(b"POST", "1.1", b"/jobs", headers)
    return None if found is None else found.code


@pytest.mark.parametrize(
    "named",
    [b"idempotency-key", b"Idempotency-Key", b"close, authorization", b"x,hookline-fallback", b"content-type", b"host"],
)
def test_connection_names_nothing_that_is_for_all_who_read_the_request(named: bytes) -> None:
    assert code(HOST, (b"connection", named)) == "invalid_request"


@pytest.mark.parametrize("named", [b"close", b"keep-alive", b"Upgrade, HTTP2-Settings", b"te", b"x-own"])
def test_connection_may_name_what_is_of_the_connection(named: bytes) -> None:
    assert code(HOST, (b"connection", named)) is None


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"LocalHost:7070", b"localhost"),
        (b"localhost.", b"localhost"),
        (b"127.0.0.1", b"127.0.0.1"),
        (b"[::1]:80", b"[::1]"),
        (b"a:b:c", None),
        (b"", None),
        (b"a b", None),
        (b"[::1", None),
    ],
)
def test_the_name_in_a_host_header(host: bytes, name: bytes | None) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("listens", "host", "expected"),
    [
        ("127.0.0.1", b"127.0.0.1:7070", None),
        ("127.0.0.1", b"localhost", None),
        ("127.0.0.1", b"[::1]:1", None),
        ("127.0.0.2", b"127.0.0.2", None),
        ("::1", b"localhost:80", None),
        ("127.0.0.1", b"Shop.Example:443", None),
        ("127.0.0.1", b"rebind.example:7070", "host_not_allowed"),
        ("127.0.0.1", b"localhost.rebind.example", "host_not_allowed"),
        ("127.0.0.1", b"127.0.0.1.rebind.example", "host_not_allowed"),
        ("127.0.0.1", b"", "host_not_allowed"),
        ("::1", b"rebind.example", "host_not_allowed"),
        ("10.0.0.7", b"rebind.example", None),
        ("0.0.0.0", b"rebind.example", None),
    ],
)
def test_a_server_at_a_loopback_address_answers_to_its_own_names(
    listens: str, host: bytes, expected: str | None
) -> None:
    rules = HeadRules(hosts=hosts_allowed(listens, ["shop.example"]))
    assert code((b"host", host), rules=rules) == expected


def test_the_size_and_the_number_of_headers_are_bounded() -> None:
    assert code(HOST, *[(b"x", b"")] * 999) is None
    assert code(HOST, *[(b"x", b"")] * 1_000) == "invalid_header"
    assert code(HOST, (b"x", b"y" * 66_000)) == "invalid_header"
