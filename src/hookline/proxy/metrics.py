"""The metrics of a proxy. Names and meanings: docs/reference/metrics.md."""

from collections.abc import Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hookline.protocol.breaker import CircuitBreaker
from hookline.protocol.http_moves import MoveState, TopologyStatus
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology

_ADDED_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
_GATHERED_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
_PAIRS_MAX = 200  # of clusters, each on its own; a thousand clusters have a million pairs
_OTHERS = "others"
_BREAKER_STATES = ("closed", "half_open", "open")


class ProxyMetrics:
    """The metrics of one proxy, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "hookline_proxy_requests",
            "Calls to clusters by outcome: 2xx to 5xx, cluster_unavailable, deadline_exceeded, stale_route, cancelled.",
            ["cluster", "outcome"],
            registry=registry,
        )
        self._added = Histogram(
            "hookline_proxy_added_latency_seconds",
            "What the proxy added to a call: all but the time the node took for the answer that counted.",
            buckets=_ADDED_BUCKETS,
            registry=registry,
        )
        self._gathered = Histogram(
            "hookline_proxy_gathered_jobs",
            "Creates that travelled to a node together, per call; 1: alone.",
            buckets=_GATHERED_BUCKETS,
            registry=registry,
        )
        self.rejections = Counter("hookline_proxy_rejections", "Refused calls by code.", ["code"], registry=registry)
        self.in_flight = Gauge("hookline_proxy_in_flight", "Requests under way now.", registry=registry)
        self._fallbacks = Counter(
            "hookline_proxy_fallbacks", "Calls that left this cluster for the next.", ["cluster"], registry=registry
        )
        self._ambiguous = Counter(
            "hookline_proxy_ambiguous_failures", "Tries that got no answer.", ["cluster"], registry=registry
        )
        self._breaker = Gauge(
            "hookline_proxy_breaker_state", "1 for the state it is in.", ["cluster", "state"], registry=registry
        )
        self._node_up = Gauge(
            "hookline_proxy_node_up", "1 when the node answered last.", ["cluster", "node"], registry=registry
        )
        self._cluster_up = Gauge(
            "hookline_proxy_cluster_up", "1 when a node takes requests.", ["cluster"], registry=registry
        )
        self._epoch = Gauge("hookline_proxy_epoch", "The topology's epoch.", registry=registry)
        self._conflicts = Gauge(
            "hookline_proxy_topology_conflicts", "Other topologies seen with our epoch.", registry=registry
        )
        self._move_state = Gauge(
            "hookline_proxy_move_state", "1 for how a change of the topology goes on.", ["state"], registry=registry
        )
        self._move_jobs = Gauge(
            "hookline_proxy_move_jobs",
            "Jobs that a change of the topology moves, moved and left.",
            ["source", "target", "progress"],
            registry=registry,
        )
        self._move_schedules = Gauge(
            "hookline_proxy_move_schedules", "Likewise schedules.", ["source", "target", "progress"], registry=registry
        )
        # ``labels()`` costs more than counting: the children are kept.
        self._request_children: dict[tuple[str, str], Counter] = {}

    def called(self, cluster: str, outcome: str, added_s: float | None = None) -> None:
        """A call to a cluster ended; ``added_s`` when it was answered."""
        child = self._request_children.get((cluster, outcome))
        if child is None:
            child = self._request_children[cluster, outcome] = self._requests.labels(cluster, outcome)
        child.inc()
        if added_s is not None:
            self._added.observe(added_s)

    def gathered(self, jobs: int) -> None:
        """So many creates travelled together."""
        self._gathered.observe(jobs)

    def fell_back(self, cluster: str) -> None:
        """A call went to the next cluster, since this one surely did not take it."""
        self._fallbacks.labels(cluster).inc()

    def ambiguous(self, cluster: str) -> None:
        """A try got no answer."""
        self._ambiguous.labels(cluster).inc()

    def moving(self, status: TopologyStatus) -> None:
        """How far a change is. Of pairs beyond those that are shown, the sum."""
        for state in get_args(MoveState):
            self._move_state.labels(state).set(status.state == state)
        self._move_jobs.clear()
        self._move_schedules.clear()
        for place, pair in enumerate(status.pairs):
            names = (pair.source, pair.target) if place < _PAIRS_MAX else (_OTHERS, _OTHERS)
            self._move_jobs.labels(*names, "moved").inc(pair.jobs_moved)
            self._move_jobs.labels(*names, "left").inc(pair.jobs_left)
            self._move_schedules.labels(*names, "moved").inc(pair.schedules_moved)
            self._move_schedules.labels(*names, "left").inc(pair.schedules_left)

    def text(self, known: KnownTopology, health: KnownHealth, breakers: Mapping[str, CircuitBreaker]) -> bytes:
        """All of them in the Prometheus text format; states are read now, when somebody looks."""
        for gauge in (self._breaker, self._node_up, self._cluster_up):
            gauge.clear()
        for entry in known.topology.all_clusters():
            breaker = breakers.get(entry.name)
            for state in _BREAKER_STATES:
                is_in = state == (breaker.state if breaker else "closed")
                self._breaker.labels(entry.name, state).set(is_in)
            for url in entry.nodes:
                self._node_up.labels(entry.name, url).set(health.node(url).state == "up")
            self._cluster_up.labels(entry.name).set(health.cluster_state(entry) == "up")
        self._epoch.set(known.epoch)
        self._conflicts.set(known.conflicts)
        return generate_latest(self.registry)
