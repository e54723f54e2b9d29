"""Creates that travel to a node together: each gets what it would have got alone, byte for byte."""

import asyncio
import http.client
import json
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import msgspec
import pytest

from hookline.errors import DeadlineExceeded, HooklineError, LogFault, NotLeader, PayloadTooLarge
from hookline.node.api import creating, gathered
from hookline.protocol.internal_http import MESSAGEPACK, GatheredAnswer, GatheredCreate
from hookline.protocol.limits import GATHERED_JOBS_MAX
from tests.integration.conftest import StartNode
from tests.integration.node_under_test import Answer, NodeUnderTest, node_config
from tests.integration.proxy_under_test import JOB, Clusters

Told = tuple[int, list[tuple[str, str]], bytes]
Headers = list[tuple[bytes, bytes]]

PLAIN: Headers = [(b"content-type", b"application/json")]
OF_THE_CONNECTION = {"date", "content-length", "connection"}
TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
_fresh = count()


def body(**fields: Any) -> bytes:
    return json.dumps(JOB | fields).encode()


CASES: dict[str, tuple[bytes, Headers]] = {
    "an id": (body(id="ID"), PLAIN),
    "no id": (body(), PLAIN),
    "a key": (body(), [*PLAIN, (b"idempotency-key", b"ID")]),
    "no type": (body(), []),
    "traced": (body(id="ID", payload={"a": 1.10}), [*PLAIN, (b"traceparent", TRACE)]),
    "brief": (body(id="ID"), [*PLAIN, (b"prefer", b"return=minimal")]),
    "not JSON": (b'{"url"', PLAIN),
    "a list": (b"[]", PLAIN),
    "two fields of one name": (b'{"url":"https://example.com","url":"https://example.org"}', PLAIN),
    "a mark": (b"\xef\xbb\xbf{}", PLAIN),
    "not UTF-8": (b'{"url":"https://example.com","payload":"\xff"}', PLAIN),
    "an unknown field": (body(colour=1), PLAIN),
    "no url": (b"{}", PLAIN),
    "a forbidden url": (body(url="http://10.0.0.1/"), PLAIN),
    "a wrong id": (body(id="../x"), PLAIN),
    "a reserved id": (body(id="batch"), PLAIN),
    "too large a payload": (body(payload="x" * 2_000), PLAIN),
    "too large a body": (body(labels={"a": "b" * 80_000}), PLAIN),
    "another type": (body(), [(b"content-type", b"text/html")]),
    "compressed": (body(), [*PLAIN, (b"content-encoding", b"gzip")]),
    "from a page": (body(), [(b"content-type", b"text/plain"), (b"origin", b"https://evil.example")]),
    "too long a key": (body(), [*PLAIN, (b"idempotency-key", b"k" * 300)]),
    "two traces": (body(), [*PLAIN, (b"traceparent", TRACE), (b"traceparent", TRACE)]),
}


