"""The metrics of a proxy. Names and meanings: docs/reference/metrics.md."""

from collections.abc import Mapping
from typing import get_args

from hookline.protocol.breaker import CircuitBreaker
from hookline.protocol.http_moves import MoveState, TopologyStatus
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology
from hookline.telemetry.process_metrics import ProcessMetrics

_ADDED_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
_GATHERED_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
_PAIRS_MAX = 200  # of clusters, each on its own; a thousand clusters have a million pairs
_OTHERS = "others"
_BREAKER_STATES = ("closed", "half_open", "open")


class ProxyMetrics(ProcessMetrics):
    """The metrics of one proxy."""

    def __init__(self) -> None:
        super().__init__()
        self._tell_of_calls()
        self._tell_of_clusters()
        self._tell_of_the_topology()

    def _tell_of_calls(self) -> None:
        new = self.registry
        self._requests = new.tallies(
            "hookline_proxy_requests",
            "Calls to clusters by outcome: `2xx` to `5xx`, `cluster_unavailable`, `deadline_exceeded`, `stale_route`, "
            "`cancelled`.",
            "cluster",
            "outcome",
        )
        self._added = new.spread(
            "hookline_proxy_added_latency_seconds",
            "What the proxy added to a call: all but the time the node took for the answer that counted.",
            _ADDED_BUCKETS,
        )
        self._gathered = new.spread(
            "hookline_proxy_gathered_jobs",
            "Creates that travelled to a node together, per call; 1: alone.",
            _GATHERED_BUCKETS,
        )
        self.rejections = new.tallies(
            "hookline_proxy_rejections", "Calls that the proxy refused itself, by error code.", "code"
        )
        self.in_flight = new.gauge("hookline_proxy_in_flight", "Requests under way.")
        self._retries = new.tallies(
            "hookline_proxy_retries", "Further tries of calls on the same cluster, after the first.", "cluster"
        )
        self._fallbacks = new.tallies(
            "hookline_proxy_fallbacks",
            "Calls that left this cluster for the next, since it surely did not take them.",
            "cluster",
        )
        self._ambiguous = new.tallies("hookline_proxy_ambiguous_failures", "Tries that got no answer.", "cluster")

    def _tell_of_clusters(self) -> None:
        new = self.registry
        self._breaker = new.gauge(
            "hookline_proxy_breaker_state",
            "1 for the state that the cluster's breaker is in: `closed`, `half_open`, `open`.",
            "cluster",
            "state",
        )
        self._node_up = new.gauge("hookline_proxy_node_up", "1 when the node answered last.", "cluster", "node")
        self._cluster_up = new.gauge(
            "hookline_proxy_cluster_up", "1 when a node of the cluster takes requests.", "cluster"
        )

    def _tell_of_the_topology(self) -> None:
        new = self.registry
        self._epoch = new.gauge("hookline_proxy_epoch", "The topology's epoch.")
        self._conflicts = new.gauge(
            "hookline_proxy_topology_conflicts",
            "Other topologies met with the same epoch, of which nobody said which one holds, and a file that lost; "
            "must stay 0.",
        )
        self._move_state = new.gauge(
            "hookline_proxy_move_state",
            "1 for how a change of the topology goes on: `stable` (there is none), `moving`, `paused`, `aborting`.",
            "state",
        )
        self._move_jobs = new.gauge(
            "hookline_proxy_move_jobs",
            "Jobs of a change that is under way, by the clusters they move between: `moved`, `left`; all pairs beyond "
            "the first 200 are `others`.",
            "source",
            "target",
            "progress",
        )
        self._move_schedules = new.gauge(
            "hookline_proxy_move_schedules", "Likewise schedules.", "source", "target", "progress"
        )

    def called(self, cluster: str, outcome: str, added_s: float | None = None) -> None:
        """A call to a cluster ended; ``added_s`` when it was answered."""
        self._requests.labels(cluster, outcome).inc()
        if added_s is not None:
            self._added.observe(added_s)

    def gathered(self, jobs: int) -> None:
        """So many creates travelled together."""
        self._gathered.observe(jobs)

    def retried(self, cluster: str) -> None:
        """A call is tried again there."""
        self._retries.labels(cluster).inc()

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
            self._move_schedules.labels(*names, "moved").inc(pair.schedules_moved)
            if not pair.counting:  # else nobody knows, and zero would be taken for an end
                self._move_jobs.labels(*names, "left").inc(pair.jobs_left)
                self._move_schedules.labels(*names, "left").inc(pair.schedules_left)

    def states(self, known: KnownTopology, health: KnownHealth, breakers: Mapping[str, CircuitBreaker]) -> None:
        """The states as they are, when somebody looks."""
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
