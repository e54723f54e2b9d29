"""The metrics of a proxy: what is counted, and what is read when somebody looks."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hookline.errors import ClusterUnavailable, DeadlineExceeded
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol.breaker import CircuitBreaker
from hookline.protocol.http_moves import PairStatus, TopologyStatus
from hookline.protocol.topology import Placement, Topology
from hookline.proxy.assembly import ProxyParts, build
from hookline.proxy.config import ProxyConfig
from hookline.proxy.known_topology import KnownTopology
from hookline.testing import virtual_time
from tests.proxy_parts import C0, C1, LoopClock, Script, ScriptedSender, all_of_them, problem

CREATE = NodeCall("POST", "/jobs", body=b"{}")
Figures = dict[str, float]


class Watched:
    """A proxy's metrics with what they are read from."""

    def __init__(self, script: Script = lambda url, call: NodeAnswer(201), previous: Placement | None = None) -> None:
        self.known = KnownTopology(Topology(epoch=3, clusters=(C0, C1), previous=previous))
        config = ProxyConfig(topology=Path("t.toml"))
        proxy = build(ProxyParts(config, LoopClock(), ScriptedSender(script), self.known))
        self.metrics, self.health, self.forwarder = proxy.metrics, proxy.health, proxy.forwarder

    def figures(self) -> Figures:
        """``name{label,…}`` to value."""
        self.metrics.states(self.known, self.health, self.forwarder.breakers)
        text, _ = self.metrics.shown("")
        found = {}
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                labels = ",".join(sample.labels.values())
                found[sample.name.removeprefix("hookline_proxy_") + (f"{{{labels}}}" if labels else "")] = sample.value
        return found

    def submit(self, deadline_ms: float = 10_000) -> None:
        """One call, to c0 or else to c1."""
        call = self.forwarder.submit(all_of_them, lambda _: CREATE, deadline_ms)
        virtual_time.run(call)


def test_before_anything_happened() -> None:
    figures = Watched().figures()
    assert (figures["epoch"], figures["topology_conflicts"], figures["in_flight"]) == (3, 0, 0)
    for cluster in ("c0", "c1"):
        states = [figures[f"breaker_state{{{cluster},{state}}}"] for state in ("closed", "half_open", "open")]
        assert states == [1, 0, 0]
        assert figures[f"cluster_up{{{cluster}}}"] == 0, "unknown is not up"
    assert [figures[f"node_up{{c0,{url}}}"] for url in C0.nodes] == [0, 0]


def test_a_change_is_told_by_pair_and_the_pairs_are_bounded() -> None:
    watched = Watched()
    pairs = [PairStatus(f"c{number}", "c999", 10, 1, 2, 3) for number in range(203)]
    watched.metrics.moving(TopologyStatus(3, "aborting", pairs))
    figures = watched.figures()
    assert [figures[f"move_state{{{state}}}"] for state in ("stable", "moving", "paused", "aborting")] == [0, 0, 0, 1]
    told = {name: figures[f"move_jobs{{moved,{name},c999}}"] for name in ("c0", "c199")}
    assert told == {"c0": 10, "c199": 10}
    assert "move_jobs{moved,c200,c999}" not in figures
    assert (figures["move_jobs{moved,others,others}"], figures["move_jobs{left,others,others}"]) == (30, 3)
    assert (figures["move_schedules{moved,c0,c999}"], figures["move_schedules{left,c0,c999}"]) == (2, 3)
    watched.metrics.moving(TopologyStatus(4, "stable"))
    assert [name for name in watched.figures() if name.startswith(("move_jobs", "move_schedules"))] == []


def test_calls_are_counted_by_cluster_and_outcome() -> None:
    watched = Watched()
    watched.submit()
    watched.submit()
    figures = watched.figures()
    assert figures["requests_total{c0,2xx}"] == 2
    assert "requests_total{c1,2xx}" not in figures
    assert figures["added_latency_seconds_count"] == 2


