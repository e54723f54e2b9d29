"""Which addresses are this service's own, so that no job may call them."""

import ipaddress
import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from urllib.parse import urlsplit


class OwnAddresses:
    """Holds (address, port) pairs; where a process listens at any address, all of the machine's are its own.

    Args:
        listening: (host, port) where our processes listen; hosts that are names, not addresses, are left out.
    """

    def __init__(self, listening: Iterable[tuple[str, int]]) -> None:
        pairs = [(ip, port) for host, port in listening if (ip := _ip(host)) is not None]
        self._pairs = frozenset(pairs)
        self._ports = frozenset(port for ip, port in pairs if ip.is_unspecified)

    def __contains__(self, pair: object) -> bool:
        if not isinstance(pair, tuple):
            return False
        host, port = pair
        ip = _ip(host)
        return (ip, port) in self._pairs or (port in self._ports and _is_of_this_machine(str(ip)))


def urls_listening(urls: Iterable[str]) -> list[tuple[str, int]]:
    """(host, port) of the urls that name both."""
    parts = [urlsplit(url) for url in urls]
    return [(part.hostname, part.port) for part in parts if part.hostname and part.port]


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address; an IPv4 one is the same however it is wrapped. None for a name."""
    with suppress(ValueError):
        ip = ipaddress.ip_address(host)
        return (ip.ipv4_mapped or ip) if ip.version == 6 else ip
    return None


@lru_cache(maxsize=1024)
def _is_of_this_machine(address: str) -> bool:
    """Only what is a machine's own can be bound there; nothing is sent. An address that comes later is not noticed."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True
