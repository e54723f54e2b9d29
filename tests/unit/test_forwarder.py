"""The forwarder with a scripted sender, on virtual time."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.errors import AllClustersUnavailable, ClusterUnavailable, DeadlineExceeded
from hookline.http_api.forwarded_headers import CLUSTER, DECIDED, EPOCH, TIMEOUT, TOPOLOGY
from hookline.peers.sender import NeverLeft, NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol.topology import Topology, digest_of, encode_topology, version_of
from hookline.proxy.config import ProxyConfig
from hookline.proxy.forwarder import BREAKER_FAILURES, Candidates, Forwarder
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.metrics import ProxyMetrics
from hookline.testing import virtual_time
from tests.proxy_parts import C0, C1, LoopClock, Script, ScriptedSender, all_of_them, problem

DOCUMENT = Topology(epoch=1, clusters=(C0, C1))
CREATE = NodeCall("POST", "/jobs", body=b"{}")
OK = NodeAnswer(201)


def parts(script: Script, health: KnownHealth | None = None) -> tuple[Forwarder, ScriptedSender, KnownTopology]:
    sender, known = ScriptedSender(script), KnownTopology(DOCUMENT)
    config = ProxyConfig(topology=Path("t.toml"))
    return Forwarder(sender, health or KnownHealth(), known, LoopClock(), ProxyMetrics(), config), sender, known


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return virtual_time.run(main)


def both(forwarder: Forwarder, call: NodeCall = CREATE) -> Coroutine[Any, Any, NodeAnswer]:
    return forwarder.submit(all_of_them, lambda _: call, 10_000)


def test_it_adds_the_topology_the_cluster_and_the_time() -> None:
    forwarder, sender, _ = parts(lambda url, call: OK)
    assert run(forwarder.to_cluster(C0, CREATE, 10_000)).status == 201
    digest = (TOPOLOGY, version_of(DOCUMENT).digest.encode())
    assert sender.sent[0][1].headers == ((EPOCH, b"1"), digest, (CLUSTER, b"c0"), (TIMEOUT, b"4000"))


def test_a_cluster_that_refuses_surely_is_followed_by_the_next() -> None:
    forwarder, sender, _ = parts(lambda url, call: NotSent if "a" in url.split("//")[1] else OK)
    assert run(both(forwarder)).status == 201
    assert sender.urls == ["http://a:1", "http://a:2", "http://b:1"]


def test_after_an_unclear_try_no_other_cluster_is_asked() -> None:
    said = iter([Unclear] + [NotSent] * 50)
    forwarder, sender, _ = parts(lambda url, call: next(said))
    with pytest.raises(DeadlineExceeded):
        run(both(forwarder))
    assert not any("//b" in url for url in sender.urls)
    assert len(sender.sent) == 10, "the budget"
    assert [call.is_again for _, call in sender.sent] == [False] + [True] * 9


def test_what_is_not_repeatable_is_sent_once_when_unclear() -> None:
    forwarder, sender, _ = parts(lambda url, call: Unclear)
    with pytest.raises(DeadlineExceeded):
        run(both(forwarder, NodeCall("POST", "/jobs/x/run", is_repeatable=False)))
    assert len(sender.sent) == 1


def test_silence_ends_by_the_deadline() -> None:
    forwarder, _, _ = parts(lambda url, call: 0.0)

    async def main() -> float:
        with pytest.raises(DeadlineExceeded):
            await forwarder.to_cluster(C0, CREATE, 10_000)
        return asyncio.get_running_loop().time()

    assert run(main()) <= 10.001


def test_a_full_queue_sends_on_and_is_the_answer_when_all_are_full() -> None:
    forwarder, sender, _ = parts(lambda url, call: problem(429, "queue_full"))
    assert run(both(forwarder)).code == "queue_full"
    assert sender.urls == ["http://a:1", "http://b:1"]


def test_a_full_queue_after_an_unclear_try_moves_nothing() -> None:
    said: Iterator[NodeAnswer | type[Exception]] = iter([Unclear, *[problem(429, "queue_full")] * 50])
    forwarder, sender, _ = parts(lambda url, call: next(said))
    with pytest.raises(DeadlineExceeded):
        run(both(forwarder))
    assert not any("//b" in url for url in sender.urls)


def test_none_left() -> None:
    forwarder, _, _ = parts(lambda url, call: NotSent)
    with pytest.raises(AllClustersUnavailable):
        run(both(forwarder))
    forwarder, _, _ = parts(lambda url, call: problem(503, "no_leader"))
    with pytest.raises(ClusterUnavailable):
        run(forwarder.submit(lambda _: Candidates(1, (C0,)), lambda _: CREATE, 10_000))


def test_the_breaker_opens_after_five_calls_and_then_nothing_is_sent() -> None:
    forwarder, sender, _ = parts(lambda url, call: NotSent)

    async def main() -> None:
        for _ in range(5):
            with pytest.raises(ClusterUnavailable):
                await forwarder.to_cluster(C1, CREATE, 100_000)
        sent = len(sender.sent)
        with pytest.raises(ClusterUnavailable):
            await forwarder.to_cluster(C1, CREATE, 100_000)
        assert len(sender.sent) == sent

    run(main())
    assert forwarder.breaker(C1).state == "open"


def test_what_never_left_says_nothing_about_the_node() -> None:
    health = KnownHealth()
    forwarder, _, _ = parts(lambda url, call: NeverLeft, health)

    async def main() -> None:
        for _ in range(10):
            with pytest.raises(ClusterUnavailable):
                await forwarder.to_cluster(C1, CREATE, 100_000)

    run(main())
    assert (forwarder.breaker(C1).state, health.node(C1.nodes[0]).state) == ("closed", "unknown")


@pytest.mark.parametrize(("timeout_ms", "state"), [(1_200, "open"), (900, "closed")], ids=["long", "short"])
def test_those_that_waited_in_vain_behind_a_silent_cluster_count_as_those_that_were_sent(
    timeout_ms: int, state: str
) -> None:
    forwarder, _, _ = parts(lambda url, call: NeverLeft(is_silence=True))

    async def main() -> None:
        for _ in range(BREAKER_FAILURES):
            assert forwarder.breaker(C1).state == "closed"
            with pytest.raises(ClusterUnavailable):
                await forwarder.to_cluster(C1, CREATE, LoopClock().boot_ms() + timeout_ms, rounds_max=1)

    run(main())
    assert forwarder.breaker(C1).state == state


def test_one_that_waited_in_vain_goes_by_itself_over_a_connection_of_its_own() -> None:
    forwarder, sender, _ = parts(lambda url, call: OK if call.is_again else NeverLeft(is_silence=True))
    assert run(forwarder.to_cluster(C1, CREATE, 10_000)) == OK  # and not as one that may have been taken before
    assert [call.is_again for _, call in sender.sent] == [False, True]


def test_a_cluster_that_does_not_know_the_epoch_is_given_it() -> None:
    has_it: list[str] = []

    def script(url: str, call: NodeCall) -> NodeAnswer:
        if call.method == "PUT":
            has_it.append(url)
            return NodeAnswer(200)
        return OK if has_it else problem(409, "epoch_unknown")

    forwarder, sender, _ = parts(script)
    assert run(forwarder.to_cluster(C0, CREATE, 10_000)).status == 201
    assert [call.method for _, call in sender.sent] == ["POST", "PUT", "POST"]


def test_a_newer_topology_is_learned_and_the_call_routed_again() -> None:
    newer = msgspec.json.decode(encode_topology(Topology(epoch=2, clusters=(C1, C0))))

    def script(url: str, call: NodeCall) -> NodeAnswer:
        return OK if (EPOCH, b"2") in call.headers else problem(421, "misdirected", topology=newer)

    forwarder, sender, known = parts(script)
    assert run(both(forwarder)).status == 201
    assert (known.epoch, sender.urls) == (2, ["http://a:1", "http://b:1"])


def test_after_an_unclear_try_a_newer_topology_moves_nothing() -> None:
    newer = msgspec.json.decode(encode_topology(Topology(epoch=2, clusters=(C1, C0))))
    said: Iterator[NodeAnswer | type[Exception]] = iter([Unclear, problem(421, "misdirected", topology=newer)])
    forwarder, sender, known = parts(lambda url, call: next(said))
    with pytest.raises(DeadlineExceeded):
        run(both(forwarder))
    assert known.epoch == 2
    assert not any("//b" in url for url in sender.urls)


@pytest.mark.parametrize("answer", [problem(503, "not_enough_space"), problem(500, "internal"), NodeAnswer(502)])
def test_a_refusal_after_an_unclear_try_is_no_word_that_nothing_was_stored(answer: NodeAnswer) -> None:
    said: Iterator[NodeAnswer | type[Exception]] = iter([Unclear, *[answer] * 50])
    forwarder, _, _ = parts(lambda url, call: next(said))
    with pytest.raises(DeadlineExceeded):
        run(both(forwarder))


def test_a_node_that_takes_no_topology_costs_no_more_than_the_deadline() -> None:
    """Also when many calls meet it at once: they do not queue for the same attempt."""
    forwarder, sender, _ = parts(lambda url, call: 0.0 if call.method == "PUT" else problem(409, "epoch_unknown"))

    async def main() -> float:
        calls = (forwarder.to_cluster(C1, CREATE, 3_000) for _ in range(20))
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, ClusterUnavailable)
        return asyncio.get_running_loop().time()

    assert run(main()) <= 3.01
    assert sum(call.method == "PUT" for _, call in sender.sent) < 10


def test_a_follower_that_is_behind_with_the_epoch_is_no_reason_for_a_storm() -> None:
    forwarder, sender, _ = parts(
        lambda url, call: (
            NodeAnswer(200) if call.method == "PUT" else OK if "a:2" in url else problem(409, "epoch_unknown")
        )
    )
    assert run(forwarder.to_cluster(C0, CREATE, 10_000)).status == 201
    assert [call.method for _, call in sender.sent] == ["POST", "PUT", "POST", "POST"]


def test_calls_from_before_it_opened_have_no_say_in_how_the_probe_ends() -> None:
    forwarder, sender, _ = parts(lambda url, call: 0.0)
    breaker = forwarder.breaker(C1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            cancelled = tasks.create_task(forwarder.to_cluster(C1, CREATE, 60_000))
            await asyncio.sleep(0.01)
            sender.script = lambda url, call: NotSent
            for _ in range(5):
                with pytest.raises(ClusterUnavailable):
                    await forwarder.to_cluster(C1, CREATE, 60_000)
            await asyncio.sleep(breaker.until_ms / 1_000 - loop.time() + 0.001)
            sender.script = lambda url, call: 0.0
            probe = tasks.create_task(forwarder.to_cluster(C1, CREATE, 60_000))
            await asyncio.sleep(0.01)
            cancelled.cancel()
            await asyncio.wait({cancelled})
            assert breaker.blocked_until(loop.time() * 1_000) is not None, "the probe is still under way"
            probe.cancel()
            await asyncio.wait({probe})
            assert breaker.blocked_until(loop.time() * 1_000) is None, "the next one is the probe"

    run(main())


def test_what_belongs_to_clusters_that_are_gone_is_forgotten() -> None:
    forwarder, _, _ = parts(lambda url, call: OK)

    async def main() -> None:
        for cluster in (C0, C1):
            await forwarder.to_cluster(cluster, CREATE, 10_000)
            await forwarder.pusher.push(cluster.nodes[0])

    run(main())
    forwarder.keep([C1])
    assert list(forwarder.breakers) == ["c1"]
    assert forwarder.pusher.remembered == {"http://b:1"}


# --- the right document, the right cluster, and clusters that are silent --------------------------------------------


def another_document(decided_by: int | None) -> tuple[Topology, NodeAnswer]:
    """The cluster has another topology of epoch 1."""
    other = Topology(epoch=1, clusters=(C1, C0))
    document = encode_topology(other)
    figures = {"epoch": 1, "topology": msgspec.json.decode(document), "digest": digest_of(document)}
    return other, problem(421, "misdirected", decided_by=decided_by, **figures)


def test_a_better_document_of_our_epoch_is_taken_and_the_call_routed_by_it() -> None:
    other, refusal = another_document(0)
    mine = version_of(DOCUMENT).digest.encode()
    forwarder, sender, known = parts(lambda url, call: refusal if (TOPOLOGY, mine) in call.headers else OK)
    assert run(both(forwarder)).status == 201
    assert known.topology == other
    assert sender.urls == ["http://a:1", "http://b:1"], "the other document has c1 first"


def test_a_cluster_with_the_losing_document_gets_ours_in_time() -> None:
    _, refusal = another_document(1)
    given: list[NodeCall] = []

    def script(url: str, call: NodeCall) -> NodeAnswer:
        if call.method == "PUT":
            given.append(call)
            return NodeAnswer(200)
        return OK if given else refusal

    forwarder, sender, known = parts(script)
    known.decided_by = 0
    assert run(both(forwarder)).status == 201
    assert (given[0].body, (DECIDED, b"0") in given[0].headers) == (encode_topology(DOCUMENT), True)
    assert sender.urls == ["http://a:1"] * 3


def test_a_proposal_is_not_given_on_behalf_of_a_call() -> None:
    forwarder, sender, known = parts(lambda url, call: problem(409, "epoch_unknown", epoch=0))
    known.is_in_force = False
    with pytest.raises(AllClustersUnavailable):
        run(both(forwarder))
    assert {call.method for _, call in sender.sent} == {"POST"}


def test_a_node_of_another_cluster_has_not_taken_the_call_and_is_not_asked_again() -> None:
    wrong = problem(421, "wrong_cluster", detail="this is a node of c7")
    forwarder, sender, _ = parts(lambda url, call: wrong if url == "http://a:1" else OK)
    for _ in range(2):
        assert run(both(forwarder)).status == 201
    assert sender.urls == ["http://a:1", "http://a:2", "http://a:2"]


def silent(health: KnownHealth, probes: int = 2) -> None:
    for url in C0.nodes:
        for _ in range(probes):
            health.missed(url, is_refusing=False)


def test_nothing_is_sent_to_a_cluster_that_missed_two_probes_until_it_is_heard() -> None:
    health = KnownHealth()
    forwarder, sender, _ = parts(lambda url, call: OK, health)
    silent(health)
    with pytest.raises(ClusterUnavailable, match="none of its nodes answered the last probes"):
        run(forwarder.to_cluster(C0, CREATE, 10_000))
    assert sender.sent == []
    health.probed("http://a:2", is_ready=True, name="n2", role="leader")
    assert run(forwarder.to_cluster(C0, CREATE, 10_000)).status == 201


def test_one_missed_probe_is_not_enough() -> None:
    health = KnownHealth()
    forwarder, _, _ = parts(lambda url, call: OK, health)
    silent(health, 1)
    assert run(forwarder.to_cluster(C0, CREATE, 10_000)).status == 201


def test_whoever_answers_a_call_is_not_silent() -> None:
    health = KnownHealth()
    forwarder, _, _ = parts(lambda url, call: OK, health)
    silent(health, 1)
    run(forwarder.to_cluster(C0, CREATE, 10_000))
    silent(health, 1)
    assert run(forwarder.to_cluster(C0, CREATE, 10_000)).status == 201


def test_a_cluster_that_refuses_connections_is_tried_once_and_taken_when_it_is_there() -> None:
    health = KnownHealth()
    said: list[Any] = [NotSent, NotSent, OK]
    forwarder, sender, _ = parts(lambda url, call: said.pop(0), health)
    for url in C0.nodes:
        for _ in range(2):
            health.missed(url, is_refusing=True)

    async def main() -> NodeAnswer:
        with pytest.raises(ClusterUnavailable):
            await forwarder.to_cluster(C0, CREATE, 10_000)
        assert len(sender.sent) == 2, "each node once, without a pause"
        return await forwarder.to_cluster(C0, CREATE, 10_000)

    assert run(main()).status == 201


def test_a_call_that_comes_before_any_topology_is_in_force_has_it_settled() -> None:
    forwarder, sender, known = parts(lambda url, call: OK if known.is_in_force else problem(409, "epoch_unknown"))
    known.is_in_force = False

    async def settle() -> None:
        known.confirm(0)

    forwarder.settle = settle
    assert run(both(forwarder)).status == 201
    assert [call.method for _, call in sender.sent] == ["POST", "PUT", "POST"]


def test_after_an_unclear_try_a_topology_that_is_settled_meanwhile_moves_nothing() -> None:
    said: Iterator[NodeAnswer | type[Exception]] = iter([Unclear, problem(409, "epoch_unknown"), *[OK] * 5])
    forwarder, sender, known = parts(lambda url, call: next(said))
    known.is_in_force = False

    async def settle() -> None:
        known.learn(Topology(epoch=2, clusters=(C1, C0)), 0)

    forwarder.settle = settle
    with pytest.raises(DeadlineExceeded):
        run(both(forwarder))
    assert not any("//b" in url for url in sender.urls)
