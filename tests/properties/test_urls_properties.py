"""No url that we take is read differently by anyone else: neither by ourselves again, nor by other HTTP clients."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote

import ada_url
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hookline.errors import InvalidUrl
from hookline.protocol.addresses import IPV4_DENIED, IPV6_ALLOWED, IPV6_DENIED, is_public
from hookline.protocol.urls import Target, parse_url

# ruff: noqa: RUF001 (characters that look like others are what this is about)

RIGHT_TO_LEFT = "אבגدابת1a"
ODD = "０１２７.。．｡①²₁ⅷＡａßſKİı\u00ad\u200b\u200d\u2060℀／＠：％ﬀ"

labels = st.one_of(
    st.from_regex(r"[a-zA-Z0-9-]{1,12}", fullmatch=True),
    st.from_regex(r"[xX][nN]--[a-z0-9-]{1,12}", fullmatch=True),
    st.text(st.characters(categories=["L", "M", "N"]), min_size=1, max_size=6),
    st.text(RIGHT_TO_LEFT, min_size=1, max_size=4),
    st.text(ODD + "a1.", min_size=1, max_size=5),
    st.sampled_from(
        ["0x7f", "127", "1", "0177", "0x", "com", "localhost", "1a", "a_b", "_", "%31", "", " ", "\t", "@", "\\"]
    ),
)
hosts = st.one_of(
    st.lists(labels, min_size=1, max_size=4).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.ip_addresses(v=6).map(lambda address: f"[{address.exploded}]"),
    st.ip_addresses(v=4).map(lambda address: f"[::ffff:{address}]"),
    st.ip_addresses(v=4).map(lambda address: f"[::{address}]"),
)
ports = st.one_of(
    st.just(""), st.integers(-1, 70_000).map(":{}".format), st.sampled_from([":", ":080", ":８０", ":80:80"])
)
paths = st.one_of(
    st.sampled_from(
        ["", "/", "?", "/?", "/../..//x", "?a=//b:9@c", "/@x:3/%2e%2e/%00", "//b.com/", "/\\b", "#@b", "/;:@"]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map("/".__add__),
    st.text(max_size=5),
)
schemes = st.one_of(
    st.sampled_from(["http://", "https://", "HTTP://", "hTTps://"]),
    st.sampled_from(["http://", "http:/", "http:", "http:///", "http:\\\\", "ftp://"]),
)
urls = st.builds("{}{}{}{}".format, schemes, hosts, ports, paths)


def accepted(url: str) -> Target | None:
    try:
        return parse_url(url)
    except InvalidUrl:
        return None


def host_and_port(seen: ada_url.URL) -> tuple[str, int]:
    """As the WHATWG URL Standard has it, by which browsers and most HTTP clients read a url."""
    return seen.hostname.strip("[]"), int(seen.port or {"http:": 80, "https:": 443}[seen.protocol])


@settings(max_examples=500)  # most are refused
@given(urls)
def test_others_see_the_same_host_and_port(url: str) -> None:
    target = accepted(url)
    if target is None:
        return
    seen = ada_url.URL(target.url)
    assert (seen.protocol, *host_and_port(seen)) == (f"{target.scheme}:", target.host, target.port)
    assert (seen.username, seen.password, seen.hash) == ("", "", "")


@settings(max_examples=500)  # most are refused
@given(urls)
def test_others_read_the_url_as_given_the_same_way(url: str) -> None:
    target = accepted(url)
    if target is None:
        return
    assert host_and_port(ada_url.URL(url)) == (target.host, target.port)


@settings(max_examples=500)  # most are refused
@given(urls)
def test_parsing_again_changes_nothing(url: str) -> None:
    target = accepted(url)
    if target is None:
        return
    assert parse_url(target.url) == target


@settings(max_examples=500)  # most are refused
@given(urls)
def test_an_accepted_url_is_plain(url: str) -> None:
    target = accepted(url)
    if target is None:
        return
    assert target.url.isascii()
    assert target.url.isprintable()
    assert not set(target.url) & set(' #\\"<>^`{|}')
    assert target.url.startswith(f"{target.scheme}://{target.host_header}/")
    assert 1 <= target.port <= 65_535
    assert target.is_literal == _is_address(target.host)


@given(st.text(st.characters(codec="utf-8", exclude_characters="#"), max_size=20))
def test_the_cure_that_a_refusal_names_is_taken(text: str) -> None:
    url = f"http://a.com/{text}"
    while True:
        try:
            parse_url(url)
        except InvalidUrl as refusal:
            ((at, encoded),) = re.findall(r"\(character (\d+)\); percent-encode it as (\S+)", refusal.detail)
            assert unquote(encoded) == url[int(at) - 1]
            url = url[: int(at) - 1] + encoded + url[int(at) :]
        else:
            return


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"http://a.com{text}", f"http://a.com/{text}"):
        accepted(url)  # raises nothing but InvalidUrl


def _decimal(number: int) -> str:
    return str(number)


def _octal(number: int) -> str:
    return f"0{number:o}"


def _hexadecimal(number: int) -> str:
    return f"0x{number:x}"


def _wide(number: int) -> str:
    return "".join(chr(ord(digit) - ord("0") + ord("０")) for digit in str(number))


def _padded(number: int) -> str:
    return f"{number:04d}"


@st.composite
def numeric_tricks(draw: st.DrawFn) -> str:
    """An IPv4 address in any spelling that ``inet_aton`` knows, but not as a canonical dotted quad."""
    octets = list(draw(st.ip_addresses(v=4)).packed)
    parts = draw(st.integers(1, 4))
    numbers = [*octets[: parts - 1], int.from_bytes(bytes(octets[parts - 1 :]), "big")]
    writers = st.sampled_from([_decimal, _octal, _hexadecimal, _wide, _padded])
    text = draw(st.sampled_from([".", ".", "。"])).join(draw(writers)(number) for number in numbers)
    text = draw(st.sampled_from([str.lower, str.upper]))(text) + draw(st.sampled_from(["", "", "."]))
    assume(not _is_address(text))
    return text


@given(numeric_tricks(), st.sampled_from(["", ":80"]))
def test_no_numeric_trick_is_a_host(text: str, port: str) -> None:
    with pytest.raises(InvalidUrl):
        parse_url(f"http://{text}{port}/")


DENIED = [ip_network(text) for text in (*IPV4_DENIED, *IPV6_DENIED)]
ALLOWED_V6 = [ip_network(text) for text in IPV6_ALLOWED]


@given(st.sampled_from(DENIED).flatmap(lambda network: st.ip_addresses(network=str(network))))
def test_no_address_of_a_denied_network_is_public(address: IPv4Address | IPv6Address) -> None:
    assert not is_public(str(address))


@given(st.ip_addresses())
def test_public_is_what_the_networks_say(address: IPv4Address | IPv6Address) -> None:
    allowed = address.version == 4 or any(address in network for network in ALLOWED_V6)
    denied = any(address in network for network in DENIED)
    assert is_public(str(address)) == (allowed and not denied)


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_hides_inside_ipv6(address: IPv4Address) -> None:
    inside = int(address)
    for hidden in (inside, 0xFFFF << 32 | inside, 0x64FF9B << 96 | inside, 0x2002 << 112 | inside << 80):
        assert not is_public(str(IPv6Address(hidden)))


def _is_address(text: str) -> bool:
    try:
        return bool(text.isascii() and ip_address(text))
    except ValueError:
        return False
