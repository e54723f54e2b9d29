"""The calls between our processes, over real sockets: who may make them, and whose headers are believed."""

import http.client
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hookline.node.vault import Vault
from hookline.protocol.api_keys import KEY_SCOPES
from hookline.protocol.calls import Call, calls_of
from hookline.protocol.proofs import ProofKey, proof_key
from tests.integration.keyed_servers import ROOT
from tests.integration.node_under_test import Answer, NodeUnderTest, node_config
from tests.integration.proxy_under_test import JOB, Clusters
from tests.proofs import proof_of

BY_ROOT = proof_key(ROOT.encode())
FORMER = "the-root-key-before-that-one"
BY_FORMER = proof_key(FORMER.encode())
BY_VAULT = Vault([b"k" * 32]).proof_keys[0]  # as the node under test has it
STRANGER = proof_key(b"a stranger's")
INTERNAL = [call for call in calls_of("node") if call.scope == "internal"]
HOUR_MS = 3_600_000
Headers = dict[str, str]


class Asked(NamedTuple):
    """One call between processes, as it is sent."""

    call: Call
    method: str
    target: str
    body: bytes

    def proof(self, key: ProofKey = BY_ROOT, headers: Headers | None = None, **other: Any) -> Headers:
        """A proof of it, or of one that differs in something."""
        pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        said: dict[str, Any] = {"method": self.method, "target": self.target, "body": self.body} | other
        return proof_of(key, headers=pairs, **said) | (headers or {})


def asked(call: Call) -> Asked:
    """The call; its body cannot be read, so that it changes nothing."""
    body = b'{"nonsense": 1}' if call.body_bytes_max else b""
    return Asked(call, call.method, re.sub(r"\{\w+\}", "none", call.path), body)


def send(port: int, one: Asked, headers: Headers) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        typed = {"Content-Type": "application/json"} if one.body else {}
        connection.request(one.method, one.target, one.body or None, typed | headers)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Doors(NamedTuple):
    """A node that asks for keys: the ports for clients and for processes of ours, which may be one."""

    port: int
    inner_port: int
    node: NodeUnderTest

    def key(self, scope: str) -> str:
        body = {"name": "t", "scopes": [scope]}
        answer = self.node.call("POST", "/keys", body, {"Authorization": f"Bearer {ROOT}"})
        return str(answer.json["key"])


@pytest.fixture(scope="module", params=["node", "front", "inner", "front and inner"])
def doors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    settings: dict[str, Any] = {"internal_host": "127.0.0.1"} if "inner" in request.param else {}
    directory = tmp_path_factory.mktemp("inner") / "n1"
    config = node_config(directory, root_key=ROOT, former_root_key=FORMER, **settings)
    with NodeUnderTest(config, None, has_front="front" in request.param).running() as node:
        yield Doors(node.port, node.inner_port or node.port, node)


OTHERS: dict[str, Callable[[Asked], Headers]] = {
    "nothing": lambda _: {},
    "another key": lambda one: one.proof(STRANGER),
    "another key under our name": lambda one: one.proof(ProofKey(BY_ROOT.id, STRANGER.secret)),
    "another body": lambda one: one.proof(body=one.body + b" "),
    "another path": lambda one: one.proof(target="/internal/other"),
    "another query": lambda one: one.proof(target=one.target + "?a=1"),
    "another method": lambda one: one.proof(method="PATCH"),
    "a header that was not there": lambda one: one.proof() | {"hookline-forwarded": "1"},
    "a header that is gone": lambda one: proof_of(
        *(BY_ROOT, one.method, one.target, one.body), [(b"hookline-for-cluster", b"c0")]
    ),
    "another header": lambda one: one.proof(headers={"hookline-epoch": "1"}) | {"hookline-epoch": "2"},
    "malformed": lambda one: {"hookline-proof": one.proof()["hookline-proof"][1:]},
    "a key of nobody": lambda _: {"Authorization": "Bearer hookline_x"},
}