def test_what_the_proxy_added_is_without_what_the_node_took() -> None:
    """The first node refuses, which takes 1 ms as every scripted answer does; only that is the proxy's."""
    watched = Watched(lambda url, call: NodeAnswer(201) if url == C0.nodes[1] else problem(503, "shutting_down"))
    watched.submit()
    figures = watched.figures()
    assert figures["added_latency_seconds_sum"] == pytest.approx(0.001)
    assert figures["retries_total{c0}"] == 1
    assert figures["added_latency_seconds_bucket{0.0005}"] == 0
    assert figures["added_latency_seconds_bucket{0.002}"] == 1


def test_a_call_that_goes_on_to_the_next_cluster() -> None:
    watched = Watched(lambda url, call: NotSent if url in C0.nodes else NodeAnswer(201))
    watched.submit()
    figures = watched.figures()
    assert figures["fallbacks_total{c0}"] == 1
    assert (figures["requests_total{c0,cluster_unavailable}"], figures["requests_total{c1,2xx}"]) == (1, 1)
    assert figures["added_latency_seconds_count"] == 1, "only an answer has a latency"
    assert "ambiguous_failures_total{c0}" not in figures, "nothing was sent"


def test_tries_without_an_answer() -> None:
    watched = Watched(lambda url, call: Unclear)
    with pytest.raises(DeadlineExceeded):
        watched.submit()
    figures = watched.figures()
    assert figures["ambiguous_failures_total{c0}"] == ProxyConfig(topology=Path()).tries_max
    assert figures["requests_total{c0,deadline_exceeded}"] == 1
    assert "fallbacks_total{c0}" not in figures


def test_a_call_that_was_cancelled() -> None:
    watched = Watched(lambda url, call: 0.0)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watched.forwarder.to_cluster(C0, CREATE, 60_000), 1)

    virtual_time.run(main())
    assert watched.figures()["requests_total{c0,cancelled}"] == 1


def test_states_are_those_of_now() -> None:
    watched = Watched()
    watched.health.order(C1)
    watched.health.probed(C1.nodes[0], is_ready=True, name="n1", role="leader")
    figures = watched.figures()
    assert (figures["node_up{c1,http://b:1}"], figures["cluster_up{c1}"], figures["cluster_up{c0}"]) == (1, 1, 0)
    watched.health.failed(C1.nodes[0])
    watched.forwarder.breakers["c1"] = CircuitBreaker(state="open")
    figures = watched.figures()
    assert (figures["node_up{c1,http://b:1}"], figures["cluster_up{c1}"]) == (0, 0)
    assert (figures["breaker_state{c1,open}"], figures["breaker_state{c1,closed}"]) == (1, 0)


def test_the_breaker_that_opens_is_seen() -> None:
    watched = Watched(lambda url, call: NotSent)

    async def main() -> None:
        for _ in range(6):
            with pytest.raises(ClusterUnavailable):
                await watched.forwarder.to_cluster(C1, CREATE, 100_000)

    virtual_time.run(main())
    figures = watched.figures()
    assert figures["breaker_state{c1,open}"] == 1
    assert figures["requests_total{c1,cluster_unavailable}"] == 6, "also one that was not sent"


def test_clusters_that_are_gone_leave_no_state_behind() -> None:
    watched = Watched(previous=Placement(strategy="modulo", clusters=(C0, C1)))
    watched.figures()
    watched.known.learn(Topology(epoch=4, clusters=(C0,)))
    watched.known.learn(Topology(epoch=4, clusters=(C1,)))
    figures = watched.figures()
    assert (figures["epoch"], figures["topology_conflicts"]) == (4, 1)
    assert not [name for name in figures if "c1" in name]


def test_each_proxy_has_its_own() -> None:
    one, other = Watched(), Watched()
    one.submit()
    one.metrics.rejections.labels("overloaded").inc()
    assert one.figures()["rejections_total{overloaded}"] == 1
    assert "rejections_total{overloaded}" not in other.figures()
    assert other.figures()["added_latency_seconds_count"] == 0
