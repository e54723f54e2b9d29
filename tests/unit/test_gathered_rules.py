"""Creates that travel together keep the rules of one that travels alone: tries, fallback, deadlines. Virtual time."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from hookline.http_api.messages import PROBLEM_JSON
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol.internal_http import MESSAGEPACK, GatheredAnswer, GatheredCreate
from hookline.protocol.limits import GATHERED_JOBS_MAX
from hookline.protocol.routing import Router
from hookline.proxy.gathering import BATCHES_MAX
from tests.proxy_app import ScriptedProxy, ScriptedRequest
from tests.proxy_parts import problem, topology

TWO = topology(2)
URL = "https://example.com/hook"


def name_at(cluster: str, prefix: str = "order") -> str:
    router = Router(TWO)
    return next(f"{prefix}-{n}" for n in range(100) if router.new_home(f"{prefix}-{n}").cluster.name == cluster)


NAMED = name_at("c0")


def create(job_id: str | None = None, *headers: tuple[bytes, bytes]) -> ScriptedRequest:
    return "POST", "/jobs", {"url": URL} | ({"id": job_id} if job_id else {}), list(headers)


def ids(call: NodeCall) -> list[str]:
    """Those of the jobs that travel with it."""
    bodies = [call.body]
    if call.target == "/internal/jobs":
        bodies = [item.body for item in msgspec.msgpack.decode(call.body, type=list[GatheredCreate])]
    return [msgspec.json.decode(body)["id"] for body in bodies]


def made(job_id: str) -> NodeAnswer:
    return NodeAnswer(201, msgspec.json.encode({"id": job_id}))


def together(*answers: NodeAnswer) -> NodeAnswer:
    """One answer that has these for its creates."""
    told = [GatheredAnswer(one.status, one.body, one.content_type, one.headers) for one in answers]
    return NodeAnswer(200, msgspec.msgpack.encode(told), MESSAGEPACK)


def well(call: NodeCall) -> NodeAnswer:
    answers = [made(job_id) for job_id in ids(call)]
    return together(*answers) if call.target == "/internal/jobs" else answers[0]


class Nodes:
    """c0 does as the test says, c1 takes everything."""

    def __init__(self, at_c0: Any) -> None:
        self.seen: list[tuple[str, str, list[str]]] = []  # node, path, ids
        self.at_c0 = at_c0
        self.proxy = ScriptedProxy(self, TWO)

    def __call__(self, url: str, call: NodeCall) -> NodeAnswer | type[Exception] | float:
        self.seen.append((url[7:9], call.target, ids(call)))
        return self.at_c0(call) if url.startswith("http://c0") else well(call)

    def at_once(self, *requests: ScriptedRequest) -> list[tuple[int, Any]]:
        return self.proxy.at_once(*requests)


def test_a_batch_that_surely_did_not_leave_is_decided_about_one_by_one() -> None:
    nodes = Nodes(lambda call: NotSent)
    allowed = name_at("c0", "allowed")
    answers = nodes.at_once(
        create(NAMED), create(), create(), create(allowed, (b"hookline-fallback", b"allow")), create(name_at("c1"))
    )
    (refused, body), *others = answers
    assert (refused, body["code"]) == (503, "cluster_unavailable"), "its own id stays with its home"
    assert [status for status, _ in others] == [201] * 4
    assert others[2][1]["id"] == allowed
    minted = [answer["id"] for _, answer in others[:2]]
    assert all(job_id.endswith("-1") for job_id in minted), "minted anew for the cluster that took them"


def test_an_unclear_one_is_repeated_alone_with_the_same_id_at_the_same_cluster() -> None:
    nodes = Nodes(lambda call: Unclear if call.target == "/internal/jobs" else well(call))
    two = [name_at("c0", "a"), name_at("c0", "b")]
    answers = nodes.at_once(*map(create, two))
    assert [(status, body["id"]) for status, body in answers] == [(201, job_id) for job_id in two]
    assert nodes.seen[0] == ("c0", "/internal/jobs", two)
    assert sorted(nodes.seen[1:]) == [("c0", "/jobs", [job_id]) for job_id in two]


def test_one_that_stays_unclear_ends_at_its_own_deadline_with_its_id() -> None:
    nodes = Nodes(lambda call: 0.0)  # silence
    hurried, patient = name_at("c0", "hurried"), name_at("c0", "patient")
    answers = nodes.at_once(create(hurried, (b"hookline-timeout-ms", b"300")), create(patient), create(name_at("c1")))
    assert [status for status, _ in answers] == [504, 504, 201]
    assert [body["id"] for _, body in answers[:2]] == [hurried, patient]
    assert [body["cluster"] for _, body in answers[:2]] == ["c0", "c0"]
    assert {node for node, _, found in nodes.seen if {hurried, patient} & {*found}} == {"c0"}
    asked = Counter(job_id for _, _, found in nodes.seen for job_id in found)
    assert asked[hurried] == 1 < asked[patient]


def test_one_whose_deadline_comes_first_is_not_waited_for_by_its_client() -> None:
    nodes, soon = Nodes(lambda call: 0.0), (b"hookline-timeout-ms", b"300")
    ((status, _),) = nodes.at_once(create(NAMED, soon))
    alone_s = nodes.proxy.now_s
    nodes.at_once(create(NAMED, soon), create(name_at("c0", "x"), soon))
    assert (status, nodes.proxy.now_s) == (504, alone_s)


@pytest.mark.parametrize("code", ["no_leader", "shutting_down", "overloaded", "unavailable"])
def test_one_that_was_not_accepted_goes_on_by_itself(code: str) -> None:
    first = True

    def refuse_the_second(call: NodeCall) -> NodeAnswer:
        nonlocal first
        if call.target != "/internal/jobs" or not first:
            return well(call)
        first = False
        one, two, *rest = ids(call)
        return together(made(one), problem(503, code, detail=two), *map(made, rest))

    nodes = Nodes(refuse_the_second)
    three = [name_at("c0", prefix) for prefix in "abc"]
    answers = nodes.at_once(*map(create, three))
    assert [(status, body["id"]) for status, body in answers] == [(201, job_id) for job_id in three]
    assert [found for _, _, found in nodes.seen] == [three, [three[1]]]


def test_a_full_queue_sends_only_those_on_that_may_go() -> None:
    full = problem(429, "queue_full", limit=1)
    nodes = Nodes(lambda call: together(*[full for _ in ids(call)]) if call.target == "/internal/jobs" else full)
    answers = nodes.at_once(create(NAMED), create(), create(), create())
    assert (answers[0][0], answers[0][1]["code"]) == (429, "queue_full")
    assert [status for status, _ in answers[1:]] == [201] * 3
    assert {node for node, _, found in nodes.seen if NAMED in found} == {"c0"}


def test_what_one_did_wrong_is_said_to_it_alone() -> None:
    def judge(call: NodeCall) -> NodeAnswer:
        wrong = NodeAnswer(422, b'{"code":"idempotency_mismatch"}', PROBLEM_JSON)
        return together(*(wrong if job_id == NAMED else made(job_id) for job_id in ids(call)))

    nodes = Nodes(judge)
    other = name_at("c0", "x")
    (wrong, _), (right, body) = nodes.at_once(create(NAMED), create(other))
    assert (wrong, right, body["id"]) == (422, 201, other)


def test_a_minted_one_that_was_known_from_its_first_try_is_new_to_the_client() -> None:
    def lose_the_first(call: NodeCall) -> NodeAnswer | type[Exception]:
        if call.target == "/internal/jobs":
            return Unclear
        return NodeAnswer(200, msgspec.json.encode({"id": ids(call)[0], "state": "pending", "deduplicated": True}))

    proxy = ScriptedProxy(lambda _url, call: lose_the_first(call), topology(1))
    answers = proxy.at_once(create(), create(), create("mine"))
    assert [status for status, _ in answers] == [201, 201, 200]
    assert ["deduplicated" in body for _, body in answers] == [False, False, True]


def test_one_whose_deadline_ends_behind_a_slow_batch_surely_was_not_accepted() -> None:
    nodes = Nodes(lambda call: 0.0)
    slow = [create(name_at("c0", f"slow{n}")) for n in range(BATCHES_MAX * GATHERED_JOBS_MAX)]
    hurried = [create(name_at("c0", f"hurried{n}"), (b"hookline-timeout-ms", b"300")) for n in range(10)]
    answers = nodes.at_once(*slow, *hurried)
    assert {(status, body["code"]) for status, body in answers[len(slow) :]} == {(503, "cluster_unavailable")}
    assert not {job_id for _, _, found in nodes.seen for job_id in found if job_id.startswith("hurried")}
