"""Collects the addresses of this service, which no job may call."""

import socket
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from hookline.protocol.addresses import connected_to

HostPort = tuple[str, int]  # host, a name or an address, and port: where a process listens
_Key = TypeVar("_Key", str, int)
_PORTS = {"http": 80, "https": 443}


class OwnAddresses:
    """Holds where our processes listen; where one listens at any address, all of the machine's are its own.

    Args:
        listening: of this process, for good; what is learnt of others comes by ``tell``.

    Attributes:
        version: grows with each change.
    """

    def __init__(self, listening: Iterable[HostPort]) -> None:
        self._told: dict[str, frozenset[HostPort]] = {}
        self.version = 0
        # By port and host, by how many told places: an attempt elsewhere costs one look.
        self._hosts: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._ports_of_all: Counter[int] = Counter()
        self.tell("this process", listening)

    def tell(self, source: str, places: Iterable[HostPort]) -> None:
        """The places that this source knows now, instead of those it told before."""
        told, before = frozenset(places), self._told.get(source, frozenset())
        self.version += told != before
        self._told[source] = told
        for place in told - before:
            self._count(place, 1)
        for place in before - told:
            self._count(place, -1)

    @property
    def places(self) -> frozenset[HostPort]:
        """All of them."""
        return frozenset().union(*self._told.values())

    def _count(self, place: HostPort, change: int) -> None:
        host, port = place
        _add(self._hosts[port], _plain(host), change)
        if not self._hosts[port]:
            del self._hosts[port]
        if is_unspecified(host):
            _add(self._ports_of_all, port, change)

    def __contains__(self, place: object) -> bool:
        if not isinstance(place, tuple) or (hosts := self._hosts.get(place[1])) is None:
            return False
        host, port = _plain(place[0]), place[1]
        return host in hosts or (port in self._ports_of_all and is_of_this_machine(host))


def places_of(urls: Iterable[str]) -> list[HostPort]:
    """Lists the places where the processes of these urls listen; it leaves out what is not an http url."""
    return [place for url in urls if (place := _place_of(url)) is not None]


def _place_of(url: str) -> HostPort | None:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # a port above 65,535, an address that is none
        return None
    return (parts.hostname, port) if parts.hostname and parts.scheme in _PORTS and port else None


def is_unspecified(host: str) -> bool:
    """Says whether a process that listens there listens at all addresses of its machine."""
    ip = connected_to(host)
    return ip is not None and ip.is_unspecified


def is_name(host: str) -> bool:
    """Is it to be resolved?"""
    return connected_to(host) is None


@lru_cache(maxsize=1024)
def is_of_this_machine(host: str) -> bool:
    """Only what is a machine's own can be bound there; nothing is sent. An address that comes later is not noticed."""
    try:
        address = str(ip_address(host))
    except ValueError:
        return False
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True


def _add(counter: Counter[_Key], key: _Key, change: int) -> None:
    counter[key] += change
    if not counter[key]:
        del counter[key]


def _plain(host: str) -> str:
    """One text for all ways to write a host."""
    ip = connected_to(host)
    return host.lower().rstrip(".") if ip is None else str(ip)
