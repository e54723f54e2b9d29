"""The overview's pure parts: what charts show, and what needs attention."""

import pytest

from hookline.client.answers import (
    Breaker,
    ClockView,
    Cluster,
    ClusterFigures,
    ClusterHealth,
    ClusterList,
    Destination,
    Health,
    NodeState,
    NodeView,
    Usage,
)
from hookline.dashboard.attention import concerns_of
from hookline.dashboard.history import ChartHistory, quantile

NODE = NodeView("n1", "http://n1", "leader", 1, 1, "0.1.0")


def cluster(name: str = "c0", good: int = 0, bad: int = 0, lags: tuple[int, ...] = (0, 0, 0), **jobs: int) -> Cluster:
    attempts = {"success": good, "retryable_failure": bad, "permanent_failure": 0, "unknown": 0}
    figures = ClusterFigures({"pending": 0, "running": 0, "dead": 0} | jobs, attempts, 3, 100, [10, 100], list(lags))
    return Cluster(name, 0, 1, "n1", [NODE], figures=figures)


def test_rates_are_what_was_added_since_the_sample_before() -> None:
    history = ChartHistory()
    first = history.take(ClusterList([cluster(good=5, pending=2, running=1)]), 10)
    assert (first.good, first.backlog, first.running, first.slots) == (None, 3, 3, 100)
    second = history.take(ClusterList([cluster(good=25, bad=10, lags=(30, 0, 0)), cluster("c1", good=99)]), 12)
    assert (second.good, second.bad) == (10, 5), "a cluster that is new is not counted before its second sample"
    assert history.success_rate(11) == pytest.approx(2 / 3)
    assert history.success_rate(13) is None


def test_a_new_leader_counts_from_the_beginning() -> None:
    history = ChartHistory()
    history.take(ClusterList([cluster(good=1_000, lags=(900, 0, 0))]), 10)
    after = history.take(ClusterList([cluster(good=4, lags=(4, 0, 0))]), 11)
    assert after.good == 4
    assert after.p50 == 5


def test_a_cluster_that_is_away_for_a_while_makes_no_peak() -> None:
    history = ChartHistory()
    history.take(ClusterList([cluster(good=10)]), 10)
    assert history.take(ClusterList([], incomplete=["c0"]), 11).good is None
    assert history.take(ClusterList([cluster(good=5_000)]), 12).good is None


def test_the_newest_samples_are_kept() -> None:
    history = ChartHistory()
    for second in range(700):
        history.take(ClusterList([cluster(good=second)]), second)
    assert len(history.samples) == 600
    assert history.is_older_than(699.5)
    assert not history.is_older_than(699)


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [([10, 0, 0], 0.5, 5), ([10, 10, 0], 0.75, 55), ([0, 0, 4], 0.99, 100), ([0, 0, 0], 0.5, None), ([], 0.5, None)],
)
def test_quantiles_are_read_from_buckets(counts: list[int], share: float, value: float | None) -> None:
    assert quantile([10, 100] if counts else [], counts, share) == value


def destination(state: str = "closed", *, paused: bool = False, waiting: int = 0) -> Destination:
    breaker = Breaker(state, None)  # type: ignore[arg-type]
    return Destination("https://a.example:443", None, None, paused, breaker, 0, waiting, 0)


def test_where_all_is_well_there_is_nothing_to_say() -> None:
    assert (
        concerns_of(Health("ok", "leader"), ClusterList([cluster()]), [destination(), destination(paused=True)]) == []
    )


def test_what_needs_attention_is_said_in_words_the_worst_first() -> None:
    lost = Cluster("c1", 1, 1, None, [NodeView("n2", "http://n2", "halted", 1, 1, "0.1.0", halted="its log is lost")])
    odd_clock = Cluster("c2", 2, 1, "n1", [NODE], clock=ClockView(False, None, "it jumped"))
    health = Health(
        "ok",
        "proxy",
        usage={"pending_jobs": Usage(900, 1_000), "slots": Usage(100, 100)},
        clusters=[ClusterHealth("c3", "down", "open", None, [NodeState("http://n9", "down")])],
    )
    clusters = ClusterList([cluster(dead=2), lost, odd_clock], ["c3"], {"c3": "no node answers"})
    found = concerns_of(health, clusters, [destination("open", waiting=1), destination(paused=True, waiting=2)])
    assert [one.text for one in found if one.tone == "bad"] == [
        "Calls to the cluster c3 fail, so its breaker lets none through.",
        "The cluster c3 cannot be reached: no node answers",
        "Nobody leads the cluster c1; its jobs wait.",
        "The node n2 of c1 waits for a person: its log is lost",
        "https://a.example:443 fails, so its breaker holds jobs back: 1 job waits.",
    ]
    assert [one.text for one in found if one.tone != "bad"] == [
        "Of pending jobs 900 are used, which is 90 % of what is allowed.",
        "The node http://n9 of c3 does not answer.",
        "A clock of c2 is not believed: it jumped",
        "https://a.example:443 is paused: 2 jobs wait.",
        "2 jobs are dead: look why, and try them again.",
    ]
    assert [one.tone for one in found] == sorted((one.tone for one in found), key=lambda tone: tone != "bad")
