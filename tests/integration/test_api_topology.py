"""A cluster under a topology: epochs, homes of ids and keys, absence, deadlines, pages for proxies."""

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from hookline.node.state_machine.machine import StateMachine
from hookline.protocol.internal_http import MESSAGEPACK
from hookline.protocol.moves import Activation, Arrival, Batch, encode_batch
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry, Topology, digest_of
from tests.integration.conftest import StartNode
from tests.integration.node_under_test import Answer, NodeUnderTest

URL = "https://example.com/hook"
NIGHTLY = {"cron": "0 3 * * *", "job": {"url": URL}}


def document(epoch: int, *others: str, **members: Any) -> dict[str, Any]:
    names = ["c0", *others]
    clusters = [
        {"name": name, "shard": shard, "nodes": [f"http://{name}.example:7070"]} for shard, name in enumerate(names)
    ]
    return {"epoch": epoch, "cluster": clusters} | members


def put(node: NodeUnderTest, topology: dict[str, Any], *, query: str = "", **headers: str) -> Answer:
    """Ask the node to decide for it, or, with the header that says who did, give it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return node.call("PUT", f"/internal/topology{query}", topology, named)


def before(*others: str) -> dict[str, Any]:
    """As ``previous``."""
    return {"strategy": "modulo", "cluster": document(1, *others)["cluster"]}


def absence(node: NodeUnderTest, epoch: int, **asked: Any) -> Answer:
    return node.post("/internal/absence", asked, hookline_epoch=str(epoch))


def names_of(cluster: str, *, is_key: bool = False) -> list[str]:
    """Some ids or keys that have their home there, of two clusters."""
    entries = tuple(
        ClusterEntry(name=name, shard=shard, nodes=(f"http://{name}:1",)) for shard, name in enumerate(["c0", "c1"])
    )
    router = Router(Topology(epoch=1, clusters=entries))
    home: Callable[[str], Any] = router.key_home if is_key else router.new_home
    return [name for name in map("order-{}".format, range(40)) if home(name).cluster.name == cluster]


OURS, THEIRS = names_of("c0"), names_of("c1")
OUR_KEYS, THEIR_KEYS = names_of("c0", is_key=True), names_of("c1", is_key=True)


# --- the document -----------------------------------------------------------------------------------------------


def test_a_topology_is_put_got_and_survives_a_restart(start_node: StartNode) -> None:
    with start_node() as node:
        missing = node.get("/internal/topology")
        assert (missing.status, missing.code) == (404, "not_found")
        assert node.get("/health").json["epoch"] == 0
        first = put(node, document(3, "c1"))
        assert first.status == 200
        assert put(node, document(3, "c1")).body == first.body, "the same again is fine"
        assert node.get("/health").json["epoch"] == 3
    with start_node() as node:
        assert node.get("/internal/topology").body == first.body
        assert node.post("/jobs", {"id": THEIRS[0], "url": URL}).status == 421


def test_only_a_newer_topology_takes_the_place_of_another(node: NodeUnderTest) -> None:
    put(node, document(3, "c1"))
    taken = put(node, document(3, "c1", "c2"))
    assert (taken.status, taken.code) == (409, "epoch_taken")
    outdated = put(node, document(2, "c1", "c2"))
    assert (outdated.status, outdated.code) == (421, "misdirected")
    assert (outdated.json["epoch"], len(outdated.json["topology"]["cluster"])) == (3, 2)
    assert put(node, document(4, "c1", "c2", previous=before("c1"))).status == 200
    assert node.get("/internal/topology").json["epoch"] == 4


@pytest.mark.parametrize(
    ("clusters", "why"),
    [
        ([("c0", 5)], "its name has another shard"),
        ([("other", 0)], "its shard has another name"),
        ([("c0", 0), ("c1", 7)], "c1 had shard 1 before"),
        ([("c0", 0), ("c1", 1), ("c1", 2)], "a name twice"),
    ],
)
def test_a_topology_that_cannot_be_is_refused(node: NodeUnderTest, clusters: list[tuple[str, int]], why: str) -> None:
    put(node, document(1, "c1"))
    entries = [
        {"name": name, "shard": shard, "nodes": [f"http://h:{n + 1}"]} for n, (name, shard) in enumerate(clusters)
    ]
    answer = put(node, {"epoch": 2, "cluster": entries})
    assert (answer.status, answer.code) == (400, "invalid_topology"), why
    assert node.get("/health").json["epoch"] == 1


def test_a_cluster_may_be_left_out_and_is_then_no_home(node: NodeUnderTest) -> None:
    put(node, document(1, "c1"))
    gone = {"epoch": 2, "cluster": document(1, "c1")["cluster"][1:], "previous": before("c1")}
    assert put(node, gone).status == 200
    assert node.post("/jobs", {"id": OURS[0], "url": URL}).json["home"] == "c1"
    assert node.post("/jobs", {"url": URL}).status == 201


# --- who decides ------------------------------------------------------------------------------------------------


def test_the_smallest_shard_decides_and_tells_it(node: NodeUnderTest) -> None:
    put(node, document(1, "c1"))
    health = node.get("/health").json
    assert (health["epoch"], health["decided_by"], health["cluster"], health["shard"]) == (1, 0, "c0", 0)
    fetched = node.get("/internal/topology")
    assert health["topology"] == digest_of(fetched.body)
    assert fetched.headers["hookline-decided"] == "0"


def test_a_cluster_that_does_not_decide_takes_only_what_was_decided(start_node: StartNode) -> None:
    with start_node(cluster="c1", shard=1) as node:
        put(node, document(1, "c1"), hookline_decided="0")
        refused = put(node, document(2, "c1", strategy="ring", previous=before("c1")))
        assert (refused.status, refused.code) == (409, "not_decider")
        assert "c0 decides" in refused.json["detail"]
        assert put(node, document(2, "c1"), query="?force=true").status == 200
        assert node.get("/health").json["decided_by"] == 1


@pytest.mark.parametrize("text", ["", "x", "-1", "1" * 10])
def test_a_mark_that_is_none_is_refused(node: NodeUnderTest, text: str) -> None:
    assert put(node, document(1), hookline_decided=text).code == "invalid_request"


def test_a_cluster_that_was_away_may_be_given_a_later_one(node: NodeUnderTest) -> None:
    put(node, document(3, "c1"))
    node.call("PUT", "/internal/destinations", {"epoch": 9, "data": []})
    assert put(node, document(9, "c1", "c2"), hookline_decided="1").status == 200
    assert node.get("/health").json["decided_by"] == 1


def test_the_winner_of_an_epoch_takes_the_place_of_the_loser(node: NodeUnderTest) -> None:
    put(node, document(1, "c1"), hookline_decided="2")
    for loser in ("3", "unknown", "2"):
        taken = put(node, document(1, "c1", "c2"), hookline_decided=loser)
        assert (taken.status, taken.code) == (409, "epoch_taken")
    assert put(node, document(1, "c1", "c2"), hookline_decided="1").status == 200
    assert len(node.get("/internal/topology").json["cluster"]) == 3


def test_an_open_change_is_ended_before_the_next(node: NodeUnderTest) -> None:
    put(node, document(1, "c1"))
    put(node, document(2, "c1", "c2", previous=before("c1")))
    third = document(3, "c1", "c2", strategy="ring", previous=before("c1", "c2"))
    refused = put(node, third)
    assert (refused.status, refused.code) == (409, "change_open")
    assert put(node, document(3, "c1", "c2")).status == 200
    assert put(node, third | {"epoch": 4}).status == 200


def test_a_proposal_needs_the_topology_it_was_made_for(node: NodeUnderTest) -> None:
    put(node, document(1, "c1"))
    proposal = document(2, "c1", previous=before("c1"))
    digest = node.get("/health").json["topology"]
    assert put(node, proposal, hookline_epoch="2").code == "epoch_unknown"
    assert put(node, proposal, hookline_epoch="1", hookline_topology="f" * 16).code == "misdirected"
    assert put(node, proposal, hookline_epoch="1", hookline_topology=digest).status == 200
    assert put(node, proposal, hookline_epoch="1", hookline_topology=digest).status == 200, "the same again"


# --- epochs -----------------------------------------------------------------------------------------------------


CALLS = [
    ("POST", "/jobs", {"url": URL}),
    ("POST", "/jobs/batch", {"jobs": []}),
    ("POST", "/jobs/cancel", {}),
    ("GET", "/jobs", None),
    ("GET", "/jobs/x", None),
    ("POST", "/schedules", NIGHTLY),
    ("PUT", "/destinations/example.com", {"paused": True}),
    ("POST", "/internal/absence", {"id": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_a_call_under_another_epoch_is_refused(node: NodeUnderTest, method: str, path: str, body: object) -> None:
    early = node.call(method, path, body, {"hookline-epoch": "1"})
    assert (early.status, early.code, early.json["epoch"]) == (409, "epoch_unknown", 0)
    put(node, document(2, "c1"))
    before = node.stored()
    newer = node.call(method, path, body, {"hookline-epoch": "3"})
    assert (newer.status, newer.code, newer.json["epoch"]) == (409, "epoch_unknown", 2)
    older = node.call(method, path, body, {"hookline-epoch": "1"})
    assert (older.status, older.code, older.json["epoch"]) == (421, "misdirected", 2)
    assert older.json["topology"] == node.get("/internal/topology").json
    assert node.stored() == before
    assert node.call(method, path, body, {"hookline-epoch": "2"}).status in (200, 201, 404)


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_a_call_under_another_document_of_the_epoch_is_refused(
    node: NodeUnderTest, method: str, path: str, body: object
) -> None:
    put(node, document(2, "c1"))
    before_it = node.stored()
    other = node.call(method, path, body, {"hookline-epoch": "2", "hookline-topology": "f" * 16})
    assert (other.status, other.code, other.json["epoch"], other.json["decided_by"]) == (421, "misdirected", 2, 0)
    assert other.json["topology"] == node.get("/internal/topology").json
    assert other.json["digest"] == node.get("/health").json["topology"]
    assert node.stored() == before_it
    same = {"hookline-epoch": "2", "hookline-topology": other.json["digest"]}
    assert node.call(method, path, body, same).status in (200, 201, 404)


OF_PROXIES = [*CALLS, ("GET", "/cluster", None), ("PUT", "/internal/topology", document(1))]


@pytest.mark.parametrize(("method", "path", "body"), OF_PROXIES)
def test_a_call_for_another_cluster_is_refused(node: NodeUnderTest, method: str, path: str, body: object) -> None:
    stored = node.stored()
    refused = node.call(method, path, body, {"hookline-for-cluster": "c7"})
    assert (refused.status, refused.code) == (421, "wrong_cluster")
    assert "c7, and this is a node of c0" in refused.json["detail"]
    assert node.stored() == stored
    assert node.get("/health").json["epoch"] == 0


def test_an_epoch_that_is_none_is_refused(node: NodeUnderTest) -> None:
    for text in ("", "x", "-1", "1" * 17):
        assert node.call("GET", "/jobs", headers={"hookline-epoch": text}).code == "invalid_request", text


# --- homes ------------------------------------------------------------------------------------------------------


def test_a_job_is_created_at_its_home_only(node: NodeUnderTest) -> None:
    put(node, document(1, "c1"))
    for epoch in ({}, {"hookline_epoch": "1"}):
        answer = node.post("/jobs", {"id": THEIRS[0], "url": URL}, **epoch)
        assert (answer.status, answer.code, answer.json["home"]) == (421, "misdirected", "c1")
        assert ("topology" in answer.json) == bool(epoch)
        keyed = node.post("/jobs", {"url": URL}, Idempotency_Key=THEIR_KEYS[0], **epoch)
        assert (keyed.status, keyed.json["home"]) == (421, "c1")
    assert node.rows("SELECT count(*) FROM jobs") == [(0,)]
    assert node.post("/jobs", {"id": OURS[0], "url": URL}).status == 201
    assert node.post("/jobs", {"url": URL}, Idempotency_Key=OUR_KEYS[0]).status == 201
    assert node.post("/jobs", {"url": URL}).status == 201, "what is minted here is at home here"


def test_the_id_decides_when_there_is_a_key_too_and_a_hint_before_the_hash(node: NodeUnderTest) -> None:
    put(node, document(1, "c1"))
    assert node.post("/jobs", {"id": OURS[0], "url": URL}, Idempotency_Key=THEIR_KEYS[0]).status == 201
    minted = node.create()["id"]
    assert node.post("/jobs", {"id": minted[:-1] + "1", "url": URL}).json["home"] == "c1"
    assert node.post("/jobs", {"id": "1" + minted[1:], "url": URL}).status == 201


def test_the_client_may_allow_another_cluster(node: NodeUnderTest) -> None:
    put(node, document(1, "c1"))
    assert node.post("/jobs", {"id": THEIRS[0], "url": URL}, hookline_fallback="allow").status == 201
    assert node.post("/jobs", {"url": URL}, Idempotency_Key=THEIR_KEYS[0], hookline_fallback="allow").status == 201
    batch = node.post("/jobs/batch", {"jobs": [{"id": THEIRS[1], "url": URL}]}, hookline_fallback="allow")
    assert [result["status"] for result in batch.json["results"]] == [201]
    schedule = node.post("/schedules", NIGHTLY | {"id": THEIRS[0]}, hookline_fallback="allow")
    assert schedule.status == 201
    assert node.post("/jobs", {"id": THEIRS[2], "url": URL}, hookline_fallback="yes").status == 421


def test_each_item_of_a_batch_has_its_own_home(node: NodeUnderTest) -> None:
    put(node, document(1, "c1"))
    jobs = [{"id": OURS[0], "url": URL}, {"id": THEIRS[0], "url": URL}, {"url": URL}, {"url": "nonsense"}]
    results = node.post("/jobs/batch", {"jobs": jobs}).json["results"]
    assert [result["status"] for result in results] == [201, 421, 201, 400]
    assert (results[1]["error"]["code"], results[1]["error"]["home"]) == ("misdirected", "c1")


def test_a_schedule_has_a_home_too(node: NodeUnderTest) -> None:
    put(node, document(1, "c1"))
    answer = node.post("/schedules", NIGHTLY | {"id": THEIRS[0]})
    assert (answer.status, answer.json["home"]) == (421, "c1")
    assert node.post("/schedules", NIGHTLY | {"id": OURS[0]}).status == 201
    assert node.post("/schedules", NIGHTLY).status == 201


def test_a_newer_topology_is_obeyed_from_the_next_call_on(node: NodeUnderTest) -> None:
    put(node, document(1))
    assert node.post("/jobs", {"id": THEIRS[0], "url": URL}).status == 201
    put(node, document(2, "c1", previous=before()))
    assert node.post("/jobs", {"id": THEIRS[1], "url": URL}).status == 421


# --- absence ----------------------------------------------------------------------------------------------------


def test_absence_of_ids_and_keys(node: NodeUnderTest) -> None:
    put(node, document(1))
    node.post("/jobs", {"id": "a", "url": URL}, Idempotency_Key="k")
    node.post("/schedules", NIGHTLY | {"id": "nightly"})
    assert absence(node, 1, id="a").json == {"absent": False, "id": "a"}
    assert absence(node, 1, key="k").json == {"absent": False, "id": "a"}
    assert absence(node, 1, id=None, key="k", kind="job").json == {"absent": False, "id": "a"}
    assert absence(node, 1, id="b", key="k").json == {"absent": False, "id": "a"}, "as at creation: first the key"
    assert absence(node, 1, id="a", key="other").json == {"absent": False, "id": "a"}
    assert absence(node, 1, id="nightly", kind="schedule").json == {"absent": False, "id": "nightly"}
    for asked in ({"id": "nightly"}, {"id": "a", "kind": "schedule"}, {"key": "a"}, {"id": "b", "key": "l"}):
        assert absence(node, 1, **asked).json == {"absent": True}
    node.clock.shift_ms = node.config.key_window_ms + 1_000
    assert absence(node, 1, key="k").json == {"absent": True}, "its window is over"


def test_absence_is_asked_under_an_epoch_and_of_something(node: NodeUnderTest) -> None:
    assert absence(node, 0, id="a").code == "epoch_unknown", "without a topology nothing can be promised"
    put(node, document(1))
    assert node.post("/internal/absence", {"id": "a"}).code == "invalid_request"
    assert absence(node, 1).code == "invalid_request"
    assert absence(node, 1, key="k", kind="schedule").code == "invalid_request"
    assert absence(node, 1, id="no.dots").code == "invalid_id"


def test_absence_goes_through_the_log(node: NodeUnderTest) -> None:
    """Behind all that was proposed before, and it changes nothing."""
    put(node, document(1))
    applied = node.replica.applied
    assert absence(node, 1, id="a").json == {"absent": True}
    assert node.replica.applied == applied + 1
    assert node.get("/health").json["epoch"] == 1


def test_no_id_is_absent_there_and_created_later_by_a_call_that_was_under_way(node: NodeUnderTest) -> None:
    """The race a migration must survive: creates by clients that know no topology, while the id's home moves away."""
    put(node, document(1))
    moving = THEIRS[:15]
    created: dict[str, int] = {}

    def create_all() -> None:
        for job_id in moving:
            created[job_id] = node.post("/jobs", {"id": job_id, "url": URL}).status

    thread = threading.Thread(target=create_all)
    thread.start()
    put(node, document(2, "c1", previous=before()))
    said_absent = {job_id for job_id in moving if absence(node, 2, id=job_id).json["absent"]}
    thread.join(60)
    assert said_absent == {job_id for job_id, status in created.items() if status == 421}


