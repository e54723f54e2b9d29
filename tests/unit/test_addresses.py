"""Says which addresses are public, at the edges of every listed network."""

from ipaddress import ip_address, ip_network

import pytest

from hookline.protocol.addresses import IPV4_DENIED, IPV6_ALLOWED, IPV6_DENIED, is_public, is_reachable

# Written out again from the specification, so that an edit of the lists does not edit its own test.
DENIED_V4 = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "168.63.129.16/32",
]
DENIED_V6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]


def test_the_lists_are_those_of_the_specification() -> None:
    assert set(IPV4_DENIED) == set(DENIED_V4)
    assert set(IPV6_DENIED) == set(DENIED_V6)
    assert IPV6_ALLOWED == ("2000::/3",)


@pytest.mark.parametrize("text", DENIED_V4 + DENIED_V6)
def test_denied_networks_end_where_they_should(text: str) -> None:
    network = ip_network(text)
    first, last = network.network_address, network.broadcast_address
    assert not is_public(str(first))
    assert not is_public(str(last))
    assert not is_public(str(first + (int(last) - int(first)) // 2))
    others = [ip_network(other) for other in DENIED_V4 + DENIED_V6 if other != text]
    for number in (int(first) - 1, int(last) + 1):
        if not 0 <= number < 2**network.max_prefixlen:
            continue
        neighbour = type(first)(number)
        assert is_public(str(neighbour)) != any(neighbour in other for other in others), neighbour


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2a00::1",
        "2003::",
        "3fff:1000::",
        "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ],
)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "127.0.0.1",
        "169.254.169.254",
        "224.0.0.1",  # is_global on Python 3.11
        "239.255.255.255",
        "255.255.255.255",
        "100.100.100.200",  # Alibaba's metadata
        "168.63.129.16",
        "::",
        "::1",
        "::127.0.0.1",  # is_global on Python 3.11
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:808:808",
        "64:ff9b::7f00:1",  # is_global on Python 3.11
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001::1",  # Teredo
        "2001:1ff:ffff::",
        "2001:db8::1",
        "2002:7f00:1::",  # is_global on Python 3.11
        "2002:808:808::",
        "3fff::1",
        "4000::",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",  # Amazon's metadata
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "8.8.8",
        "8.8.8.8.",
        "08.8.8.8",
        "8.8.8.8/32",
        "8.8.8.8 ",
        "134744072",
        "0x8080808",
        "8.8.8.\uff18",
        "2606::1%eth0",
        "2606::1%",
        "[2606::1]",
        "2606:::1",
        "\0",
    ],
)
def test_what_is_no_address_is_neither_public_nor_reachable(text: str) -> None:
    assert not is_public(text)
    assert not is_reachable(text)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.1.1", "8.8.8.8", "::1", "fd00::1", "::ffff:127.0.0.1"]
)
def test_reachable(address: str) -> None:
    assert is_reachable(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "::",
        "ff02::1",
        "::ffff:0.0.0.0",
        "::ffff:224.0.0.1",
    ],
)
def test_never_reachable(address: str) -> None:
    assert not is_reachable(address)


def test_what_is_public_is_reachable() -> None:
    edges = [edge for net in map(ip_network, DENIED_V4 + DENIED_V6) for edge in (int(net[0]) - 1, int(net[-1]) + 1)]
    addresses = [str(ip_address(edge)) for edge in edges if edge >= 0]
    assert all(is_reachable(address) for address in addresses if is_public(address))
