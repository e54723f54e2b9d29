"""Changes of the topology through a proxy: foreseen, watched, paused, taken back, ended."""

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.processes import until
from tests.integration.live_clusters import LiveClusters, status, until_stable
from tests.integration.proxy_under_test import JOB, FrontDoor

ROOT = "hlk_" + "r" * 40


def made_key(door: FrontDoor, scope: str, shown: dict[str, str]) -> str:
    made = door.post("/keys", {"name": scope, "scopes": [scope]}, **shown)
    assert made.status == 201, made
    key: str = made.json["key"]
    return key


def fill(door: FrontDoor, count: int, **headers: str) -> list[str]:
    """Jobs with ids of their own, far in the future."""
    names = [f"j{number}" for number in range(count)]
    batch = [{"id": name, **JOB} for name in names]
    assert {one["status"] for one in door.post("/jobs/batch", batch, **headers).json["results"]} == {201}
    return names


def homes(door: FrontDoor, names: list[str], **headers: str) -> set[str]:
    found = [door.get(f"/jobs/{name}", **headers) for name in names]
    assert {one.status for one in found} == {200}
    return {one.headers["hookline-cluster"] for one in found}


def stalled(fleet: LiveClusters, epoch: int, *names: str) -> dict[str, Any]:
    """A change of which nothing moves yet."""
    return fleet.topology(epoch, *names, move={"paused": True})


def test_a_cluster_joins_and_another_leaves(fleet: LiveClusters) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0"))
    names = fill(door, 40)
    assert status(door) | {"longest_freeze_ms": 0} == {
        "epoch": 1,
        "state": "stable",
        "pairs": [],
        "longest_freeze_ms": 0,
        "jobs_per_s": 0,
        "seconds_left": None,
        "waits_for": [],
        "unreachable": [],
        "can_be_switched_off": [],
    }
    applied = door.call("PUT", "/topology", fleet.topology(2, "c0", "c1"))
    assert applied.status == 200, applied
    assert "the change ends by itself when all have moved" in applied.json["notes"][0]
    until_stable(door, 3)
    assert homes(door, names) == {"c0", "c1"}
    assert door.get("/topology").json.get("previous") is None
    assert status(door)["can_be_switched_off"] == []
    assert door.call("PUT", "/topology", fleet.topology(4, "c1")).status == 200
    until_stable(door, 5)
    until(lambda: status(door)["can_be_switched_off"] == ["c0"], "c0 says so")
    assert homes(door, names) == {"c1"}
    assert door.get("/topology").json["retired"] == [0]
    gone = fleet.doors["c0"]
    assert "it can be switched off" in gone.get("/health").json["detail"]
    assert gone.get("/cluster").json["can_be_switched_off"] is True
    refused = door.call("PUT", "/topology", fleet.topology(6, "c0", "c1"))
    assert (refused.status, refused.code) == (400, "invalid_topology")
    assert "never used again" in refused.json["detail"]


def test_a_plan_counts_and_changes_nothing(fleet: LiveClusters) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0"))
    fill(door, 40)
    plan = door.post("/topology/plan", fleet.topology(2, "c0", "c1")).json
    assert (plan["epoch"], plan["problems"], plan["unreachable"]) == (2, [], [])
    (pair,) = plan["pairs"]
    assert (pair["from"], pair["to"]) == ("c0", "c1")
    assert plan["share"] == pair["share"] == pytest.approx(0.5, abs=0.05)
    assert 10 < pair["jobs"] == plan["jobs"] < 30
    assert pair["schedules"] == 0
    shares = {one["name"]: (one["share_before"], round(one["share_after"], 1)) for one in plan["clusters"]}
    assert shares == {"c0": (1.0, 0.5), "c1": (0.0, 0.5)}
    assert [one["pending"] for one in plan["clusters"]] == [40, None]
    assert (plan["jobs_per_s"], plan["is_measured"], plan["seconds"]) == (2_000, False, 1)
    assert "`previous` was added" in plan["notes"][0]
    slow = door.post("/topology/plan", fleet.topology(2, "c0", "c1", move={"rate": 2})).json
    assert (slow["jobs_per_s"], slow["seconds"]) == (2, -(-pair["jobs"] // 2))
    assert door.get("/topology").json["epoch"] == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"epoch": 7}, "invalid_topology"),
        ({"strategy": "ring", "previous": {"strategy": "ring", "cluster": "own"}}, "invalid_topology"),
    ],
)
def test_a_plan_says_what_would_be_refused(fleet: LiveClusters, change: dict[str, Any], code: str) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0"))
    document = fleet.topology(2, "c0", "c1") | change
    if "previous" in document:
        document["previous"]["cluster"] = document["cluster"]
    plan = door.post("/topology/plan", document)
    assert plan.status == 200, plan
    assert [one["code"] for one in plan.json["problems"]] == [code]
    assert plan.json["unreachable"] == [], "the clusters answer"
    assert door.post("/topology/plan", b"{").code == "invalid_topology"


