"""Giving our topology to nodes and taking theirs, with a scripted sender on virtual time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from hookline.protocol.topology import encode_topology
from hookline.proxy.giver import TopologyGiver
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.sender import Answer, NotSent, Unclear
from hookline.testing import virtual_time
from tests.proxy_parts import LoopClock, Script, ScriptedSender, problem, topology

URL = "http://a:1"
NEWER = topology(3, epoch=9)


def parts(script: Script) -> tuple[TopologyGiver, ScriptedSender, KnownTopology]:
    sender, known = ScriptedSender(script), KnownTopology(topology(2, epoch=4))
    return TopologyGiver(sender, known, LoopClock()), sender, known


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return virtual_time.run(main)


def misdirected() -> Answer:
    return problem(421, "misdirected", topology=msgspec.json.decode(encode_topology(NEWER)))


def test_a_node_is_put_the_document() -> None:
    giver, sender, known = parts(lambda url, call: Answer(200))
    assert run(giver.give(URL))
    [(url, call)] = sender.sent
    assert (url, call.method, call.target, call.body) == (URL, "PUT", "/internal/topology", known.document)
    assert call.headers == ((b"content-type", b"application/json"),)


@pytest.mark.parametrize(
    "said", [NotSent, Unclear, 0.0, problem(409, "epoch_taken"), problem(503, "no_leader"), Answer(502, b"<html>")]
)
def test_it_says_when_the_node_does_not_have_it(said: Any) -> None:
    giver, _, known = parts(lambda url, call: said)
    assert not run(giver.give(URL))
    assert known.epoch == 4


def test_what_a_node_has_newer_is_taken() -> None:
    giver, _, known = parts(lambda url, call: misdirected())
    assert not run(giver.give(URL))
    assert known.topology == NEWER


@pytest.mark.parametrize(
    "answer",
    [
        problem(421, "misdirected"),
        problem(421, "misdirected", topology={"epoch": 9}),
        problem(421, "misdirected", topology="x"),
        problem(409, "epoch_taken", topology=msgspec.json.decode(encode_topology(NEWER))),
        Answer(421, misdirected().body),
    ],
    ids=["without one", "no topology", "a text", "another problem", "no problem"],
)
def test_everything_else_teaches_nothing(answer: Answer) -> None:
    giver, _, known = parts(lambda url, call: answer)
    giver.learn_from(answer)
    assert known.epoch == 4


def test_calls_that_meet_a_node_at_once_share_one_attempt() -> None:
    for said, is_taken in ((Answer(200), True), (problem(503, "no_leader"), False)):
        giver, sender, _ = parts(lambda url, call, said=said: said)  # type: ignore[misc]

        async def main(giver: TopologyGiver = giver) -> list[bool]:
            return await asyncio.gather(*[giver.give(URL, since_ms=0) for _ in range(20)])

        assert run(main()) == [is_taken] * 20
        assert len(sender.sent) == 1


def test_an_attempt_from_before_does_not_count() -> None:
    giver, sender, known = parts(lambda url, call: Answer(200))

    async def main() -> None:
        await giver.give(URL)
        given_ms = LoopClock().boot_ms()
        await giver.give(URL, since_ms=given_ms)
        assert len(sender.sent) == 1
        await giver.give(URL, since_ms=given_ms + 1)
        assert len(sender.sent) == 2, "it came too early to help"
        await giver.give(URL)
        assert len(sender.sent) == 3, "nobody asked to share"
        known.learn(NEWER)
        await giver.give(URL, since_ms=0)
        assert sender.sent[-1][1].body == encode_topology(NEWER), "another topology by now"
        await giver.give("http://b:1", since_ms=0)
        assert len(sender.sent) == 5, "another node"

    run(main())
