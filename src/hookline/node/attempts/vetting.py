"""Decides, before each attempt, which address a job may connect to. The last gate of the guard against SSRF.

The answer is the very address to connect to: were the name resolved again by the HTTP client, a second answer could
lead inside (DNS rebinding). So it is vetted at every attempt, and all addresses of a name must be allowed: with a
mixed answer it would be chance which one is taken.
"""

from collections.abc import Container

from hookline.node.attempts.resolver import Resolver
from hookline.protocol.destination_rules import KnownRules, Rules, leads_back
from hookline.protocol.urls import Target


class Vetter:
    """Vets targets against one node's rules.

    Args:
        resolver: for hosts that are names.
        rules: what the node's settings say; where all is open, so are our own nodes.
        own_addresses: (host, port) of our own processes, which no job may call unless they are named with their port.
    """

    def __init__(self, resolver: Resolver, rules: Rules, *, own_addresses: Container[tuple[str, int]]) -> None:
        self._resolver = resolver
        self._rules = KnownRules(rules)
        self._own_addresses: Container[tuple[str, int]] = () if rules.is_open else own_addresses

    def vet_cached(self, target: Target) -> str | None:
        """The address to connect to if no lookup is needed, else ``None``: then ask ``vet``.

        Raises:
            ForbiddenDestination: as ``vet`` does.
        """
        self._rules.check_target(target)
        addresses = (target.host,) if target.is_literal else self._resolver.fresh(target.host)
        return None if addresses is None else self._choose(target, addresses)

    async def vet(self, target: Target) -> str:
        """The one address to connect to for this attempt.

        Raises:
            ForbiddenDestination: a permanent failure: an address or a port that is not allowed.
            ResolveFailed: a retryable failure: the name has no address now.
        """
        address = self.vet_cached(target)
        if address is not None:
            return address
        return self._choose(target, await self._resolver.resolve(target.host, target.port))

    def _choose(self, target: Target, addresses: tuple[str, ...]) -> str:
        self._check_own(target, target.host)  # also when the name leads to another address today
        for address in addresses:
            self._rules.check_address(target, address)
            self._check_own(target, address)
        return addresses[0]

    def _check_own(self, target: Target, host: str) -> None:
        if (host, target.port) not in self._own_addresses:
            return
        allow = self._rules.rules.allow
        if not allow.have_place(target.host, target.port) and not allow.have_place(host, target.port):
            raise leads_back(target)
