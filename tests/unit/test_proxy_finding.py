"""A proxy looks for a job: it asks some clusters, and says so when one of them stays silent."""

import msgspec
import pytest

from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol.routing import Router
from hookline.protocol.topology import Placement, Topology
from tests.proxy_app import ScriptedProxy
from tests.proxy_parts import Script, entries, problem, topology

STILL = topology(3)
CHANGING = topology(3, epoch=2, previous=Placement(strategy="modulo", clusters=entries(1, 1)))
FOUND = NodeAnswer(200, msgspec.json.encode({"id": "x"}))
MISSING = problem(404, "job_not_found")
SILENT = 0.0
MINTED_AT_C1 = "0192f0c1-0000-7000-8000-000000000000-1"


def at(**answers: NodeAnswer | type[Exception] | float) -> Script:
    """Makes a script of each cluster's answer, by name."""

    def script(url: str, call: NodeCall) -> NodeAnswer | type[Exception] | float:
        return answers[url.partition("//")[2].partition(":")[0]]

    return script


def _id_at(home: str, previous: str) -> str:
    router = Router(CHANGING)
    for number in range(1_000):
        wanted = f"order-{number}"
        route = router.previous_home(wanted)
        if router.home(wanted).cluster.name == home and route is not None and route.cluster.name == previous:
            return wanted
    raise AssertionError


def _asked(proxy: ScriptedProxy) -> list[str]:
    return sorted({url.partition("//")[2].partition(":")[0] for url in proxy.sender.urls})


def test_while_a_change_is_under_way_a_silent_home_does_not_hide_what_the_others_have() -> None:
    for others in ({"c0": FOUND, "c1": MISSING}, {"c0": MISSING, "c1": FOUND}, {"c0": SILENT, "c1": FOUND}):
        proxy = ScriptedProxy(at(c2=SILENT, **others), CHANGING)
        status, job = proxy.call("GET", f"/jobs/{_id_at('c2', 'c0')}")
        assert (status, job) == (200, {"id": "x"}), others


@pytest.mark.parametrize("at_once", [STILL, CHANGING])
def test_one_that_is_silent_is_not_waited_for_when_another_has_it(at_once: Topology) -> None:
    wanted = next(f"o{n}" for n in range(99) if Router(at_once).home(f"o{n}").cluster.name == "c0")
    proxy = ScriptedProxy(at(c0=MISSING, c1=SILENT, c2=FOUND), at_once)
    assert proxy.call("GET", f"/jobs/{wanted}") == (200, {"id": "x"})
    if at_once is STILL:
        assert proxy.now_s < 1


@pytest.mark.parametrize("silent", ["c0", "c1", "c2"])
def test_it_is_not_called_missing_while_one_that_may_have_it_is_silent(silent: str) -> None:
    answers: dict[str, NodeAnswer | type[Exception] | float] = dict.fromkeys(("c0", "c1", "c2"), MISSING)
    proxy = ScriptedProxy(at(**(answers | {silent: SILENT})), CHANGING)
    status, answer = proxy.call("GET", f"/jobs/{_id_at('c2', 'c0')}")
    assert (status, answer["code"], answer["cluster"]) == (504, "deadline_exceeded", silent)
    assert _asked(proxy) == ["c0", "c1", "c2"]
    proxy = ScriptedProxy(at(**(answers | {silent: NotSent})), CHANGING)
    status, answer = proxy.call("GET", f"/jobs/{_id_at('c2', 'c0')}")
    assert (status, answer["code"], answer["cluster"]) == (503, "cluster_unavailable", silent)


def test_all_that_may_have_it_say_no() -> None:
    proxy = ScriptedProxy(at(c0=MISSING, c1=MISSING, c2=MISSING), CHANGING)
    assert proxy.call("GET", f"/jobs/{_id_at('c2', 'c0')}")[1]["code"] == "job_not_found"


def test_a_change_of_a_job_never_goes_on_after_silence() -> None:
    for call in (("POST", "/cancel"), ("POST", "/run")):
        proxy = ScriptedProxy(at(c0=FOUND, c1=FOUND, c2=SILENT), CHANGING)
        status, answer = proxy.call(call[0], f"/jobs/{_id_at('c2', 'c0')}{call[1]}")
        assert (status, answer["code"]) == (504, "deadline_exceeded")
        assert _asked(proxy) == ["c2"]


def answering(url: str, *answers: NodeAnswer | type[Exception] | float) -> Script:
    """The nodes of that cluster answer these in turn, the last one again and again; the others have nothing."""
    left = list(answers)

    def script(asked: str, call: NodeCall) -> NodeAnswer | type[Exception] | float:
        if asked != url:
            return problem(404, "schedule_not_found" if call.target.startswith("/schedules") else "job_not_found")
        return left.pop(0) if len(left) > 1 else left[0]

    return script


DONE = NodeAnswer(200, b"{}")
PATCHES = ("/jobs/x", "/schedules/x")
DELETES = ("/jobs/x", "/schedules/x")
AMBIGUOUS: tuple[NodeAnswer | type[Exception], ...] = (Unclear, problem(504, "deadline_exceeded"))


def _home_url(path: str) -> str:
    return f"http://{Router(STILL).home(path.rpartition('/')[2]).cluster.name}:1"


