"""A node decides from its state, the charter, the log and its peers: every row of the page of cases."""

from dataclasses import replace
from typing import Any

import pytest

from hookline.node.identity import Anchor, Charter, Dispute, Log, Overruled, Own, Position, check_own, judge, rule

ID, OTHER = "a" * 32, "b" * 32
CHARTER = Charter(cluster_id=ID, cluster="c0", shard=0)
AGAIN = Charter(cluster_id=ID, cluster="c0", shard=0, generation=2, begins_after=40, digest="d40")
FOREIGN = Charter(cluster_id=OTHER, cluster="c0", shard=0)
OTHER_SHARD = Charter(cluster_id=ID, cluster="c0", shard=7)
NONCE, BEFORE = b"n" * 8, b"b" * 16
ANCHOR = Anchor(3, NONCE, BEFORE)


def position(applied: int, **more: Any) -> Position:
    usual: dict[str, Any] = {"node": "n1", "cluster_id": ID, "cluster": "c0", "generation": 1}
    return Position(**usual | {"applied": applied, "digest": f"d{applied}"} | more)


def own(applied: int, *, is_restored: bool = False, **more: Any) -> Own:
    return Own("c0", 0, position(applied, **more), NONCE, BEFORE, is_restored)


EMPTY = Own("c0", 0, Position(node="n1"))

