"""Decides which IP addresses a webhook may go to, by explicit lists after the IANA special-purpose registries.

``ipaddress.is_global`` is not used: on Python 3.11 it passes 224.0.0.1, ::127.0.0.1, 64:ff9b::7f00:1 and
2002:7f00:1::, each of which leads to a place that is not public.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

# Everything else in IPv4 is public.
IPV4_DENIED = (
    "0.0.0.0/8",  # this network; 0.0.0.0 reaches the sender itself
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",  # loopback
    "168.63.129.16/32",  # Azure's host, reachable only from inside
    "169.254.0.0/16",  # link-local, the clouds' metadata services
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocol assignments
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
)
# Nothing else in IPv6 is public: mapped, translated, tunnelled, local and multicast addresses all lie outside.
IPV6_ALLOWED = ("2000::/3",)
IPV6_DENIED = (
    "2001::/23",  # protocol assignments, Teredo among them
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4: carries any IPv4 address
    "3fff::/20",  # documentation
)
# Not a place where a server can be, so refused even where private destinations are allowed.
UNREACHABLE = ("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "ff00::/8")

_Range = tuple[int, int]


def _ranges(networks: Iterable[str], version: int) -> tuple[_Range, ...]:
    """First and last address of each network of that version; comparing integers is ten times faster."""
    parsed = (ip_network(network) for network in networks)
    return tuple((int(net.network_address), int(net.broadcast_address)) for net in parsed if net.version == version)


_V4_DENIED = _ranges(IPV4_DENIED, 4)
_V6_ALLOWED = _ranges(IPV6_ALLOWED, 6)
_V6_DENIED = _ranges(IPV6_DENIED, 6)
_UNREACHABLE = {version: _ranges(UNREACHABLE, version) for version in (4, 6)}


@lru_cache(maxsize=8192)
def is_public(address: str) -> bool:
    """Whether a webhook may go to this address by default. Text that is not a plain IP address is never public."""
    ip = _parse(address)
    if ip is None:
        return False
    if ip.version == 4:
        return not _within(ip, _V4_DENIED)
    return _within(ip, _V6_ALLOWED) and not _within(ip, _V6_DENIED)


@lru_cache(maxsize=8192)
def is_reachable(address: str) -> bool:
    """Whether a server can be at this address at all, public or not: not unspecified, multicast or broadcast."""
    ip = connected_to(address)
    return ip is not None and not _within(ip, _UNREACHABLE[ip.version])


def connected_to(address: str) -> IPv4Address | IPv6Address | None:
    """The address that the kernel connects to: an IPv4 one if IPv6 wraps it. None: the text is not an address."""
    ip = _parse(address)
    return ip.ipv4_mapped if ip is not None and ip.version == 6 and ip.ipv4_mapped is not None else ip


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address(address)
    except ValueError:
        return None
    return None if "%" in address else ip  # a zone names a link of this machine


def _within(ip: IPv4Address | IPv6Address, ranges: tuple[_Range, ...]) -> bool:
    number = int(ip)
    return any(first <= number <= last for first, last in ranges)