def test_a_plan_says_which_ids_would_be_forgotten(fleet: LiveClusters) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0", "c1"))
    gone = [name for name in fill(door, 20) if "c1" in homes(door, [name])]
    for name in gone:
        assert door.post(f"/jobs/{name}/cancel").status == 200
    told = f"{len(gone)} finished jobs of c1 have ids that clients chose"
    notes = door.post("/topology/plan", fleet.topology(2, "c0")).json["notes"]
    assert [told in note for note in notes] == [False, True], "the first says that previous is added"
    kept = door.post("/topology/plan", fleet.topology(2, "c0", move={"with_finished": True})).json
    assert (kept["jobs"] >= len(gone), [told in note for note in kept["notes"]]) == (True, [False])


def test_a_plan_with_a_cluster_that_does_not_run_says_so(fleet: LiveClusters) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0"))
    fleet.stop("c1")
    (problem,) = door.post("/topology/plan", fleet.topology(2, "c0", "c1")).json["problems"]
    assert problem["detail"].startswith("no node of c1 answers at")


def test_a_change_is_paused_slowed_down_and_taken_back_and_forth(fleet: LiveClusters) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0"))
    names = fill(door, 40)
    assert door.call("PUT", "/topology", stalled(fleet, 2, "c0", "c1")).status == 200
    told = status(door)
    assert (told["epoch"], told["state"]) == (2, "paused")
    waits = [f"{name}: the change is paused" for name in ("c0", "c1")]
    until(lambda: status(door)["waits_for"] == waits, "both say so")
    (pair,) = status(door)["pairs"]
    assert (pair["counting"], pair["jobs_moved"], pair["jobs_left"] > 0) == (False, 0, True), (
        "it is counted all the same"
    )
    left = f'hookline_proxy_move_jobs{{progress="left",source="c0",target="c1"}} {pair["jobs_left"]}.0'
    assert left.encode() in door.get("/metrics").body
    assert b'hookline_proxy_move_state{state="paused"} 1.0' in door.get("/metrics").body
    assert door.post("/topology/pause").json["epoch"] == 2, "it is"
    resumed = door.post("/topology/resume", {"rate": 20}).json
    assert (resumed["epoch"], resumed["state"]) == (3, "moving")
    assert door.get("/topology").json["move"] == {"rate": 20}
    paused = door.post("/topology/pause").json
    assert (paused["epoch"], paused["state"]) == (4, "paused")
    assert door.get("/topology").json["move"] == {"paused": True, "rate": 20}
    back = door.post("/topology/abort").json
    assert (back["epoch"], back["state"]) == (5, "aborting")
    forth = door.post("/topology/abort").json
    assert (forth["epoch"], forth["state"]) == (6, "moving")
    back = door.post("/topology/abort").json
    assert (back["epoch"], back["state"]) == (7, "aborting")
    assert door.post("/topology/resume", {"rate": None}).json["epoch"] == 8
    until_stable(door, 9)
    assert homes(door, names) == {"c0"}
    assert [one["name"] for one in door.get("/topology").json["cluster"]] == ["c0"]
    assert door.get("/topology").json["retired"] == [1]


def test_what_finished_at_a_cluster_is_remembered_when_it_is_taken_back(fleet: LiveClusters) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0"))
    assert door.call("PUT", "/topology", stalled(fleet, 2, "c0", "c1")).status == 200
    names = fill(door, 20)
    assert "c1" in homes(door, names)
    for name in names:
        assert door.post(f"/jobs/{name}/cancel").status == 200
    assert door.post("/topology/abort").status == 200
    until_stable(door, 4)
    again = [door.post("/jobs", {"id": name, **JOB}) for name in names]
    assert {(one.status, one.json["state"]) for one in again} == {(200, "cancelled")}


def test_a_cluster_that_asks_for_no_keys_gets_nothing_of_a_fleet_with_keys(fleet: LiveClusters) -> None:
    shown = {"Authorization": f"Bearer {ROOT}"}
    door = fleet.open_proxy(fleet.topology(1, "c0"), root_key=ROOT)
    refused = door.call("PUT", "/topology", fleet.topology(2, "c0", "c1"), **shown)
    assert (refused.status, refused.code) == (400, "invalid_topology")
    assert "asks for no API keys" in refused.json["detail"]


def test_a_slow_change_moves_little_at_once(fleet: LiveClusters) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0"))
    fill(door, 40)
    assert door.call("PUT", "/topology", fleet.topology(2, "c0", "c1", move={"rate": 1})).status == 200
    seen: list[tuple[int, int]] = []

    def has_begun() -> bool:
        seen.append((sum(one["jobs_moved"] for one in status(door)["pairs"]), status(door)["epoch"]))
        return seen[-1][0] > 0

    until(has_begun, "something has moved")
    assert seen[-1][0] < 10, "not all of them as one batch"
    assert door.post("/topology/resume", {"rate": None}).status == 200
    until_stable(door, 4)


