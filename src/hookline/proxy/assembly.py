"""Puts a proxy together: the one place where its parts are wired."""

from dataclasses import dataclass, field

from starlette.applications import Starlette

from hookline.clock import Clock
from hookline.http_api.addresses import addresses_in
from hookline.http_api.audit_notes import forbidden_note
from hookline.http_api.callers import ApiCaller, HeaderPairs
from hookline.http_api.guard import ClientAddress, Guard
from hookline.http_api.page_host import NO_ROUTES, Routes
from hookline.peers.sender import Sender
from hookline.peers.traced import TracedSender
from hookline.protocol.api_keys import hash_of
from hookline.protocol.calls import Call
from hookline.protocol.passes import pass_key
from hookline.proxy.api.app import create_app
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.config import ProxyConfig
from hookline.proxy.fleet_keys import FleetKeys
from hookline.proxy.forwarder import Forwarder
from hookline.proxy.gathering import GatheringSender
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.metrics import ProxyMetrics
from hookline.proxy.prober import Prober


@dataclass(frozen=True, slots=True)
class ProxyParts:
    """The parts of a proxy.

    Attributes:
        sender: carries calls to the nodes, and proves them by the root key.
        known: the topology that it begins with.
        health: what is known of the nodes already.
        listens: HOST:PORT of this proxy, told to the nodes; empty: it is not told.
        routes: pages to serve beside the API.
    """

    config: ProxyConfig
    clock: Clock
    sender: Sender
    known: KnownTopology
    health: KnownHealth = field(default_factory=KnownHealth)
    listens: str = ""
    routes: Routes = field(default_factory=lambda: NO_ROUTES)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that is ready to run.

    Attributes:
        prober: to be run.
        app: the API, to be served.
        api: what the API works with.
    """

    known: KnownTopology
    health: KnownHealth
    metrics: ProxyMetrics
    forwarder: Forwarder
    prober: Prober
    api: ProxyApi
    app: Starlette


def build(parts: ProxyParts) -> Proxy:
    """Wire the parts. Nothing runs yet."""
    config, clock, sender, known, health = parts.config, parts.clock, parts.sender, parts.known, parts.health
    metrics = ProxyMetrics()
    forwarder = Forwarder(TracedSender(GatheringSender(sender, metrics)), health, known, clock, metrics, config)
    prober = Prober(sender, health, known, forwarder, clock, config, parts.listens)
    keys = FleetKeys(sender, known, health)
    guard = None
    if config.root_key is not None:
        forwarder.pusher.bring_keys = keys.bring

        async def note_forbidden(call: Call, caller: ApiCaller, headers: HeaderPairs, address: ClientAddress) -> None:
            known = keys.known.find(caller.key)
            name = "" if known is None else known.name
            seen = addresses_in((), address)  # what a client says of itself does not matter
            await keys.note(forbidden_note(clock, call, caller, name, seen, headers))

        guard = Guard(
            [hash_of(key) for key in config.root_keys],
            keys.known.find,
            clock,
            keys.look_again,
            lambda: True,
            note_forbidden=note_forbidden,
            pass_keys=[pass_key(key) for key in config.root_keys],
        )
    api = ProxyApi(forwarder, known, health, config, clock, metrics, keys, prober.farewell, guard)
    return Proxy(known, health, metrics, forwarder, prober, api, create_app(api, parts.routes))
