"""Each call to a process of ours carries a proof, also where its clock is another one than ours."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from hookline.clock import Clock
from hookline.errors import HooklineError
from hookline.http_api.inner_door import InnerDoor
from hookline.http_api.problems import problem_reply
from hookline.peers.proven_sender import ProvenSender
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.calls import CALLS
from hookline.protocol.proofs import PROOF, ProofKey, proof_key
from tests.node_parts import ManualClock

KEY = proof_key(b"ours")
POSITION = NodeCall.to(CALLS["readPosition"])
HOUR_MS = 3_600_000


@dataclass
class Place:
    """A process that takes proofs by a clock of its own; it notes how each call was met."""

    clock: ManualClock = field(default_factory=ManualClock)
    key: ProofKey = KEY
    met: list[str] = field(default_factory=list)
    got: list[NodeCall] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.door = InnerDoor([self.key], self.clock, asks_for_keys=True, is_reached_from_afar=True)

    async def send(self, _url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        assert timeout_s > 0
        self.got.append(call)
        path, _, query = call.target.partition("?")
        row = next(row for row in CALLS.values() if (row.method, row.path) == (call.method, path))
        scope = {"method": call.method, "raw_path": path.encode(), "query_string": query.encode()}
        try:
            caller, _ = self.door.admit(row, scope | {"headers": list(call.headers)})
        except HooklineError as error:
            self.met.append(error.code)
            reply = problem_reply(error)
            body = msgspec.json.encode(msgspec.json.decode(reply.body) | self.changes)
            return NodeAnswer(reply.status, body, reply.content_type)
        self.met.append("proven" if caller.is_proven else caller.kind)
        return NodeAnswer(200)


def sender(place: Place, clock: Clock | None = None, key: ProofKey | None = KEY) -> ProvenSender:
    return ProvenSender(place, key, clock or ManualClock(), b"process1")


async def test_each_call_is_proven_and_each_by_a_proof_of_its_own() -> None:
    place = Place()
    ours = sender(place)
    create = NodeCall("POST", "/jobs?x=1", ((b"hookline-epoch", b"7"), (b"authorization", b"Bearer k")), b"{}")
    for call in (POSITION, POSITION, create):
        assert (await ours.send("http://n1", call, 1.0)).status == 200
    assert place.met == ["proven"] * 3
    assert place.got[2].headers[:2] == create.headers
    assert len({dict(call.headers)[PROOF] for call in place.got}) == 3


async def test_the_proof_of_somebody_else_goes_no_further() -> None:
    place = Place()
    foreign = NodeCall("GET", "/jobs", ((PROOF, b"x"), (b"accept", b"*/*")))
    await sender(place).send("http://n1", foreign, 1.0)
    await sender(place, key=None).send("http://n1", foreign, 1.0)
    assert place.met == ["proven", "client"]
    assert [name for name, _ in place.got[1].headers] == [b"accept"]


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, -HOUR_MS])
async def test_where_the_clock_is_another_one_the_proof_is_dated_by_that(ahead_ms: int) -> None:
    place = Place()
    place.clock.step_ms(ahead_ms)
    ours = sender(place)
    for _ in range(2):
        assert (await ours.send("http://n1", POSITION, 1.0)).status == 200
    assert place.met == ["clock_differs", "proven", "proven"], "it is asked once"
    place.clock.step_ms(-ahead_ms)
    assert (await ours.send("http://n1", POSITION, 1.0)).status == 200, "and again when it was set"


@pytest.mark.parametrize("changes", [{"word": "0" * 64}, {"word": None}, {"now_ms": 5}, {"now_ms": "x"}])
async def test_nobody_else_tells_what_the_time_is(changes: dict[str, Any]) -> None:
    place = Place(changes=changes)
    place.clock.step_ms(HOUR_MS)
    assert (await sender(place).send("http://n1", POSITION, 1.0)).status == 401
    assert place.met == ["clock_differs"]


async def test_that_a_proof_is_refused_is_kept_in_mind() -> None:
    place = Place(key=proof_key(b"theirs"))
    ours = sender(place)
    await ours.send("http://n1", NodeCall("GET", "/jobs"), 1.0)
    assert not ours.refusing, "a client may have had the wrong key"
    await ours.send("http://n1", POSITION, 1.0)
    assert ours.refusing == {"http://n1"}
    assert place.met == ["unauthorized"] * 2