def same(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    return answer.status, {name: value for name, value in answer.headers.items() if name != "date"}, answer.body


def test_nobody_else_makes_a_call_of_ours_and_all_are_told_the_same(doors: Doors) -> None:
    keys = {f"key to {scope}": {"Authorization": f"Bearer {doors.key(scope)}"} for scope in KEY_SCOPES}
    del keys["key to admin"]
    answers = {}
    for call in INTERNAL:
        one = asked(call)
        for why, headers in ({why: make(one) for why, make in OTHERS.items()} | keys).items():
            answers[call.name, why] = same(send(doors.inner_port, one, headers))
    refused = answers["readClock", "nothing"]
    assert (refused[0], b'"code":"unauthorized"' in refused[2]) == (401, True)
    assert {name: answer for name, answer in answers.items() if answer != refused} == {}
    assert len(answers) == len(INTERNAL) * (len(OTHERS) + 3)


@pytest.mark.parametrize("key", [BY_ROOT, BY_FORMER, BY_VAULT], ids=["root", "former root", "vault"])
def test_with_a_right_proof_each_call_is_heard(doors: Doors, key: ProofKey) -> None:
    heard = {call.name: send(doors.inner_port, asked(call), asked(call).proof(key)).status for call in INTERNAL}
    assert 401 not in heard.values(), heard
    assert {heard[name] for name in ("readClock", "readCluster", "readPosition", "describeSnapshot", "readKeys")} == {
        200
    }


def test_an_operators_key_will_do_as_well(doors: Doors) -> None:
    for key in (ROOT, FORMER, doors.key("admin")):
        shown = {"Authorization": f"Bearer {key}"}
        assert 401 not in {send(doors.inner_port, asked(call), shown).status for call in INTERNAL}


def test_a_proof_of_what_hands_out_the_state_holds_once(doors: Doors) -> None:
    for call in INTERNAL:
        one = asked(call)
        proof = one.proof()
        first, second = (send(doors.inner_port, one, proof).status for _ in range(2))
        assert first != 401
        assert (second == 401) == call.is_safe, call.name


def test_where_the_clocks_differ_the_answer_says_so(doors: Doors) -> None:
    for call in INTERNAL:
        one = asked(call)
        for off_ms in (HOUR_MS, -HOUR_MS):
            now_ms = doors.node.clock.wall_ms()
            answer = send(doors.inner_port, one, one.proof(time_ms=now_ms + off_ms))
            assert (answer.status, answer.code) == (401, "clock_differs")
            assert re.search(
                r"the caller's clock says \S+Z and this node's \S+Z; they may differ by 5", answer.body.decode()
            )
        near = one.proof(time_ms=doors.node.clock.wall_ms() - 200_000)
        assert send(doors.inner_port, one, near).status != 401
        wrong = proof_of(STRANGER, one.method, one.target, one.body, time_ms=5)
        assert send(doors.inner_port, one, wrong).code == "unauthorized", "strangers are told no time"


def test_at_the_door_for_clients_there_is_no_such_call(doors: Doors) -> None:
    if doors.port == doors.inner_port:
        return
    nowhere = same(send(doors.port, Asked(INTERNAL[0], "GET", "/internal/nothing", b""), {}))
    assert nowhere[0] == 404
    for call in INTERNAL:
        one = asked(call)
        for headers in ({}, one.proof(), {"Authorization": f"Bearer {ROOT}"}):
            assert same(send(doors.port, one, headers)) == nowhere, call.name
    jobs = Asked(INTERNAL[0], "GET", "/jobs", b"")
    shown = {"Authorization": f"Bearer {ROOT}"}
    marked = jobs.proof(headers={"hookline-for-cluster": "another"}) | shown
    assert send(doors.port, jobs, marked).status == 200, "nobody is believed here"
    assert send(doors.inner_port, jobs, marked).code == "wrong_cluster"


FORGED = {
    "hookline-epoch": "99",
    "hookline-topology": "0123456789abcdef",
    "hookline-for-cluster": "another",
    "hookline-decided": "0",
    "hookline-proxy": "192.0.2.9:7000",
    "hookline-forwarded": "1",
    "hookline-internal": "x",
}


def test_what_only_our_processes_say_counts_for_nothing_from_a_client(doors: Doors) -> None:
    shown = {"Authorization": f"Bearer {ROOT}"}
    heard: list[str] = []
    for header, value in [*FORGED.items(), ("all", "")]:
        forged = FORGED if header == "all" else {header: value}
        for port in {doors.port, doors.inner_port}:
            made = doors.node.call("POST", "/jobs", JOB, shown | forged) if port == doors.port else None
            listed = send(port, Asked(INTERNAL[0], "GET", "/jobs", b""), shown | forged)
            health = send(port, Asked(INTERNAL[0], "GET", "/health", b""), forged)
            assert made is None or made.status == 201, (header, made)
            assert (listed.status, health.status) == (200, 200), header
            assert "cursors" not in listed.json
            heard.append(header)
    assert not doors.node.own_addresses.places
    create = Asked(INTERNAL[0], "POST", "/jobs", b'{"url": "https://example.com/hook"}')
    believed = send(doors.inner_port, create, create.proof(headers={"hookline-epoch": "99"}) | shown)
    assert believed.code == "epoch_unknown", "from one of ours it would"
    wrong = create.proof(STRANGER, headers={"hookline-epoch": "99"}) | shown
    assert send(doors.inner_port, create, wrong).code == "unauthorized"


def test_a_proxy_has_no_such_call_and_passes_nothing_on(tmp_path: Path) -> None:
    clusters = Clusters(tmp_path, 1, root_key=ROOT)
    try:
        proxy = clusters.start_proxy(root_key=ROOT)
        shown = {"Authorization": f"Bearer {ROOT}"}
        for call in INTERNAL:
            one = asked(call)
            for headers in ({}, one.proof(), shown):
                assert send(proxy.port, one, headers).code == "route_not_found", call.name
        jobs = Asked(INTERNAL[0], "GET", "/jobs?limit=1", b"")
        for headers in (FORGED, jobs.proof(), jobs.proof(STRANGER), {"hookline-proof": "x"}):
            assert send(proxy.port, jobs, shown | headers).status == 200
    finally:
        clusters.close()


@pytest.mark.parametrize(
    ("of_nodes", "of_proxy", "wanted"),
    [(None, ROOT, 201), (ROOT, None, 503), (ROOT, FORMER, 503)],
    ids=["only proxies", "only nodes", "another"],
)
def test_a_proxy_may_ask_for_keys_before_nodes_that_do_not_and_not_the_other_way_round(
    tmp_path: Path, of_nodes: str | None, of_proxy: str | None, wanted: int
) -> None:
    clusters = Clusters(tmp_path, 1, root_key=of_nodes)
    try:
        proxy = clusters.start_proxy(root_key=of_proxy)
        with ThreadPoolExecutor(20) as threads:
            shown = f"Bearer {of_proxy or of_nodes}"
            made = list(threads.map(lambda _: proxy.post("/jobs", JOB, authorization=shown), range(60)))
        assert {answer.status for answer in made} == {wanted}, made[0]
    finally:
        clusters.close()


# --- where nobody is asked for a key ----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_beyond", [False, True], ids=["loopback", "beyond"])
def test_without_keys_only_what_hands_out_jobs_or_the_state_is_closed(tmp_path: Path, is_beyond: bool) -> None:
    settings: dict[str, Any] = {"host": "0.0.0.0", "no_auth": True} if is_beyond else {}
    with NodeUnderTest(node_config(tmp_path / "n1", **settings), None).running() as node:
        open_to_all = {call.name for call in INTERNAL if send(node.port, asked(call), {}).status != 401}
        closed = {"exchange"} | ({"describeSnapshot", "readSnapshot"} if is_beyond else set())
        assert {call.name for call in INTERNAL} - open_to_all == closed
        for call in INTERNAL:
            one = asked(call)
            assert send(node.port, one, one.proof(BY_VAULT)).status != 401, call.name
            is_refused = send(node.port, one, one.proof(STRANGER)).status == 401
            assert is_refused == (call.name in closed), "a proof that is not right is as none"