@pytest.fixture(scope="module")
def small_node(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """It takes payloads of a kilobyte."""
    config = node_config(tmp_path_factory.mktemp("node"), payload_bytes_max=1_000)
    with NodeUnderTest(config, None).running() as running:
        yield running


def alone(node: NodeUnderTest, sent: bytes, headers: Headers) -> Told:
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    try:
        connection.putrequest("POST", "/jobs", skip_accept_encoding=True)
        for name, value in [*headers, (b"content-length", b"%d" % len(sent))]:
            connection.putheader(name.decode(), value.decode("latin-1"))
        connection.endheaders(sent)
        answer = connection.getresponse()
        return answer.status, [(name.lower(), value) for name, value in answer.getheaders()], answer.read()
    finally:
        connection.close()


def together(node: NodeUnderTest, *creates: tuple[bytes, Headers]) -> list[Told]:
    answer = _post(node, [GatheredCreate(sent, headers) for sent, headers in creates])
    assert answer.status == 200, answer
    shared = [(name, value) for name, value in answer.headers.items() if name != "content-type"]
    found = msgspec.msgpack.decode(answer.body, type=list[GatheredAnswer])
    return [
        (
            one.status,
            [
                *shared,
                *((name.decode(), value.decode()) for name, value in one.headers),
                ("content-type", one.content_type.decode()),
            ],
            one.body,
        )
        for one in found
    ]


def _post(node: NodeUnderTest, creates: object) -> Answer:
    return node.call("POST", "/internal/jobs", msgspec.msgpack.encode(creates), {"Content-Type": MESSAGEPACK.decode()})


def _fresh_case(case: str) -> tuple[bytes, Headers]:
    name = b"case-%d" % next(_fresh)
    sent, headers = CASES[case]
    return sent.replace(b"ID", name), [(key, value.replace(b"ID", name)) for key, value in headers]


def _masked(told: Told) -> Told:
    """Without ids and times, which differ."""
    status, headers, sent = told
    text = re.sub(rb"case-\d+|[0-9a-f]{8}-[0-9a-f-]{27}-\d+", b"ID", sent)
    text = re.sub(rb"\d{4}-\d\d-\d\dT[0-9:.]+Z", b"TIME", text)
    kept = [(name, re.sub(r"/jobs/.*", "/jobs/ID", value)) for name, value in headers if name not in OF_THE_CONNECTION]
    return status, sorted(kept), text


def test_each_is_answered_as_it_would_be_alone(small_node: NodeUnderTest) -> None:
    wanted = {case: _masked(alone(small_node, *_fresh_case(case))) for case in CASES}
    found = together(small_node, *map(_fresh_case, CASES))
    assert dict(zip(CASES, map(_masked, found), strict=True)) == wanted
    assert {told[0] for told in found} == {201, 400, 413, 415}


def test_one_that_is_there_is_found_and_one_that_differs_refused(node: NodeUnderTest) -> None:
    sent = body(id="order-1")
    creates = [(sent, PLAIN), (sent, PLAIN), (body(id="order-1", priority=1), PLAIN), (sent, PLAIN)]
    assert [told[0] for told in together(node, *creates)] == [201, 200, 422, 200]
    known, differs = (_masked(alone(node, *creates[n])) for n in (1, 2))
    assert [_masked(told) for told in together(node, *creates)] == [known, known, differs, known]
    assert node.stored()["jobs"] == 1


def test_as_many_are_taken_as_there_is_room_for(start_node: StartNode) -> None:
    with start_node(pending_jobs_max=5) as node:
        answers = together(node, *[(body(), PLAIN)] * 8)
        assert [told[0] for told in answers] == [201] * 5 + [429] * 3
        assert _masked(answers[-1]) == _masked(alone(node, body(), PLAIN))
        assert node.stored()["jobs"] == 5
        node.post(f"/jobs/{json.loads(answers[0][2])['id']}/cancel")
        assert [told[0] for told in together(node, (body(), PLAIN))] == [201], "what was held is given back"


def test_what_is_no_batch_of_them_is_refused(node: NodeUnderTest) -> None:
    assert _post(node, {"a": 1}).code == "invalid_request"
    assert _post(node, [GatheredCreate(body(), [])] * (GATHERED_JOBS_MAX + 1)).code == "batch_too_large"
    assert node.call("POST", "/internal/jobs", b"\xc1").code == "invalid_request"
    assert _post(node, [b"x" * 500_000]).code == "payload_too_large"
    assert together(node) == []
    assert node.stored()["jobs"] == 0


def _told_by_the_log(node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch, *rounds: list[HooklineError | None]) -> None:
    """The log says this of the proposals of each round, and takes those with None."""
    propose = node.replica.propose
    said = [error for one in rounds for error in one]

    def scripted(commands: Any) -> Any:
        error = said.pop(0) if said else None
        if error is None:
            return propose(commands)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(error)
        return future

    monkeypatch.setattr(node.replica, "propose", scripted)


def test_what_becomes_of_one_in_the_log_is_not_the_others_fate(
    node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    _told_by_the_log(node, monkeypatch, [None, NotLeader(), DeadlineExceeded(), PayloadTooLarge(), None])
    assert [told[0] for told in together(node, *[(body(), PLAIN)] * 5)] == [201, 503, 504, 413, 201]
    assert node.stored()["jobs"] == 2


def test_where_none_was_accepted_the_leader_is_looked_for(node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    _told_by_the_log(node, monkeypatch, [NotLeader(), NotLeader()], [NotLeader(), NotLeader()], [None, None])
    answers = together(node, (body(), PLAIN), (b"{}", PLAIN), (body(), PLAIN))
    assert [told[0] for told in answers] == [201, 400, 201], "as for one alone, a moment is waited"


def test_a_fault_of_ours_in_one_is_not_the_others(node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    real = creating.understood

    async def stumble(api: Any, request: Any) -> Any:
        if b"poison" in await request.body():
            raise KeyError("poison")
        return await real(api, request)

    monkeypatch.setattr(gathered, "understood", stumble)
    answers = together(node, (body(), PLAIN), (body(id="poison"), PLAIN), (body(), PLAIN))
    assert [told[0] for told in answers] == [201, 500, 201]


def test_a_fault_of_the_log_leaves_all_open(node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    _told_by_the_log(node, monkeypatch, [None, LogFault("gone")])
    answer = _post(node, [GatheredCreate(body(), PLAIN)] * 2)
    assert (answer.status, answer.code) == (504, "deadline_exceeded")


def test_through_proxies_each_client_gets_its_own_answer(three: Clusters) -> None:
    doors = [three.start_proxy(), three.start_proxy()]

    def create(number: int) -> tuple[int, Answer]:
        own = {"id": f"mine-{number}"} if number % 3 == 0 else {}
        own |= {"Idempotency-Key": f"key-{number}"} if number % 3 == 1 else {}
        job = JOB | {"payload": {"number": number}} | ({"id": own["id"]} if "id" in own else {})
        headers = {"Idempotency_Key": own["Idempotency-Key"]} if "Idempotency-Key" in own else {}
        wish = {"Prefer": "return=minimal"} if number % 2 else {}
        return number, doors[number % 2].post("/jobs", job, **headers, **wish)

    with ThreadPoolExecutor(60) as threads:
        answers = list(threads.map(create, range(600)))
    assert {answer.status for _, answer in answers} == {201}
    assert len({answer.json["id"] for _, answer in answers}) == 600
    assert sum(node.stored()["jobs"] for node in three.nodes.values()) == 600
    for number, answer in answers:
        assert answer.headers["location"] == f"/jobs/{answer.json['id']}"
        assert ("url" in answer.json) == (number % 2 == 0)
        if number % 50 == 0:
            assert doors[0].get(answer.headers["location"]).json["payload"] == {"number": number}
    counted = [_gathered(door.get("/metrics").body.decode()) for door in doors]
    assert sum(jobs for jobs, _ in counted) == 600
    assert sum(calls for _, calls in counted) < 600, "some travelled together"


def _gathered(metrics: str) -> tuple[float, float]:
    """(creates, calls)."""
    jobs, calls = (
        re.search(rf"^hookline_proxy_gathered_jobs_{what} (\S+)", metrics, re.M) for what in ("sum", "count")
    )
    assert jobs
    assert calls
    return float(jobs[1]), float(calls[1])
