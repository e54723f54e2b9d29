"""Keeps what is known of the nodes, and orders them for asking. Pure: callers report what happened."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from hookline.protocol.topology import ClusterEntry

ProbedState = Literal["unknown", "up", "down"]

_MISSED_MAX = 2  # probes in a row, after which a node is silent

_RANK: dict[ProbedState, int] = {"up": 0, "unknown": 1, "down": 2}


@dataclass(slots=True)
class NodeHealth:
    """One node, by its url.

    Attributes:
        state: "up" when it answered last, "down" when it did not.
        is_ready: its own word: it takes requests.
        name: as in ``hookline-node``; empty until it was heard.
        role: "leader", "follower", or empty until it was heard.
        epoch: of the topology it has stored; ``digest`` of that document, empty when it did not say.
        decided_by: the shard of the cluster that decided for it.
        moved: the epoch of the newest topology by which all has moved that had to; out of its cluster.
        is_refusing: the last probe's connection was refused.
        missed: probes in a row without an answer, while nothing else was heard from it.
        heard: how often it answered anything.
        stranger: why it is not a node of the cluster that lists it; empty when it is.
    """

    url: str
    state: ProbedState = "unknown"
    is_ready: bool = False
    name: str = ""
    role: str = ""
    term: int = 0
    epoch: int = 0
    digest: str = ""
    decided_by: int | None = None
    moved: int = 0
    is_refusing: bool = False
    missed: int = 0
    heard: int = 0
    stranger: str = ""


@dataclass(slots=True)
class _Cluster:
    leader: str | None = None
    nodes: tuple[str, ...] = ()
    order: tuple[str, ...] | None = None  # None: to be worked out again


class _KnownNode(NamedTuple):
    url: str
    cluster: str
    shard: int


def _members(entry: ClusterEntry) -> list[_KnownNode]:
    return [_KnownNode(url, entry.name, entry.shard) for url in entry.nodes]


class KnownHealth:
    """The nodes of all clusters. Clusters and nodes it has not heard of are unknown, which is not an error.

    Nodes that no operator named came with a document, and anybody may have written that: until one has answered a probe
    as a node of its cluster it is a newcomer, to whom nothing but probes is sent.

    Args:
        named: the clusters that an operator named to this proxy; None: all that come.

    Attributes:
        why_locked_out: the reason why no node takes calls of this proxy, if that is its root key.
    """

    def __init__(self, named: Iterable[ClusterEntry] | None = None) -> None:
        self._met: set[_KnownNode] | None = None if named is None else {it for entry in named for it in _members(entry)}
        self.why_locked_out: str | None = None
        self._nodes: dict[str, NodeHealth] = {}
        self._clusters: dict[str, _Cluster] = {}
        self._home: dict[str, _Cluster] = {}  # by the url of a node

    def keep(self, clusters: Sequence[ClusterEntry]) -> None:
        """Forget the nodes and clusters that are not among these."""
        kept = {entry.name: set(entry.nodes) for entry in clusters}
        urls = {url for nodes in kept.values() for url in nodes}
        if self._met is not None:
            self._met &= {it for entry in clusters for it in _members(entry)}
        self._clusters = {name: cluster for name, cluster in self._clusters.items() if name in kept}
        self._nodes = {url: node for url, node in self._nodes.items() if url in urls}
        self._home = {url: cluster for url, cluster in self._home.items() if url in urls}

    def node(self, url: str) -> NodeHealth:
        """The node as the proxy knows it."""
        node = self._nodes.get(url)
        if node is None:
            node = self._nodes[url] = NodeHealth(url)
        return node

    def order(self, entry: ClusterEntry) -> tuple[str, ...]:
        """The urls of its nodes: the leader first, then those that are up, unknown, down. No strangers or newcomers."""
        cluster = self._cluster(entry)
        if cluster.order is None:
            own = [node.url for node in self._own(entry)]
            cluster.order = tuple(sorted(own, key=lambda url: self._rank(cluster, url)))
        return cluster.order

    def up(self, entry: ClusterEntry) -> list[NodeHealth]:
        """Its nodes that answered last, in the order to ask them."""
        return [node for node in map(self.node, self.order(entry)) if node.state == "up"]

    def is_silent(self, entry: ClusterEntry) -> bool:
        """Not one of its nodes answered the last two probes, or anything since: nothing is worth being sent there.

        Where all refuse connections a try costs nothing, and is sure to tell: that is ``is_refusing``.
        """
        if self._is_heard(entry):
            return False
        own = self._own(entry)
        return not (own and all(node.is_refusing for node in own))

    def is_refusing(self, entry: ClusterEntry) -> bool:
        """Each of its nodes refused the connections of the last two probes."""
        if self._is_heard(entry):
            return False
        own = self._own(entry)
        return bool(own) and all(node.is_refusing for node in own)

    def _is_heard(self, entry: ClusterEntry) -> bool:
        """One of its nodes answered one of the last two probes, or something since. Asked with every call."""
        for url in entry.nodes:
            node = self.node(url)
            if node.missed < _MISSED_MAX and not node.stranger and self.has_met(entry, url):
                return True
        return False

    def _own(self, entry: ClusterEntry) -> list[NodeHealth]:
        return [node for node in map(self.node, entry.nodes) if not node.stranger and self.has_met(entry, node.url)]

    def has_met(self, entry: ClusterEntry, url: str) -> bool:
        """May more than probes be sent to this node of the cluster?"""
        return self._met is None or _KnownNode(url, entry.name, entry.shard) in self._met

    def meet(self, entry: ClusterEntry, url: str) -> None:
        """The node answered as one of that cluster."""
        if not self.has_met(entry, url) and self._met is not None:
            self._met.add(_KnownNode(url, entry.name, entry.shard))
            self._reorder(url)

    def unmet(self, entry: ClusterEntry) -> list[str]:
        """The cluster's nodes that were never probed, if it has no other: they may be its own all the same."""
        if self._met is None or any(not self.node(url).stranger and self.has_met(entry, url) for url in entry.nodes):
            return []
        return [url for url in entry.nodes if not (self.node(url).missed or self.node(url).stranger)]

    def why_silent(self, entry: ClusterEntry) -> str:
        """A sentence for when it is silent."""
        strangers = [self.node(url).stranger for url in entry.nodes if self.node(url).stranger]
        return "; ".join(strangers) or "none of its nodes answered the last probes"

    def heard(self, entry: ClusterEntry) -> int:
        """Counts the answers of its nodes: a cluster is silent while this does not change."""
        return sum(self.node(url).heard for url in entry.nodes)

    def leader(self, entry: ClusterEntry) -> str | None:
        """The url of the node that leads, as far as is known."""
        return self._cluster(entry).leader

    def cluster_state(self, entry: ClusterEntry) -> ProbedState:
        """Up when a node takes requests, down when all are known not to."""
        nodes = [self.node(url) for url in entry.nodes]
        if any(node.state == "up" and node.is_ready for node in nodes):
            return "up"
        return "unknown" if any(node.state == "unknown" for node in nodes) else "down"

    def probed(
        self,
        url: str,
        *,
        is_ready: bool,
        name: str,
        role: str,
        term: int = 0,
        epoch: int = 0,
        digest: str = "",
        decided_by: int | None = None,
        moved: int = 0,
    ) -> None:
        """The node answered ``GET /health``."""
        node = self.node(url)
        node.name, node.role, node.term = name, role, term
        node.epoch, node.digest, node.decided_by, node.moved = epoch, digest, decided_by, moved
        if node.stranger:
            node.stranger = ""
            self._reorder(url)
        self._answered(node, is_ready=is_ready)
        cluster = self._home.get(url)
        if cluster is None:
            return
        if role == "leader" and not self._is_older(term, cluster.leader):
            self._set_leader(cluster, url)
        elif role != "leader" and cluster.leader == url:
            self._set_leader(cluster, None)

    def succeeded(self, url: str, answered_by: str = "") -> None:
        """The node answered a call; ``answered_by`` is the name of the node that did the work, the leader."""
        node = self.node(url)
        self._answered(node, is_ready=True)
        cluster = self._home.get(url)
        if cluster is None or not answered_by or not node.name:
            return
        if node.name == answered_by:
            self._set_leader(cluster, url)
            return
        for other in cluster.nodes:
            if self.node(other).name == answered_by:
                self._set_leader(cluster, other)

    def refused(self, url: str) -> None:
        """The node answered that it cannot take calls now: it does not lead and knows no leader, or is too busy."""
        self._answered(self.node(url), is_ready=False)
        cluster = self._home.get(url)
        if cluster is not None and cluster.leader == url:
            self._set_leader(cluster, None)

    def missed(self, url: str, *, is_refusing: bool) -> None:
        """The node did not answer ``GET /health``."""
        node = self.node(url)
        node.missed += 1
        node.is_refusing = is_refusing
        self.failed(url)

    def is_stranger(self, url: str, why: str) -> None:
        """The process at this url is not a node of the cluster that lists it."""
        node = self.node(url)
        node.stranger, node.missed, node.is_refusing = why, 0, False
        node.state, node.is_ready = "down", False
        cluster = self._home.get(url)
        if cluster is not None and cluster.leader == url:
            self._set_leader(cluster, None)
        self._reorder(url)

    def failed(self, url: str) -> None:
        """The node could not be reached, or did not answer."""
        node = self.node(url)
        if node.state != "down":
            node.state, node.is_ready = "down", False
            self._reorder(url)

    def _answered(self, node: NodeHealth, *, is_ready: bool) -> None:
        node.is_ready = is_ready
        node.missed, node.is_refusing = 0, False
        node.heard += 1
        if node.state != "up":
            node.state = "up"
            self._reorder(node.url)

    def _cluster(self, entry: ClusterEntry) -> _Cluster:
        cluster = self._clusters.setdefault(entry.name, _Cluster())
        if cluster.nodes != entry.nodes:
            cluster.nodes, cluster.order = entry.nodes, None
            self._home.update(dict.fromkeys(entry.nodes, cluster))
            if cluster.leader not in entry.nodes:
                cluster.leader = None
        return cluster

    def _is_older(self, term: int, leader: str | None) -> bool:
        """A leader of an older term that does not know yet that it was replaced."""
        return leader is not None and self.node(leader).state == "up" and term < self.node(leader).term

    def _set_leader(self, cluster: _Cluster, url: str | None) -> None:
        if cluster.leader != url:
            cluster.leader, cluster.order = url, None

    def _reorder(self, url: str) -> None:
        cluster = self._home.get(url)
        if cluster is not None:
            cluster.order = None

    def _rank(self, cluster: _Cluster, url: str) -> tuple[int, bool]:
        return _RANK[self.node(url).state], url != cluster.leader
