"""Asks a running Hookline what it says of itself: doors, the nodes behind them, clusters, topology."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from hookline.cli.doctor.asking import Asker, HeardAnswer, NotHeard
from hookline.errors import Unauthorized
from hookline.protocol import http, http_keys, http_moves
from hookline.protocol.topology import Topology

T = TypeVar("T")
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class HeardProcess:
    """A node or a proxy.

    Attributes:
        health: None: it does not answer.
        why: it does not.
        heard: the answer, for its clock.
        version: of the door's program; None: it was not asked.
    """

    url: str
    health: http.Health | None
    why: str = ""
    heard: HeardAnswer | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class HeardFleet:
    """All that was heard.

    Attributes:
        doors: those that were named.
        nodes: all nodes that a door knows of, by the topology or by their cluster.
        clusters: None: they may not be asked for.
        refused: what could not be read, and why.
    """

    doors: list[HeardProcess]
    nodes: list[HeardProcess]
    clusters: list[http.Cluster] | None = None
    incomplete: dict[str, str] = field(default_factory=dict)
    topology: Topology | None = None
    moves: http_moves.TopologyStatus | None = None
    keys: list[http_keys.KeyView] | None = None
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def door(self) -> HeardProcess | None:
        """The first that answers."""
        return next((one for one in self.doors if one.health is not None), None)

    @property
    def processes(self) -> list[HeardProcess]:
        """All of them, each once."""
        return list({one.url: one for one in (*self.nodes, *self.doors)}.values())

    def cluster_of(self, url: str) -> str:
        """The name of the cluster whose node is there."""
        entries = () if self.topology is None else self.topology.clusters
        return next((entry.name for entry in entries if url in entry.nodes), "its cluster")


def hear_fleet(urls: Sequence[str], asker: Asker) -> HeardFleet:
    """Ask them. The first of the urls that answers tells of the rest."""
    doors = [_door(url, asker) for url in urls]
    door = next((one for one in doors if one.health is not None), None)
    if door is None or door.health is None:
        return HeardFleet(doors, [])
    refused: dict[str, str] = {}
    is_proxy = door.health.role == "proxy"
    topology = _read(asker, door, "/topology", Topology, refused) if is_proxy else None
    if is_proxy:
        listed = _read(asker, door, "/clusters", http.ClusterList, refused)
    else:
        own = _read(asker, door, "/cluster", http.Cluster, refused)
        listed = None if own is None else http.ClusterList([own])
    keys = _read(asker, door, "/keys?limit=1000", http_keys.KeyPage, refused)
    known = {one.url for one in doors}
    found = _node_urls(topology, [] if listed is None else listed.data)
    if not is_proxy and len(found) < 2:
        found = [door.url]  # it is alone, or does not say; where it was asked is where it is
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        nodes = list(threads.map(lambda url: _process(url, asker), [url for url in found if url not in known]))
    return HeardFleet(
        doors,
        nodes + [one for one in doors if one.url in found],
        None if listed is None else listed.data,
        {} if listed is None else {name: listed.reasons.get(name, "") for name in listed.incomplete},
        topology,
        _read(asker, door, "/topology/status", http_moves.TopologyStatus, refused) if is_proxy else None,
        None if keys is None else keys.data,
        refused,
    )


def _door(url: str, asker: Asker) -> HeardProcess:
    found = _process(url, asker)
    if found.health is None:
        return found
    try:
        described: dict[str, Any] = asker.ask(url, "/openapi.json").read(dict)
        version = str(described.get("info", {}).get("version", "unknown"))
    except NotHeard:
        version = None
    return HeardProcess(url, found.health, found.why, found.heard, version)


def _process(url: str, asker: Asker) -> HeardProcess:
    try:
        heard = asker.ask(url, "/health")
        return HeardProcess(url, heard.read(http.Health), heard=heard)
    except NotHeard as error:
        return HeardProcess(url, None, str(error))


def _read(asker: Asker, door: HeardProcess, path: str, kind: type[T], refused: dict[str, str]) -> T | None:
    name = path.partition("?")[0]
    try:
        heard = asker.ask(door.url, path, with_key=True)
        if heard.status in (401, 403):
            scope = "with the scope admin" if name == "/keys" else "with the scope read"
            refused[name] = (
                "the API key that was given does not hold: it is revoked, expired or another service's"
                if heard.status == Unauthorized.http_status and asker.has_key
                else f"an API key {scope} is needed to see it: --api-key-file, or HOOKLINE_API_KEY"
            )
            return None
        return heard.read(kind)
    except NotHeard as error:
        refused[name] = str(error)
        return None


def _node_urls(topology: Topology | None, clusters: Sequence[http.Cluster]) -> list[str]:
    if topology is not None:
        return list(dict.fromkeys(url for entry in topology.clusters for url in entry.nodes))
    return list(dict.fromkeys(node.url for cluster in clusters for node in cluster.nodes))
