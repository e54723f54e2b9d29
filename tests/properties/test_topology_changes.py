"""An id is where it was or where the change puts it, whatever operators propose, and both homes are known."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from hookline.errors import HooklineError
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry, Placement, Strategy, Topology
from hookline.protocol.topology_change import check_change, completed, is_completed, placement_of, same_homes

ENTRIES = tuple(ClusterEntry(name=f"c{n}", shard=n, nodes=(f"http://c{n}:1",)) for n in range(3))
NAMES = [f"order-{number}" for number in range(40)]
STRATEGIES: tuple[Strategy, ...] = ("modulo", "ring")

clusters = st.lists(st.sampled_from(ENTRIES), min_size=1, max_size=3, unique=True).map(tuple)
placements = st.builds(
    lambda strategy, those: Placement(strategy=strategy, clusters=those), st.sampled_from(STRATEGIES), clusters
)
Draw = Callable[[Topology], Topology]


def proposal(step: int, placement: Placement, previous: str) -> Draw:
    """Some document, made by somebody who sees the topology in force."""

    def make(old: Topology) -> Topology:
        place, before = placement, None
        if previous == "closing":
            place = placement_of(old)
        elif previous == "back" and old.previous is not None:
            place, before = old.previous, placement_of(old)
        elif previous == "in force":
            before = placement_of(old)
        elif previous == "same":
            before = old.previous
        return Topology(epoch=old.epoch + step, strategy=place.strategy, clusters=place.clusters, previous=before)

    return make


proposals = st.builds(
    proposal,
    st.sampled_from([0, 1, 1, 1, 1, 2]),
    placements,
    st.sampled_from(["none", "in force", "same", "closing", "back"]),
)


def homes(router: Router, name: str) -> set[str]:
    """Names the clusters where a proxy looks for it, and asks before it is created."""
    previous = router.previous_home(name, is_key=True)
    return {router.key_home(name).cluster.name} | ({previous.cluster.name} if previous else set())


@given(placements, st.lists(proposals, max_size=8))
def test_no_chain_of_changes_forgets_a_home(first: Placement, drawn: list[Draw]) -> None:
    now = Topology(epoch=1, strategy=first.strategy, clusters=first.clusters)
    made = {name: homes(Router(now), name) for name in NAMES}  # where it may have been made since the last end
    for draw in drawn:
        new = completed(now, draw(now))
        try:
            check_change(now, new)
        except HooklineError:
            continue
        assert new.epoch == now.epoch + 1
        now, router = new, Router(new)
        for name in NAMES:
            home = router.key_home(name).cluster.name
            made[name] = {home} if now.previous is None else made[name] | {home}
            assert made[name] <= homes(router, name)


@given(placements, placements)
def test_homes_are_called_the_same_only_if_they_are(one: Placement, other: Placement) -> None:
    routers = [Router(Topology(epoch=1, strategy=it.strategy, clusters=it.clusters)) for it in (one, other)]
    if same_homes(one, other):
        assert all(routers[0].key_home(name).cluster == routers[1].key_home(name).cluster for name in NAMES)


@given(placements, proposals)
def test_what_a_proxy_completes_is_taken_and_known_again(first: Placement, draw: Draw) -> None:
    old = Topology(epoch=1, strategy=first.strategy, clusters=first.clusters)
    given_one = draw(old)
    whole = completed(old, given_one)
    assert is_completed(given_one, whole)
    assert completed(old, whole) == whole
    if given_one.epoch == 2:
        check_change(old, whole)
