"""The topology: the versioned document that lists the clusters and says how ids are spread over them. Pure.

Read from TOML (the file) or JSON (the wire); what is stored and compared is the JSON of ``encode_topology``.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from hookline.errors import InvalidTopology
from hookline.protocol.limits import TOPOLOGY_BYTES_MAX
from hookline.visible import without_password

Strategy = Literal["modulo", "ring"]

CLUSTERS_MAX = 1_000
NODES_MAX = 16  # of one cluster
WEIGHT_MAX = 1_000  # also of all clusters together: each weight costs points of the ring, and all wait for its making
SHARD_MAX = 999_999_999  # as many digits as the hint of an id may have
DIGEST_CHARS = 16
RATE_MAX = 1_000_000
RETIRED_MAX = 10_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_NODE = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

_ID = re.compile(r"[0-9a-f]{32}")

_encode = msgspec.json.Encoder(order="deterministic").encode


class ClusterEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """One cluster: ``nodes`` are the urls of its nodes, ``shard`` is never used again for another cluster.

    ``id``, if given, is the one the cluster was born with (32 hex digits): nodes that say another one are not used.
    """

    name: str
    shard: int
    nodes: tuple[str, ...]
    weight: int = 1
    # Left out of the document when it is not given: the same topology is the same bytes for every release.
    id: str | UnsetType = UNSET


class Placement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The strategy and the clusters from before the change that is under way."""

    strategy: Strategy
    clusters: tuple[ClusterEntry, ...] = msgspec.field(name="cluster")


