"""Decides, before each attempt, which address a job may connect to. The last gate of the guard against SSRF.

The answer is the very address to connect to: were the name resolved again by the HTTP client, a second answer could
lead inside (DNS rebinding). So it is vetted at every attempt, and all addresses of a name must be public: with a
mixed answer it would be chance which one is taken.
"""

from collections.abc import Container

from hookline.errors import ForbiddenDestination
from hookline.node.executor.resolver import Resolver
from hookline.protocol.addresses import is_public, is_reachable
from hookline.protocol.urls import Target, check_address, check_port


class Vetter:
    """Vets targets against one node's rules.

    Args:
        resolver: for hosts that are names.
        allow_private: laptops and tests only: private addresses, all ports and our own nodes are allowed too.
        own_addresses: (host, port) of our own processes, which no job may call.
        ports: those allowed; ``None`` allows any.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        allow_private: bool,
        own_addresses: Container[tuple[str, int]],
        ports: frozenset[int] | None,
    ) -> None:
        self._resolver = resolver
        self._allow_private = allow_private
        self._own_addresses: Container[tuple[str, int]] = () if allow_private else own_addresses
        self._ports = None if allow_private else ports
        self._is_allowed = is_reachable if allow_private else is_public

    def vet_cached(self, target: Target) -> str | None:
        """The address to connect to if no lookup is needed, else ``None``: then ask ``vet``.

        Raises:
            ForbiddenDestination: as ``vet`` does.
        """
        check_port(target, self._ports)
        if target.is_literal:
            check_address(target.host, self._allow_private)
            addresses: tuple[str, ...] | None = (target.host,)
        else:
            addresses = self._resolver.fresh(target.host)
        return None if addresses is None else self._choose(target, addresses)

    async def vet(self, target: Target) -> str:
        """The one address to connect to for this attempt.

        Raises:
            ForbiddenDestination: a permanent failure: an address that is not public, or a port that is not allowed.
            ResolveFailed: a retryable failure: the name has no address now.
        """
        address = self.vet_cached(target)
        if address is not None:
            return address
        return self._choose(target, await self._resolver.resolve(target.host, target.port))

    def _choose(self, target: Target, addresses: tuple[str, ...]) -> str:
        if (target.host, target.port) in self._own_addresses:  # also when the name leads to another address today
            raise _leads_back(target)
        for address in addresses:
            if not self._is_allowed(address):  # the address stays untold: it would map our network to the asker
                raise ForbiddenDestination(f"{target.host} leads to an address that is not public", field="url")
            if (address, target.port) in self._own_addresses:
                raise _leads_back(target)
        return addresses[0]


def _leads_back(target: Target) -> ForbiddenDestination:
    return ForbiddenDestination(f"{target.host} leads back to this service", field="url")