CASES = {
    # what: own state, charter, log, peers, verdict, words
    "a new cluster that was not founded": (EMPTY, None, Log(), (), "halt", "cluster init"),
    "a new cluster": (EMPTY, CHARTER, Log(), (), "begin", ""),
    "an empty node joins": (EMPTY, CHARTER, Log(1, 50), (), "go on", ""),
    "an empty node joins late": (EMPTY, CHARTER, Log(20, 50), (), "install", "begins at entry 20"),
    "an empty node and a log begun anew": (EMPTY, AGAIN, Log(), (), "install", ""),
    "an empty node, a peer is ahead of the log": (EMPTY, CHARTER, Log(1, 5), (position(9),), "halt", "entries up to 9"),
    "the state is level": (own(50), CHARTER, Log(1, 50, ANCHOR), (), "go on", ""),
    "the state is behind": (own(30), CHARTER, Log(20, 50, ANCHOR), (), "go on", ""),
    "the state is just before the log": (own(19), CHARTER, Log(20, 50), (), "go on", ""),
    "the state is before the log": (own(18), CHARTER, Log(20, 50), (), "install", "begins at entry 20"),
    "etcd was emptied": (own(50), None, Log(), (), "halt", "was emptied"),
    "etcd was set back": (own(50), CHARTER, Log(1, 40), (), "halt", "ends at entry 40"),
    "etcd was set back under the other nodes": (
        *(own(30), CHARTER, Log(1, 40, ANCHOR), (position(50, node="n2"),)),
        *("halt", "n2 has entries up to 50"),
    ),
    "the log was cut off": (own(50), CHARTER, Log(), (), "halt", "ends at entry 0"),
    "the log was written anew": (own(50), CHARTER, Log(1, 60, replace(ANCHOR, nonce=b"x")), (), "halt", "not the one"),
    "the charter was removed": (own(50), None, Log(1, 50, ANCHOR), (), "halt", "not whose it is"),
    "another cluster's state": (own(50, cluster_id=OTHER), CHARTER, Log(1, 60, ANCHOR), (), "halt", "another cluster"),
    "the etcd of another cluster": (own(50), FOREIGN, Log(1, 60, ANCHOR), (), "halt", "another cluster"),
    "the etcd of another shard": (EMPTY, OTHER_SHARD, Log(1, 60), (), "halt", "shard 7"),
    "a restored state, not founded": (own(40, is_restored=True), None, Log(), (), "halt", "restored from a backup"),
    "the state that was chosen": (own(40), AGAIN, Log(), (), "begin", ""),
    "the state that was chosen, level with it": (own(40), AGAIN, Log(41, 50), (), "go on", ""),
    "an older state than was chosen": (own(39), AGAIN, Log(41, 50), (), "install", "another"),
    "a newer state than was chosen": (own(44), AGAIN, Log(41, 50, ANCHOR), (), "install", "another"),
    "another state at the index that was chosen": (own(40, digest="x"), AGAIN, Log(), (), "install", "not it"),
    "a state of after the recovery, etcd of before": (
        own(60, generation=2),
        CHARTER,
        Log(1, 50),
        (),
        "halt",
        "set back",
    ),
    "a peer of an earlier generation is ahead": (
        *(own(60, generation=2), AGAIN, Log(41, 60, ANCHOR), (position(90, node="n2"),)),
        *("go on", ""),
    ),
    "the state was made in another way": (
        *(own(50), CHARTER, Log(1, 50, replace(ANCHOR, before=b"x")), ()),
        *("install", "differs"),
    ),
    "the leader was overruled, with us": (
        *(own(50), CHARTER, Log(1, 50, replace(ANCHOR, before=b"x"), (Overruled(3, 45),)), ()),
        *("go on", ""),
    ),
    "the leader was overruled, against us": (
        *(own(50), CHARTER, Log(1, 50, ANCHOR, (Overruled(3, 45),)), ()),
        *("install", "odd one out"),
    ),
    "the leader was overruled later": (own(44), CHARTER, Log(1, 50, ANCHOR, (Overruled(3, 45),)), (), "go on", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_node_decides_each_case(case: str) -> None:
    state, charter, log, peers, kind, words = CASES[case]
    verdict = judge(state, charter, log, peers)
    assert verdict.kind == kind, verdict.why
    assert words in verdict.why


@pytest.mark.parametrize("case", [case for case, row in CASES.items() if row[4] == "halt"])
def test_who_waits_for_a_person_says_what_is_what_and_how_to_go_on(case: str) -> None:
    state, charter, log, peers, _, _ = CASES[case]
    why = judge(state, charter, log, peers).why
    assert any(way in why for way in ("hookline cluster", "docs/how-to/", "Start the node", "Start it"))


def test_only_a_state_that_is_surely_behind_is_not_kept_aside() -> None:
    dropped = {
        case
        for case, (state, charter, log, peers, kind, _) in CASES.items()
        if kind == "install" and not judge(state, charter, log, peers).keeps
    }
    assert dropped == {"an empty node joins late", "an empty node and a log begun anew", "the state is before the log"}


@pytest.mark.parametrize(("cluster", "shard"), [("c1", 0), ("c0", 1)])
def test_a_directory_of_another_cluster_or_shard_is_refused_whatever_the_log_says(cluster: str, shard: int) -> None:
    wrong = Own(cluster, shard, position(5))
    assert "was started as" in (check_own(wrong) or "")
    assert judge(wrong, CHARTER, Log(1, 5, ANCHOR)).kind == "halt"
    assert check_own(own(5)) is None
    assert check_own(replace(EMPTY, cluster="c1")) is None


@pytest.mark.parametrize(
    ("own_digest", "votes", "nodes", "author", "ruling"),
    [
        ("x", {}, 3, "n2", "open"),
        ("x", {"n3": "x"}, 3, "n2", "mine"),
        ("x", {"n3": "w"}, 3, "n2", "odd"),
        ("x", {"n3": "y"}, 3, "n2", "open"),
        ("x", {"n2": "w", "n3": "w"}, 3, None, "odd"),
        ("x", {"n3": "w"}, 3, None, "open"),
        ("x", {"n1": "w", "n3": "x"}, 3, "n2", "mine"),
        ("x", {}, 1, None, "open"),
        ("x", {}, 2, "n2", "open"),
        ("x", {"n3": "x", "n4": "w"}, 5, "n2", "open"),
        ("x", {"n3": "x", "n4": "x"}, 5, "n2", "mine"),
    ],
)
def test_two_against_one_the_odd_one_is_the_odd_one(
    own_digest: str, votes: dict[str, str], nodes: int, author: str | None, ruling: str
) -> None:
    """n1 disputes an entry that n2, if it is known, wrote for a state with digest w."""
    assert rule(Dispute(7, own_digest, "w", author), "n1", nodes, votes) == ruling