class Move(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the change that is under way goes on: the way of jobs and schedules to their new homes.

    Attributes:
        paused: nothing moves.
        aborting: it is the way back from a change that was given up.
        rate: jobs a second out of each cluster at most; None: as many as deliveries leave room for.
        with_finished: of clusters that leave, all finished jobs move as well.
    """

    paused: bool = False
    aborting: bool = False
    rate: int | None = None
    with_finished: bool = False


class Topology(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The document. ``epoch`` grows by one with each change; ``previous`` is there while a change is under way.

    ``retired``: the shards of clusters that were taken out, which are never used again.
    """

    epoch: int
    strategy: Strategy = "modulo"
    clusters: tuple[ClusterEntry, ...] = msgspec.field(name="cluster")
    previous: Placement | None = None
    move: Move = Move()
    retired: tuple[int, ...] = ()

    def all_clusters(self) -> list[ClusterEntry]:
        """Those of now, then those that only ``previous`` has; by name."""
        known = {entry.name: entry for entry in self.clusters}
        for entry in self.previous.clusters if self.previous else ():
            known.setdefault(entry.name, entry)
        return list(known.values())

    def cluster(self, name: str) -> ClusterEntry | None:
        """The cluster of that name, also one that only ``previous`` has."""
        return next((entry for entry in self.all_clusters() if entry.name == name), None)


class Version(NamedTuple):
    """Tells documents apart: two different ones of the same epoch have different digests."""

    epoch: int
    digest: str


def digest_of(document: bytes) -> str:
    """The short name of a document, as ``encode_topology`` gives it: the first 16 hex digits of its SHA-256."""
    return sha256(document).hexdigest()[:DIGEST_CHARS]


def version_of(topology: Topology) -> Version:
    """The version of the topology's document."""
    return Version(topology.epoch, digest_of(encode_topology(topology)))


def parse_topology_file(text: str, *, epoch: int | None = None) -> Topology:
    """Read the TOML file; ``epoch`` is for one that says none. Raises InvalidTopology, which says where."""
    try:
        found = tomllib.loads(text)
        if epoch is not None:
            found.setdefault("epoch", epoch)
        return checked(msgspec.convert(found, Topology))
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidTopology(f"the topology cannot be read: {error}") from error


def parse_topology(data: bytes) -> Topology:
    """Read the JSON document. Raises InvalidTopology, which says where."""
    if len(data) > TOPOLOGY_BYTES_MAX:
        raise InvalidTopology(f"the topology has more than {TOPOLOGY_BYTES_MAX} bytes")
    try:
        return checked(msgspec.json.decode(data, type=Topology))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidTopology(f"the topology cannot be read: {error}") from error


def encode_topology(topology: Topology) -> bytes:
    """The same bytes for the same topology, always."""
    return _encode(topology)


def checked(topology: Topology) -> Topology:
    """The topology, if it holds together. Raises InvalidTopology."""
    if not 1 <= topology.epoch < 2**53:
        raise InvalidTopology(f"epoch is {topology.epoch}; it starts at 1 and grows by one", field="epoch")
    _check_clusters(topology.clusters, "cluster")
    _check_retired(topology)
    if topology.move.rate is not None and not 1 <= topology.move.rate <= RATE_MAX:
        raise InvalidTopology(f"move.rate is from 1 to {RATE_MAX} jobs a second", field="move.rate")
    if topology.previous is not None:
        _check_clusters(topology.previous.clusters, "previous.cluster")
        check_same_shards(topology.previous.clusters, topology.clusters)
        # Whom a proxy asks for a job that may have moved must not be another cluster, which would say "not here".
        _check_once("node", (url for entry in topology.all_clusters() for url in entry.nodes), "previous.cluster")
    return topology


def _check_clusters(clusters: Sequence[ClusterEntry], field: str) -> None:
    if not 1 <= len(clusters) <= CLUSTERS_MAX:
        raise InvalidTopology(f"there are {len(clusters)} clusters; 1 to {CLUSTERS_MAX} are possible", field=field)
    for entry in clusters:
        if not _NAME.fullmatch(entry.name):
            raise InvalidTopology(
                f"the name {entry.name[:80]!r} is not valid; use 1 to 63 of A-Z a-z 0-9 _ -", field=f"{field}.name"
            )
        if not 0 <= entry.shard <= SHARD_MAX:
            raise InvalidTopology(f"{entry.name}: shard is from 0 to {SHARD_MAX}", field=f"{field}.shard")
        if not 1 <= entry.weight <= WEIGHT_MAX:
            raise InvalidTopology(f"{entry.name}: weight is from 1 to {WEIGHT_MAX}", field=f"{field}.weight")
        if not 1 <= len(entry.nodes) <= NODES_MAX:
            raise InvalidTopology(f"{entry.name}: list the urls of its nodes, 1 to {NODES_MAX}", field=f"{field}.nodes")
        for url in entry.nodes:
            _check_node(url, f"{field}.nodes")
        if entry.id is not UNSET and not _ID.fullmatch(entry.id):
            raise InvalidTopology(
                f"{entry.name}: id is the cluster's own, 32 hex digits; or leave it out", field=f"{field}.id"
            )
    weight = sum(entry.weight for entry in clusters)
    if weight > WEIGHT_MAX:
        raise InvalidTopology(
            f"the weights add up to {weight}; take smaller ones, up to {WEIGHT_MAX} together", field=f"{field}.weight"
        )
    _check_once("name", (entry.name for entry in clusters), field)
    _check_once("shard", (entry.shard for entry in clusters), field)
    _check_once("node", (url for entry in clusters for url in entry.nodes), field)


def _check_retired(topology: Topology) -> None:
    if len(topology.retired) > RETIRED_MAX:
        raise InvalidTopology(f"retired lists more than {RETIRED_MAX} shards", field="retired")
    for entry in topology.clusters:
        if entry.shard in topology.retired:
            raise InvalidTopology(
                f"shard {entry.shard} was that of a cluster that was taken out, and is never used again; take a new"
                f" number for {entry.name}",
                field="shard",
            )


def _check_node(url: str, field: str) -> None:
    try:
        is_plain = _NODE.fullmatch(url) is not None and urlsplit(url).port != 0
    except ValueError:  # a port above 65,535, an address that is none
        is_plain = False
    if not is_plain:
        raise InvalidTopology(f"{without_password(url)[:200]!r} is not a node; write http://HOST:PORT", field=field)


def _check_once(what: str, values: Iterable[object], field: str) -> None:
    value, times = Counter(values).most_common(1)[0]
    if times > 1:
        raise InvalidTopology(f"the {what} {value} is there {times} times", field=field)


def check_same_shards(old: Iterable[ClusterEntry], new: Iterable[ClusterEntry]) -> None:
    """A cluster keeps its shard, and a shard its cluster. Raises InvalidTopology."""
    shards = {entry.name: entry.shard for entry in old}
    names = {entry.shard: entry.name for entry in old}
    for entry in new:
        if shards.get(entry.name, entry.shard) != entry.shard:
            raise InvalidTopology(
                f"{entry.name} has shard {shards[entry.name]}, and keeps it; {entry.shard} was given", field="shard"
            )
        if names.get(entry.shard, entry.name) != entry.name:
            raise InvalidTopology(
                f"shard {entry.shard} is {names[entry.shard]}; take a new number for {entry.name}", field="shard"
            )