def test_what_cannot_be_is_refused(fleet: LiveClusters) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0"))
    for path in ("/topology/pause", "/topology/resume", "/topology/abort"):
        refused = door.post(path)
        assert (refused.status, refused.code) == (409, "nothing_moves")
    for body in ({"rate": 0}, {"rate": "fast"}, {"speed": 1}):
        assert door.post("/topology/resume", body).status == 400
    assert door.post("/topology/abort", {"rate": 1}).code == "invalid_json"


def test_a_change_does_not_end_before_everything_has_moved(fleet: LiveClusters) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0"))
    fill(door, 40)
    assert door.call("PUT", "/topology", stalled(fleet, 2, "c0", "c1")).status == 200
    refused = door.call("PUT", "/topology", fleet.topology(3, "c0", "c1"))
    assert (refused.status, refused.code) == (409, "move_open")
    assert "c0 has" in refused.json["detail"]
    assert [one["code"] for one in door.post("/topology/plan", fleet.topology(3, "c0", "c1")).json["problems"]] == [
        "move_open"
    ]
    fleet.stop("c1")
    refused = door.call("PUT", "/topology", fleet.topology(3, "c0", "c1"), Hookline_Timeout_Ms="2500")
    assert refused.code == "move_open"
    assert "c1 does not say how far it is" in refused.json["detail"]
    assert status(door)["unreachable"] == ["c1"]
    forced = door.call("PUT", "/topology?force=true", fleet.topology(3, "c0", "c1"))
    assert (forced.status, forced.json["epoch"]) == (200, 3)


def test_who_comes_second_is_told_who_came_first(fleet: LiveClusters) -> None:
    first = fleet.topology(1, "c0")
    one, two = fleet.open_proxy(first, probe_interval_ms=60_000), fleet.open_proxy(first, probe_interval_ms=60_000)
    assert one.call("PUT", "/topology", stalled(fleet, 2, "c0", "c1")).status == 200
    late = two.call("PUT", "/topology", fleet.topology(2, "c1"))
    assert (late.status, late.code, late.json["epoch"]) == (409, "epoch_taken", 2)
    assert "applied by somebody without a key from 127.0.0.1 at 20" in late.json["detail"]
    assert "(putTopology)" in late.json["detail"]


def test_the_load_is_measured(fleet: LiveClusters) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0", "c1", strategy="ring"))
    fill(door, 10)
    found = door.get("/topology/balance?seconds=1").json
    assert [(one["name"], one["weight"], one["weight_proposed"]) for one in found["clusters"]] == [
        ("c0", 1, 1),
        ("c1", 1, 1),
    ]
    assert sum(one["pending"] for one in found["clusters"]) == 10
    assert (found["proposal"], found["notes"]) == (None, ["there is too little work to tell"])
    for wrong in ("0", "21", "x", "1.5"):
        assert door.get(f"/topology/balance?seconds={wrong}").code == "invalid_request"


def test_all_of_it_works_where_each_call_needs_a_key(tmp_path: Path) -> None:
    shown = {"Authorization": f"Bearer {ROOT}"}
    fleet = LiveClusters(tmp_path, 2, root_key=ROOT)
    try:
        first = fleet.topology(1, "c0")
        door, late = (fleet.open_proxy(first, root_key=ROOT, probe_interval_ms=ms) for ms in (100, 60_000))
        for path in ("/topology/status", "/topology/balance"):
            assert door.get(path).status == 401
        reader = {"Authorization": f"Bearer {made_key(door, 'read', shown)}"}
        assert door.get("/topology/status", **reader).status == 200
        for path in ("plan", "pause", "resume", "abort"):
            assert door.post(f"/topology/{path}", b"", **reader).status == 403, path
        names = fill(door, 40, **shown)
        plan = door.post("/topology/plan", fleet.topology(2, "c0", "c1"), **shown).json
        assert (plan["problems"], plan["unreachable"], plan["jobs"] > 0) == ([], [], True)
        assert door.call("PUT", "/topology", stalled(fleet, 2, "c0", "c1"), **shown).status == 200
        taken = late.call("PUT", "/topology", fleet.topology(2, "c1"), **shown)
        assert "applied by root from 127.0.0.1 at 20" in taken.json["detail"]
        assert door.post("/topology/resume", **shown).json["unreachable"] == []
        until_stable(door, 4, **shown)
        assert homes(door, names, **shown) == {"c0", "c1"}
        assert len(door.get("/topology/balance?seconds=1", **shown).json["clusters"]) == 2
    finally:
        fleet.close()
