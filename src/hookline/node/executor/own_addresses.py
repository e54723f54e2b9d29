"""Which addresses are this service's own, so that no job may call them."""

import socket
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from hookline.protocol.addresses import connected_to


class OwnAddresses:
    """Holds (address, port) pairs; where a process listens at any address, all of the machine's are its own.

    Args:
        listening: (host, port) where our processes listen; hosts that are names, not addresses, are left out.
    """

    def __init__(self, listening: Iterable[tuple[str, int]]) -> None:
        pairs = [(ip, port) for host, port in listening if (ip := connected_to(host)) is not None]
        self._pairs = frozenset(pairs)
        self._ports = frozenset(port for _, port in pairs)
        self._ports_of_all = frozenset(port for ip, port in pairs if ip.is_unspecified)

    def __contains__(self, pair: object) -> bool:
        if not isinstance(pair, tuple) or pair[1] not in self._ports:  # asked before each attempt: the cheap part first
            return False
        host, port = pair
        ip = connected_to(host)
        return (ip, port) in self._pairs or (port in self._ports_of_all and _is_of_this_machine(str(ip)))


def urls_listening(urls: Iterable[str]) -> list[tuple[str, int]]:
    """(host, port) of the urls that name both."""
    parts = [urlsplit(url) for url in urls]
    return [(part.hostname, part.port) for part in parts if part.hostname and part.port]


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
