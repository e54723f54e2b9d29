"""The order in which clusters are asked for something that may go anywhere."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry, Topology
from hookline.proxy.api.context import ProxyApi
from tests.proxy_parts import entries, topology


class Fitness:
    """A forwarder of which only this is asked; it counts how often."""

    def __init__(self, *unfit: str) -> None:
        self.unfit = unfit
        self.asked = 0

    def can_take_calls(self, cluster: ClusterEntry) -> bool:
        self.asked += 1
        return cluster.name not in self.unfit


def proxy(fitness: Fitness, seed: int = 1) -> ProxyApi:
    parts: Any = dict.fromkeys(("known", "health", "config", "metrics", "keys", "farewell"))
    return ProxyApi(forwarder=fitness, clock=Random(seed), **parts)  # type: ignore[arg-type]  # what it asks them for


def order(api: ProxyApi, router: Router) -> list[str]:
    total, clusters = api.candidates(router)
    found = [entry.name for entry in clusters]
    assert total == len(found) == len(set(found)) == len(router.topology.clusters)
    return found


@pytest.mark.parametrize("strategy", ["modulo", "ring"])
def test_each_is_the_first_one_as_often_as_its_weight_says_and_the_second(strategy: Any) -> None:
    weights = (1, 2, 5)
    router, api = Router(Topology(epoch=1, clusters=entries(*weights), strategy=strategy)), proxy(Fitness())
    orders = [order(api, router) for _ in range(6_000)]
    given = weights if strategy == "ring" else (1, 1, 1)
    first = Counter(names[0] for names in orders)
    for name, weight in zip(("c0", "c1", "c2"), given, strict=True):
        assert first[name] / 6_000 == pytest.approx(weight / sum(given), abs=0.03)
    second = Counter(names[1] for names in orders if names[0] == "c2")
    assert second["c1"] / second.total() == pytest.approx(given[1] / (given[0] + given[1]), abs=0.03)


def test_those_that_are_not_fit_come_last_and_their_share_goes_to_all_others() -> None:
    router, api = Router(topology(10)), proxy(Fitness(*(f"c{number}" for number in range(5))))
    orders = [order(api, router) for _ in range(3_000)]
    assert all({*names[:5]} == {"c5", "c6", "c7", "c8", "c9"} for names in orders)
    assert all(count / 3_000 == pytest.approx(0.2, abs=0.03) for count in Counter(it[0] for it in orders).values())


@pytest.mark.parametrize("clusters", [1, 2, 30])
def test_none_is_left_out_though_no_one_is_fit(clusters: int) -> None:
    router = Router(topology(clusters))
    assert len(order(proxy(Fitness(*(f"c{number}" for number in range(clusters)))), router)) == clusters


def test_of_a_thousand_one_is_asked_whether_it_is_fit() -> None:
    fitness = Fitness()
    next(iter(proxy(fitness).candidates(Router(topology(1_000))).clusters))
    assert fitness.asked == 1