# --- deadlines --------------------------------------------------------------------------------------------------


def test_a_call_ends_when_its_time_is_over(node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    real, may_commit = StateMachine.commit, threading.Event()

    def commit(machine: StateMachine) -> None:
        assert may_commit.wait(60)
        real(machine)

    monkeypatch.setattr(StateMachine, "commit", commit)
    try:
        answer = node.post("/jobs", {"id": "slow", "url": URL}, hookline_timeout_ms="30")
    finally:
        may_commit.set()
    assert (answer.status, answer.code) == (504, "deadline_exceeded")
    again = node.post("/jobs", {"id": "slow", "url": URL}, hookline_timeout_ms="9000")
    assert again.status == 200, "it was accepted all the same"


def test_a_time_that_is_none_is_refused(node: NodeUnderTest) -> None:
    for text in ("", "soon", "-1", "1.5", "1" * 10):
        assert node.call("GET", "/jobs", headers={"hookline-timeout-ms": text}).code == "invalid_request", text


# --- pages for proxies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "name"), [("/jobs", "id"), ("/schedules", "id"), ("/destinations", "host")])
def test_every_item_of_a_page_has_its_cursor(node: NodeUnderTest, path: str, name: str) -> None:
    for number in range(4):
        node.create(url=f"https://h{number}.example/")
        node.post("/schedules", NIGHTLY | {"id": f"s{number}"})
    assert "cursors" not in node.get(path).json
    page = node.call("GET", path, headers={"hookline-epoch": "0"}).json
    found = [item[name] for item in page["data"]]
    assert len(page["cursors"]) == len(found) >= 4
    for position, cursor in enumerate(page["cursors"], 1):
        rest = node.get(f"{path}?cursor={cursor}").json["data"]
        assert [item[name] for item in rest] == found[position:]


@pytest.mark.parametrize(("epoch", "status", "code"), [("1", 421, "misdirected"), ("3", 409, "epoch_unknown")])
def test_a_batch_that_moves_by_another_topology_is_not_kept(
    node: NodeUnderTest, epoch: str, status: int, code: str
) -> None:
    put(node, document(2, "c1"))

    def send(call: str, body: object, epoch: str = "2") -> Answer:
        headers: dict[str, str] = {"hookline-epoch": epoch, "content-type": MESSAGEPACK.decode()}
        return node.call("POST", f"/internal/moves/{call}", msgspec.msgpack.encode(body), headers)

    arrival, activation = Arrival("another", 1, encode_batch(Batch())), Activation("another", 1, (), ())
    answer = send("arrivals", arrival, epoch)
    assert (answer.status, answer.code, answer.json["epoch"]) == (status, code, 2)
    assert send("activations", activation).code == "batch_unknown"
    assert send("arrivals", arrival).status == 200
    assert send("activations", activation).status == 200
