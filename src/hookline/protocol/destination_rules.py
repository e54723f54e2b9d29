"""Decides which destinations the jobs of a node may have. Pure; every refusal says which setting would allow it.

Without settings: public addresses at a few ports. What ``allow`` names is open beside that, at all ports. What leads to
the cloud's metadata or stays on one link is closed even then, unless a pattern means just that: nobody who opens
10.0.0.0/8 or a name thinks of it. What ``deny`` names is closed in any case.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from hookline.errors import ForbiddenDestination
from hookline.protocol.addresses import connected_to, is_public, is_reachable
from hookline.protocol.destination_patterns import NO_PATTERNS, Address, Network, Patterns
from hookline.protocol.urls import Target

DEFAULT_PORTS: Final = frozenset({80, 443, 8000, 8080, 8443})
# Open to nobody who does not name them: link-local addresses, and where clouds hand out credentials.
NAMED_ONLY: Final[tuple[Network, ...]] = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",  # link-local: the metadata of AWS, Azure, Google, Oracle, DigitalOcean and others
            "100.100.100.200/32",  # Alibaba's metadata
            "168.63.129.16/32",  # Azure's host
            "192.0.0.192/32",  # Oracle's metadata of old
            "fe80::/10",  # link-local
            "fd00:ec2::/32",  # AWS's metadata
            "fd20:ce::254/128",  # Google's metadata
        ),
    )
)
_NAT64: Final = ip_network("64:ff9b::/96")
_LOOPBACK: Final = (ip_address("127.0.0.1"), ip_address("::1"))


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a node's settings.

    Attributes:
        allow: open beside public addresses.
        deny: closed.
        ports: of public addresses; None: any.
        is_open: for laptops: all that ``deny`` does not name is open.
    """

    allow: Patterns = NO_PATTERNS
    deny: Patterns = NO_PATTERNS
    ports: frozenset[int] | None = DEFAULT_PORTS
    is_open: bool = False

    def may_lead_to(self, address: str) -> bool:
        """Could a job get to this address by some name? A first look; ``check_address`` decides."""
        if is_public(address):
            return True
        ip = connected_to(address)
        if ip is None or not is_reachable(address):
            return False
        return self.is_open or self.allow.has_names or any(ip in network for network in self.allow.networks)


OPEN: Final = Rules(is_open=True)
_KNOWN_MAX: Final = 4_096  # of less than 1 KB each


class KnownRules:
    """The rules of one node, which remembers what they let through; what they refuse they are asked again."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._allowed: set[tuple[str, str]] = set()  # destination and address, "" before there is one

    def __len__(self) -> int:
        """How much is remembered."""
        return len(self._allowed)

    def check_target(self, target: Target) -> None:
        """The same as the function of this name: only the destination decides."""
        if (target.destination, "") not in self._allowed:
            check_target(target, self.rules)
            self._remember(target, "")

    def check_address(self, target: Target, address: str) -> None:
        """The same as the function of this name."""
        if (target.destination, address) not in self._allowed:
            check_address(target, address, self.rules)
            self._remember(target, address)

    def _remember(self, target: Target, address: str) -> None:
        if len(self._allowed) >= _KNOWN_MAX:
            self._allowed.clear()
        self._allowed.add((target.destination, address))


def check_target(target: Target, rules: Rules) -> None:
    """Refuse what is known to be wrong before any name is resolved. Raises ForbiddenDestination."""
    if target.is_literal:
        check_address(target, target.host, rules)
        return
    if rules.deny.have_name(target.host, target.port):
        raise _denied(target)
    if rules.is_open or rules.allow.have_name(target.host, target.port):
        return
    if _names_this_machine(target) and not any(rules.allow.have_address(ip, target.port) for ip in _LOOPBACK):
        raise _forbidden(f"{target.host} names the machine itself; {_allow(target.host)}")
    if not rules.allow.has_addresses:  # else the name may lead to an allowed address, where every port is open
        _check_port(target, rules)


def check_address(target: Target, address: str, rules: Rules) -> None:
    """Refuse a target that is, or whose name leads to, this address. Raises ForbiddenDestination.

    Of a name the address stays untold: it would map our network for anybody who asks.
    """
    ips = _meant(address)
    if any(rules.deny.have_address(ip, target.port) for ip in ips):
        raise _denied(target)
    shown = f"{target.host} is" if target.is_literal else f"{target.host} leads to"
    if not ips or not is_reachable(address):
        raise _forbidden(f"{shown} an address that no server can have; give the server's own one")
    if rules.is_open:
        return
    is_named = rules.allow.have_name(target.host, target.port)
    if any(_is_named_only(ip, target.port, rules.allow) for ip in ips):
        meant = f" {target.host}" if target.is_literal else ""
        raise _forbidden(
            f"{shown} a link-local or metadata address; it stays closed unless the node is started with that very "
            f"address in --allow-destinations{meant}"
        )
    if is_named or rules.allow.have_address(ips[0], target.port):
        return
    if not is_public(address):
        raise _forbidden(f"{shown} an address that is not public; {_allow(target.host)}")
    _check_port(target, rules)


def leads_back(target: Target) -> ForbiddenDestination:
    """The refusal of a target that is one of our own processes."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    return _forbidden(
        f"{target.host} leads back to this service; it stays closed unless the node is started with host and port in "
        f"--allow-destinations {host}:{target.port}"
    )


def _check_port(target: Target, rules: Rules) -> None:
    if rules.ports is None or target.port in rules.ports:
        return
    allowed = ", ".join(map(str, sorted(rules.ports)))
    wanted = ",".join(map(str, sorted({*rules.ports, target.port})))
    own = "" if target.is_literal else f"; if {target.host} is in your own network, {_allow(target.host)}, at all ports"
    raise _forbidden(
        f"port {target.port} is not allowed; allowed are {allowed}; to allow it, start the node with "
        f"--destination-ports {wanted}{own}"
    )


def _names_this_machine(target: Target) -> bool:
    return target.host == "localhost" or target.host.endswith(".localhost")


@lru_cache(maxsize=8192)
def _meant(address: str) -> tuple[Address, ...]:
    """The address that a packet reaches, then what a gateway would make of it; empty if it is not an address."""
    ip = connected_to(address)
    if ip is None:
        return ()
    return (ip,) if isinstance(ip, IPv4Address) or (inner := _translated(ip)) is None else (ip, inner)


def _translated(ip: IPv6Address) -> IPv4Address | None:
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.sixtofour


def _is_named_only(ip: Address, port: int, allow: Patterns) -> bool:
    return any(ip in network and not allow.have_within(ip, port, network) for network in NAMED_ONLY)


def _allow(host: str) -> str:
    return f"to allow it, start the node with --allow-destinations {host}"


def _denied(target: Target) -> ForbiddenDestination:
    return _forbidden(f"{target.host} is closed by --deny-destinations of this node")


def _forbidden(detail: str) -> ForbiddenDestination:
    return ForbiddenDestination(detail, field="url")
