"""The patterns of --allow-destinations and --deny-destinations: networks, host names, ``*.suffix``. Pure.

``10.2.0.0/16`` and ``fd00::/8`` are networks, ``10.2.0.5`` one address, ``billing.internal`` a name and
``*.svc.cluster.local`` all names below one. A name or an address may have a port: ``127.0.0.1:9000``.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NoReturn

from hookline.errors import InvalidConfig, InvalidUrl
from hookline.protocol.addresses import connected_to
from hookline.protocol.urls import parse_url

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_WRAPPED = ip_network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class Patterns:
    """The networks, hosts and places that were named.

    Attributes:
        networks: a single address is one too.
        hosts: names as in ``Target.host``.
        suffixes: ``.svc.cluster.local``.
        places: (name or address, port), in the one spelling.
        suffix_places: (suffix, port).
    """

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    places: frozenset[tuple[str, int]] = frozenset()
    suffix_places: frozenset[tuple[str, int]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.networks or self.hosts or self.suffixes or self.places or self.suffix_places)

    @property
    def has_names(self) -> bool:
        """Is a name among them, which may lead to any address?"""
        by_place = any(connected_to(host) is None for host, _ in self.places)
        return bool(self.hosts or self.suffixes or self.suffix_places) or by_place

    @property
    def has_addresses(self) -> bool:
        """Is an address among them, to which any name may lead?"""
        return bool(self.networks) or any(connected_to(host) is not None for host, _ in self.places)

    def have_name(self, host: str, port: int) -> bool:
        """Is this name one of them?"""
        if host in self.hosts or (host, port) in self.places or any(map(host.endswith, self.suffixes)):
            return True
        return any(port == its and host.endswith(suffix) for suffix, its in self.suffix_places)

    def have_address(self, address: Address, port: int) -> bool:
        """Is this address in one of them?"""
        return self.have_place(str(address), port) or any(address in network for network in self.networks)

    def have_within(self, address: Address, port: int, network: Network) -> bool:
        """Is it in one of them that lies in ``network`` as a whole, so that somebody meant it?"""
        inside = (it for it in self.networks if address in it and it.version == network.version)
        return self.have_place(str(address), port) or any(it.subnet_of(network) for it in inside)  # type: ignore[arg-type]

    def have_place(self, host: str, port: int) -> bool:
        """Is it named with this very port?"""
        return (host, port) in self.places


NO_PATTERNS = Patterns()


def parse_patterns(text: str, option: str) -> Patterns:
    """Read patterns separated by commas.

    Raises:
        InvalidConfig: names the option, the position, counted from 1, and what to write instead.
    """
    if not text.strip():
        return NO_PATTERNS
    networks: list[Network] = []
    hosts: set[str] = set()
    suffixes: list[str] = []
    places: set[tuple[str, int]] = set()
    suffix_places: set[tuple[str, int]] = set()
    for position, part in enumerate(text.split(","), start=1):
        try:
            found = _parse(part.strip())
        except _Unreadable as error:
            detail = f"--{option}, entry {position}: {part.strip()[:80]!r} {error}"
            raise InvalidConfig(detail, field=option.replace("-", "_")) from None
        match found:
            case IPv4Network() | IPv6Network():
                networks.append(found)
            case (host, None):
                suffixes.append(host) if host.startswith(".") else hosts.add(host)
            case (host, int(port)):
                (suffix_places if host.startswith(".") else places).add((host, port))
    return Patterns(
        tuple(dict.fromkeys(networks)),
        frozenset(hosts),
        tuple(dict.fromkeys(suffixes)),
        frozenset(places),
        frozenset(suffix_places),
    )


class _Unreadable(ValueError):
    """The pattern cannot be read: the reason follows the pattern itself, with what to write instead."""


def _parse(text: str) -> Network | tuple[str, int | None]:
    if not text:
        raise _Unreadable("is empty; take the comma out")
    if "://" in text:
        raise _Unreadable("is a url; give the host alone, such as billing.internal or 10.2.0.0/16")
    if "/" in text:
        return _parse_network(text)
    host, port = _split_port(text)
    address = _address(host)
    if address is not None:
        return ip_network(address) if port is None else (str(address), port)
    is_suffix = host.startswith("*.")
    if "*" in host.removeprefix("*."):
        raise _Unreadable("has a * that is not its first label; write *.example.internal, a name or a network")
    name = _parse_name(host.removeprefix("*."))
    return (f".{name}" if is_suffix else name), port


def _parse_network(text: str) -> Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise _Unreadable(
            "is not a network; write it as 10.2.0.0/16 or fd00::/8, and a url as its host alone"
        ) from None
    if network.version == 6 and network.subnet_of(_WRAPPED):  # type: ignore[arg-type]
        raise _Unreadable("is IPv4 in IPv6; write it as IPv4, such as 10.2.0.0/16")
    if ip_address(text.partition("/")[0]) != network.network_address:
        raise _Unreadable(f"has bits beyond its length; did you mean {network}?")
    return network


def _split_port(text: str) -> tuple[str, int | None]:
    """Host, brackets taken off, and port; an IPv6 address may stand without brackets if it has no port."""
    if text.startswith("["):
        host, bracket, after = text[1:].partition("]")
        if not bracket or (after and not after.startswith(":")) or ":" not in host:
            raise _Unreadable("is not [address] or [address]:port")
        return host, _parse_port(after[1:]) if after else None
    if text.count(":") != 1:
        return text, None
    host, _, port = text.partition(":")
    return host, _parse_port(port)


def _parse_port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65_535):
        raise _Unreadable("has a port that is not a number from 1 to 65535")
    return int(text)


def _address(text: str) -> Address | None:
    address = connected_to(text)
    if address is None and ":" in text:
        raise _Unreadable("is not an IPv6 address; a zone (%…) cannot be used")
    return address


def _parse_name(text: str) -> str:
    try:
        target = parse_url(f"http://{text}/")
    except InvalidUrl as error:
        _refuse_name(error.detail)
    if target.path != "/" or target.is_literal or target.port != 80:
        _refuse_name("only a name can follow *.")
    return target.host


def _refuse_name(why: str) -> NoReturn:
    raise _Unreadable(f"is neither a network nor a name: {why}; write 10.2.0.0/16, billing.internal or *.internal")