@pytest.mark.parametrize("ambiguous", AMBIGUOUS, ids=["silent", "504"])
@pytest.mark.parametrize("path", PATCHES)
def test_a_patch_that_may_have_been_accepted_is_not_sent_again(
    path: str, ambiguous: NodeAnswer | type[Exception]
) -> None:
    proxy = ScriptedProxy(answering(_home_url(path), ambiguous, DONE), STILL)
    status, answer = proxy.call("PATCH", path, {})
    assert (status, answer["code"]) == (504, "deadline_exceeded")
    assert proxy.sender.urls == [_home_url(path)]


@pytest.mark.parametrize("path", PATCHES)
def test_a_patch_that_was_surely_not_accepted_is_sent_again(path: str) -> None:
    proxy = ScriptedProxy(answering(_home_url(path), NotSent, problem(503, "no_leader"), DONE), STILL)
    assert proxy.call("PATCH", path, {})[0] == 200


@pytest.mark.parametrize("ambiguous", AMBIGUOUS, ids=["silent", "504"])
@pytest.mark.parametrize("path", DELETES)
def test_what_a_lost_try_has_deleted_is_deleted(path: str, ambiguous: NodeAnswer | type[Exception]) -> None:
    gone = problem(404, "job_not_found" if path.startswith("/jobs") else "schedule_not_found")
    assert ScriptedProxy(answering(_home_url(path), ambiguous, gone), STILL).call("DELETE", path)[0] == 204
    assert ScriptedProxy(answering(_home_url(path), ambiguous, NodeAnswer(204)), STILL).call("DELETE", path)[0] == 204
    assert ScriptedProxy(answering(_home_url(path), NotSent, gone), STILL).call("DELETE", path)[0] == 404
    assert ScriptedProxy(answering(_home_url(path), gone), STILL).call("DELETE", path)[0] == 404


@pytest.mark.parametrize("path", DELETES)
def test_a_lost_try_at_home_does_not_hide_that_another_cluster_has_it(path: str) -> None:
    """It may not be said to be deleted there because it is not here."""
    gone = problem(404, "job_not_found" if path.startswith("/jobs") else "schedule_not_found")
    home = answering(_home_url(path), Unclear, gone)
    other = next(entry.nodes[0] for entry in STILL.clusters if entry.nodes[0] != _home_url(path))

    def script(said: NodeAnswer) -> Script:
        return lambda url, call: said if url == other else home(url, call)

    running = problem(409, "job_running")
    assert ScriptedProxy(script(running), STILL).call("DELETE", path)[0] == 409
    home = answering(_home_url(path), Unclear, gone)
    assert ScriptedProxy(script(problem(503, "unavailable")), STILL).call("DELETE", path)[0] == 503


def test_a_lost_try_elsewhere_counts_as_well() -> None:
    path = "/jobs/x"
    other = next(entry.nodes[0] for entry in STILL.clusters if entry.nodes[0] != _home_url(path))
    proxy = ScriptedProxy(answering(other, Unclear, problem(404, "job_not_found")), STILL)
    assert proxy.call("DELETE", path)[0] == 204


def test_settings_that_a_lost_try_has_deleted_are_deleted() -> None:
    gone = problem(404, "destination_not_found")

    def all_but(url: str, *answers: NodeAnswer | type[Exception] | float) -> Script:
        one = answering(url, *answers)
        return lambda asked, call: one(asked, call) if asked == url else gone

    url, path = STILL.clusters[1].nodes[0], "/destinations/a.example"
    assert ScriptedProxy(all_but(url, Unclear, gone), STILL).call("DELETE", path)[0] == 204
    assert ScriptedProxy(all_but(url, gone), STILL).call("DELETE", path)[0] == 404


def test_without_a_change_a_silent_home_has_all_the_time() -> None:
    proxy = ScriptedProxy(at(c0=FOUND, c1=SILENT, c2=FOUND), STILL)
    status, answer = proxy.call("GET", f"/jobs/{MINTED_AT_C1}")
    assert (status, answer["code"], answer["cluster"]) == (504, "deadline_exceeded", "c1")
    assert _asked(proxy) == ["c1"]
    assert proxy.now_s >= 9.9


def test_what_was_kept_at_a_cluster_that_was_taken_out_is_not_there() -> None:
    """Seen by the reader of the change: it was told to come back, as if the cluster were down."""
    gone = problem(421, "moved", shard=9, kept=True)
    proxy = ScriptedProxy(at(c0=gone, c1=gone, c2=gone), STILL)
    status, told = proxy.call("GET", "/jobs/order-1")
    assert (status, told["code"]) == (404, "job_not_found")


def test_nor_is_what_one_cluster_says_is_at_another_that_says_so() -> None:
    gone, on = problem(421, "moved", shard=9, kept=True), problem(421, "moved", shard=1, kept=True)
    proxy = ScriptedProxy(at(c0=on, c1=gone, c2=on), STILL)
    status, told = proxy.call("GET", "/jobs/order-1")
    assert (status, told["code"]) == (404, "job_not_found")


def test_what_was_kept_elsewhere_is_read_there() -> None:
    kept = problem(421, "moved", shard=1, kept=True)
    proxy = ScriptedProxy(at(c0=kept, c1=FOUND, c2=kept), STILL)
    assert proxy.call("GET", "/jobs/order-1") == (200, {"id": "x"})
