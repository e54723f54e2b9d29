"""A cluster goes on with one log when a person has chosen a state."""

from dataclasses import replace

import pytest

from hookline.errors import InvalidConfig
from hookline.node.history.recovery import Candidate, plan_recovery
from hookline.node.identity import Charter, Log, Position

ID, OTHER = "a" * 32, "b" * 32


def candidate(node: str, applied: int, *, generation: int = 1, cluster_id: str = ID, waits: bool = True) -> Candidate:
    position = Position(
        node=node, cluster_id=cluster_id, cluster="c0", generation=generation, applied=applied, digest=f"d{applied}"
    )
    return Candidate(position, waits)


CHARTER = Charter(cluster_id=ID, cluster="c0", shard=0)
SILENT = replace(candidate("n2", 40), answers=False)
EMPTY = Candidate(Position(node="n3"), is_waiting=True)


def test_the_log_begins_anew_behind_the_chosen_state() -> None:
    planned = plan_recovery(candidate("n1", 50), [candidate("n2", 50), EMPTY], None, Log(), force=False)
    assert planned == Charter(cluster_id=ID, cluster="c0", shard=0, generation=2, begins_after=50, digest="d50")


def test_its_generation_is_newer_than_any_that_is_known() -> None:
    charter = Charter(cluster_id=ID, cluster="c0", shard=0, generation=4)
    others = [candidate("n2", 9, generation=6)]
    assert plan_recovery(candidate("n1", 50), others, charter, Log(), force=True).generation == 7


@pytest.mark.parametrize(
    ("chosen", "others", "charter", "log", "words"),
    [
        (EMPTY, [candidate("n1", 50)], None, Log(), "has no state"),
        (candidate("n1", 50), [candidate("n2", 51)], None, Log(), "Choose n2"),
        (candidate("n1", 50), [candidate("n2", 3, generation=2)], None, Log(), "Choose n2"),
        (candidate("n1", 50, waits=False), [], CHARTER, Log(1, 50), "nothing to recover"),
        (candidate("n1", 50), [SILENT], CHARTER, Log(1, 50), "n2 does not answer.* entry 40"),
        (candidate("n1", 50), [SILENT, candidate("n3", 51)], CHARTER, Log(1, 50), "Choose n3"),
        (candidate("n1", 50), [], CHARTER, Log(1, 60), "goes up to entry 60"),
        (candidate("n1", 50), [], Charter(cluster_id=OTHER, cluster="c0", shard=0), Log(1, 3), "another cluster"),
    ],
)
def test_a_choice_that_leaves_something_behind_is_refused(
    chosen: Candidate, others: list[Candidate], charter: Charter | None, log: Log, words: str
) -> None:
    with pytest.raises(InvalidConfig, match=words):
        plan_recovery(chosen, others, charter, log, force=False)
    if chosen is not EMPTY:
        assert plan_recovery(chosen, others, charter, log, force=True).begins_after == chosen.position.applied


@pytest.mark.parametrize("other", [candidate("n2", 40), candidate("n2", 900, cluster_id=OTHER), EMPTY])
def test_a_node_with_less_or_of_another_cluster_has_no_say(other: Candidate) -> None:
    assert plan_recovery(candidate("n1", 50), [other], CHARTER, Log(1, 40), force=False).begins_after == 50


def test_a_log_of_another_cluster_that_took_nothing_is_forgotten() -> None:
    charter = Charter(cluster_id=OTHER, cluster="c0", shard=0)
    assert plan_recovery(candidate("n1", 50), [], charter, Log(), force=False).cluster_id == ID
