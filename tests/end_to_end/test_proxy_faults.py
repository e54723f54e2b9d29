"""A cluster dies and comes back, or its network delays, cuts, loses answers or falls silent: no job is lost or doubled.

c2 is the cluster whose network does harm, ``create_minted`` makes jobs until one of them went there.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

import pytest

from tests.end_to_end.harmed_fleet import ENDLESS, SHORT, HarmedFleet, Reply, harmed_fleet
from tests.end_to_end.processes import until

EQUAL = 50
# A call's silence counts against a cluster when it was asked for a second or more.
LONG_ENOUGH: dict[str, Any] = {"hookline-timeout-ms": "3000"}
T = TypeVar("T")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HarmedFleet]:
    with harmed_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def place(everything: HarmedFleet) -> Iterator[HarmedFleet]:
    """Without any harm at the start."""
    everything.recover()
    yield everything
    everything.recover()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(EQUAL) as pool:
        yield pool


def test_jobs_of_a_killed_cluster_wait_for_it_and_all_others_go_on(
    place: HarmedFleet, threads: ThreadPoolExecutor
) -> None:
    early = [place.fleet.name_for("c0") for _ in range(5)]
    for name in early:  # pending when it is killed, and not claimed
        assert place.create(name, {"id": name, "delay": "5s"})[0] == 201
    place.fleet.nodes["c0"].kill()

    late = [place.fleet.name_for("c0") for _ in range(4)]
    waiting = [threads.submit(_create_patiently, place, name, number % 2) for number, name in enumerate(late)]
    others = place.create_at(*("c1", "c2") * 5)
    seen = Counter[str]()
    minted = place.create_minted(lambda reply: _counted(seen, reply) == 12)
    assert {status for status, _ in minted.values()} == {201}
    assert seen.keys() == {"1", "2"}
    for proxy in (0, 1):
        status, problem = place.call("GET", f"/jobs/{early[0]}", proxy=proxy)
        assert (status, problem["code"], problem["cluster"]) == (503, "cluster_unavailable", "c0")
        assert place.call("GET", "/jobs", proxy=proxy)[1]["incomplete"] == ["c0"]

    place.fleet.nodes["c0"].start()
    refusals = {reply[1]["code"] for one in waiting for reply in one.result(60)}
    assert refusals == {"cluster_unavailable"}
    named = {name: name for name in [*early, *late, *others]}
    place.check_delivered(named | {mark: job["id"] for mark, (_, job) in minted.items()})


def test_a_slow_cluster_slows_no_other(place: HarmedFleet, threads: ThreadPoolExecutor) -> None:
    place.network.delay_s = 0.4
    name = place.fleet.name_for("c2")
    slow = threads.submit(place.create_named, name)
    others = []
    while not slow.done():
        others += place.create_at("c0", "c1")
    assert slow.result()[0] == 201
    assert len(others) > 10
    place.check_delivered({found: found for found in [name, *others]})


def test_a_request_that_was_cut_before_it_arrived_is_sent_again_to_the_same_cluster(place: HarmedFleet) -> None:
    name = place.fleet.name_for("c2")
    place.network.requests_to_cut = 2
    assert place.create_named(name)[0] == 201
    assert place.network.requests_to_cut == 0

    place.network.requests_to_cut = 1
    minted = place.create_minted(lambda _: place.network.requests_to_cut == 0)
    assert {status for status, _ in minted.values()} == {201}
    assert list(minted.values())[-1][1]["id"].endswith("-2")
    place.check_delivered({name: name} | {mark: job["id"] for mark, (_, job) in minted.items()})


def test_requests_that_never_arrive_end_with_the_id_and_go_nowhere_else(place: HarmedFleet) -> None:
    name = place.fleet.name_for("c2")
    place.network.requests_to_cut = ENDLESS
    _check_unclear(place.create_named(name, **SHORT), name)
    *before, (mark, unclear) = place.create_minted(lambda reply: reply[0] != 201, **SHORT).items()
    assert unclear[1]["id"].endswith("-2")
    _check_unclear(unclear, unclear[1]["id"])

    place.recover()
    for job_id in (name, unclear[1]["id"]):
        assert place.call("GET", f"/jobs/{job_id}")[0] == 404
    place.check_not_delivered([name, mark])
    assert place.create_named(name, 1)[0] == 201
    place.check_delivered({name: name} | {found: job["id"] for found, (_, job) in before})


@pytest.mark.parametrize("is_reset", [True, False], ids=["reset", "silence"])
def test_a_lost_answer_is_asked_for_again_on_the_same_cluster(place: HarmedFleet, is_reset: bool) -> None:
    name = place.fleet.name_for("c2")
    place.network.lose_by_reset = is_reset
    place.network.answers_to_lose = 1
    status, job = place.create_named(name)
    assert (status, job["id"], job["deduplicated"]) == (200, name, True)
    minted: dict[str, Reply] = {}
    if is_reset:  # silence costs 4 s a time
        place.network.answers_to_lose = 2
        minted = place.create_minted(lambda _: place.network.answers_to_lose == 0)
        assert {(status, job.get("deduplicated", False)) for status, job in minted.values()} == {(201, False)}
    place.check_delivered({name: name} | {mark: job["id"] for mark, (_, job) in minted.items()})


def test_answers_that_never_come_end_with_the_id_of_the_job(place: HarmedFleet) -> None:
    name = place.fleet.name_for("c2")
    place.network.answers_to_lose = ENDLESS
    _check_unclear(place.create_named(name, **SHORT), name)
    *before, (mark, unclear) = place.create_minted(lambda reply: reply[0] != 201, **SHORT).items()
    minted = unclear[1]["id"]
    assert minted.endswith("-2")
    _check_unclear(unclear, minted)

    place.recover()
    for job_id, of_job in ((name, name), (minted, mark)):
        assert place.call("GET", f"/jobs/{job_id}", proxy=1)[0] == 200
        status, job = place.create(of_job, {"id": job_id}, proxy=1)
        assert (status, job["deduplicated"]) == (200, True)
    place.check_delivered({name: name, mark: minted} | {found: job["id"] for found, (_, job) in before})


def test_a_change_that_may_have_been_made_is_not_made_again(place: HarmedFleet) -> None:
    name = place.fleet.name_for("c2")
    assert place.create(name, {"id": name, "delay": "1h"})[0] == 201
    place.network.answers_to_lose, before = ENDLESS, place.network.requests
    _check_unclear(place.call("POST", f"/jobs/{name}/run"), None)
    assert place.network.requests == before + 1
    place.check_delivered({name: name})


def test_a_cluster_that_takes_connections_and_never_answers_is_left_alone_until_it_does(
    place: HarmedFleet, threads: ThreadPoolExecutor
) -> None:
    place.network.spared = (b"GET /health",)  # creates alone tell for now
    place.network.is_black_hole = True
    lost = [place.fleet.name_for("c2") for _ in range(5)]
    asked = [threads.submit(place.create_named, name, **LONG_ENOUGH) for name in lost]
    others = []
    while not all(one.done() for one in asked):
        others += place.create_at("c0", "c1")
    assert len(others) > 10
    replies = [one.result() for one in asked]
    never_left = [reply for reply in replies if reply[0] == 503]  # they waited for the others
    assert {problem["code"] for _, problem in never_left} <= {"cluster_unavailable"}
    assert len(never_left) < len(lost)
    for name, reply in zip(lost, replies, strict=True):
        if reply not in never_left:
            _check_unclear(reply, name)

    assert place.breaker("c2") == "open", "five creates without an answer, whether they were on their way or waited"
    place.network.spared = ()
    until(lambda: "the last probes" in place.create_named(lost[0])[1]["detail"], "nothing is sent there any more")
    requests = place.network.requests
    status, problem = place.create_named(lost[0])
    assert (status, problem["code"]) == (503, "cluster_unavailable")
    minted = [place.create(place.mark(), {}) for _ in range(12)]
    assert {(status, job["id"][-2:]) for status, job in minted} == {(201, "-0"), (201, "-1")}
    assert place.network.requests == requests

    place.recover()
    assert place.breaker("c2") == "closed"
    for name in lost:
        assert place.create_named(name)[0] == 201
    place.check_delivered({name: name for name in [*lost, *others]})


def test_connections_whose_peer_has_vanished_are_replaced(place: HarmedFleet, threads: ThreadPoolExecutor) -> None:
    place.network.delay_s = 0.1  # reads that meet need a connection each: no two of them travel together
    read = partial(place.call, "GET", f"/jobs/{place.fleet.name_for('c2')}")
    until(lambda: len(_all_at_once(threads, [read] * 10)) == 10 and place.network.connections >= 5, "there are five")
    place.network.delay_s = 0.0
    place.network.silence_connections()
    names = [place.fleet.name_for("c2") for _ in range(4)]
    unanswered = place.unanswered("c2")
    asked = [threads.submit(place.create_named, name) for name in names]
    wait(asked)
    assert {one.result()[0] for one in asked} <= {200, 201}
    assert 0 < place.unanswered("c2") - unanswered <= len(names), "a repetition went to a connection from before too"
    place.check_delivered({name: name for name in names})


@pytest.mark.parametrize("is_harmed", [False, True], ids=["calm", "harmed"])
def test_equal_requests_at_once_through_both_proxies_make_one_job(
    place: HarmedFleet, threads: ThreadPoolExecutor, is_harmed: bool
) -> None:
    key, mark = place.fleet.name_for("c2"), place.mark()
    if is_harmed:
        place.network.requests_to_cut = place.network.answers_to_lose = 8
    replies = _all_at_once(
        threads,
        [partial(place.create, mark, {}, number % 2, **{"idempotency-key": key}) for number in range(EQUAL)],
    )
    statuses = Counter(status for status, _ in replies)
    assert statuses.keys() <= {200, 201}
    assert is_harmed or statuses[201] == 1
    ids = {job["id"] for _, job in replies}
    assert len(ids) == 1
    place.check_delivered({mark: ids.pop()})


def _create_patiently(place: HarmedFleet, name: str, proxy: int) -> list[Reply]:
    """Ask again until it is created; what was answered before."""
    replies = []
    deadline_s = time.monotonic() + 60
    while (reply := place.create_named(name, proxy))[0] != 201:
        assert reply[0] == 503, reply
        assert time.monotonic() < deadline_s
        replies.append(reply)
        threading.Event().wait(0.1)
    return replies


def _counted(seen: "Counter[str]", reply: Reply) -> int:
    """How many there are by now, counted by the cluster that took them."""
    seen[reply[1]["id"][-1]] += 1
    return seen.total()


def _check_unclear(reply: Reply, job_id: str | None) -> None:
    status, problem = reply
    assert (status, problem["code"], problem.get("id")) == (504, "deadline_exceeded", job_id), reply


def _all_at_once(threads: ThreadPoolExecutor, calls: list[Callable[[], T]]) -> list[T]:
    """Makes the calls in threads and gives what they return; none begins before all threads are there."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        barrier.wait(60)
        return call()

    return list(threads.map(run, calls))
