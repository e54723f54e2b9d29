"""Remembers where proxies listen: they say so with each probe of this node's health.

There is no authentication, so anybody may say so. Therefore the address is that of the connection, never one from the
request: a stranger can only keep jobs from its own address, not from a receiver somewhere else. The one exception is
this machine: a proxy here may name another address of this machine. Few are kept of one address, and few in all, and
those that go on asking stay: a stranger who names many cannot push out the real ones.
"""

import re
from collections import Counter
from ipaddress import IPv6Address
from typing import Final

from hookline.clock import Clock
from hookline.node.attempts.own_addresses import HostPort, OwnAddresses, is_of_this_machine, is_unspecified
from hookline.protocol.addresses import connected_to

PROXIES_MAX: Final = 1_024
PER_ADDRESS_MAX: Final = 16
REMEMBERED_MS: Final = 60_000  # without a word; the slowest proxy asks once a minute, most every second
_SOURCE = "proxies"
_LISTENS = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})")


class HeardProxies:
    """Tells ``own`` where proxies listen, for as long as they are heard.

    Args:
        own: is told.
        clock: for the time since a proxy was heard.
    """

    def __init__(self, own: OwnAddresses, clock: Clock) -> None:
        self._own = own
        self._clock = clock
        self._heard_ms: dict[HostPort, float] = {}  # the one heard longest ago first
        self._origins: dict[HostPort, str] = {}
        self._count: Counter[str] = Counter()  # by origin

    def heard(self, address: str, listens: str) -> None:
        """A proxy asked from ``address`` and says that it listens at HOST:PORT; nonsense is passed over."""
        place = _place(address, listens)
        if place is None:
            return
        is_new = self._forget()
        if place in self._heard_ms:
            del self._heard_ms[place]  # so that it is put at the end
        else:
            origin = _origin(address)
            if len(self._heard_ms) >= PROXIES_MAX or self._count[origin] >= PER_ADDRESS_MAX:
                return
            self._origins[place] = origin
            self._count[origin] += 1
            is_new = True
        self._heard_ms[place] = self._clock.boot_ms()
        if is_new:
            self._own.tell(_SOURCE, self._heard_ms)

    def forget_silent(self) -> None:
        """Forget those that have not been heard for ``REMEMBERED_MS``."""
        if self._forget():
            self._own.tell(_SOURCE, self._heard_ms)

    def _forget(self) -> bool:
        before_ms = self._clock.boot_ms() - REMEMBERED_MS
        silent = []
        for place, heard_ms in self._heard_ms.items():
            if heard_ms > before_ms:
                break
            silent.append(place)
        for place in silent:
            del self._heard_ms[place]
            origin = self._origins.pop(place)
            self._count[origin] -= 1
            if not self._count[origin]:
                del self._count[origin]
        return bool(silent)


def _place(address: str, listens: str) -> HostPort | None:
    found = _LISTENS.fullmatch(listens)
    origin = connected_to(address)
    if found is None or origin is None:
        return None
    host, port = found[1] or found[2], int(found[3])
    if connected_to(host) is None or not 1 <= port <= 65_535:
        return None
    if is_of_this_machine(str(origin)) and (is_unspecified(host) or is_of_this_machine(host)):
        return host, port
    return str(origin), port


def _origin(address: str) -> str:
    """Whom the address belongs to: of IPv6 everybody has a whole /64."""
    ip = connected_to(address)
    return str(IPv6Address(int(ip) >> 64 << 64)) if isinstance(ip, IPv6Address) else str(ip)
