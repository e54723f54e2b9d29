"""The patterns of destinations: what is read, and what a typo is told."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.errors import InvalidConfig
from hookline.protocol.destination_patterns import NO_PATTERNS, parse_patterns


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_nothing_is_no_pattern(text: str) -> None:
    assert parse_patterns(text, "allow-destinations") == NO_PATTERNS
    assert not NO_PATTERNS


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,,b", "entry 2: '' is empty; take the comma out"),
        ("a,", "entry 2: '' is empty"),
        ("10.0.0.0/8, 10.2.0.5/16", "entry 2: '10.2.0.5/16' has bits beyond its length; did you mean 10.2.0.0/16?"),
        ("fd00::1/8", "did you mean fd00::/8?"),
        ("10.2.0.0/33", "is not a network; write it as 10.2.0.0/16"),
        ("10.2/16", "is not a network"),
        ("10.2.0", "is neither a network nor a name"),
        ("010.2.0.1", "is neither a network nor a name"),
        ("0x7f.1", "is neither a network nor a name"),
        ("10.2.0.0/16:80", "is not a network"),
        ("http://shop:9000", "is a url; give the host alone"),
        ("shop/path", "is not a network"),
        ("*", "has a * that is not its first label"),
        ("*.", "is neither a network nor a name"),
        ("*.*.internal", "has a * that is not its first label"),
        ("a*.internal", "has a * that is not its first label"),
        ("shop.*", "has a * that is not its first label"),
        ("*.10.0.0.1", "is neither a network nor a name"),
        ("shop:0", "has a port that is not a number from 1 to 65535"),
        ("shop:65536", "has a port"),
        ("shop:http", "has a port"),
        ("shop:", "has a port"),
        ("[fd00::1", "is not [address]"),
        ("[shop]:80", "is not [address]"),
        ("fe80::1%eth0", "is not an IPv6 address; a zone"),
        ("::ffff:10.0.0.0/104", "is IPv4 in IPv6; write it as IPv4"),
        ("a b", "is neither a network nor a name"),
        ("user@shop", "is neither a network nor a name"),
        ("shop.", "is neither a network nor a name"),
        ("-", "is neither a network nor a name"),
    ],
)
def test_a_typo_is_told_its_place_and_the_cure(text: str, why: str) -> None:
    with pytest.raises(InvalidConfig, match=r"^--deny-destinations, entry \d: ") as caught:
        parse_patterns(text, "deny-destinations")
    assert why in caught.value.detail
    assert caught.value.field == "deny_destinations"


@given(st.text(max_size=40) | st.text("0123456789abcdef.:/[]*,-% ", max_size=40))
def test_no_text_breaks_us(text: str) -> None:
    try:
        parse_patterns(text, "allow-destinations")
    except InvalidConfig as error:
        assert error.detail.startswith("--allow-destinations, entry ")  # noqa: PT017 - most texts are not patterns


def test_a_single_address_is_a_network_of_one() -> None:
    patterns = parse_patterns("10.0.0.1,fd00::1,[fd00::2]", "allow-destinations")
    for address in ("10.0.0.1", "fd00::1", "fd00::2"):
        assert patterns.have_address(ip_address(address), 1)
    assert not patterns.have_address(ip_address("10.0.0.2"), 1)
