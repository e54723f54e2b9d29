"""The forwarder with a scripted sender, on virtual time."""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.errors import AllClustersUnavailable, ClusterUnavailable, DeadlineExceeded
from hookline.http_api.hops import EPOCH, TIMEOUT
from hookline.protocol.topology import Topology, encode_topology
from hookline.proxy.config import ProxyConfig
from hookline.proxy.forwarder import Forwarder
from hookline.proxy.health import Health
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.metrics import ProxyMetrics
from hookline.proxy.sender import Answer, Call, NotSent, Unclear
from hookline.testing import virtual_time
from tests.proxy_parts import C0, C1, LoopClock, Script, ScriptedSender, problem

TOPOLOGY = Topology(epoch=1, clusters=(C0, C1))
CREATE = Call("POST", "/jobs", body=b"{}")
OK = Answer(201)


def parts(script: Script) -> tuple[Forwarder, ScriptedSender, KnownTopology]:
    sender, known = ScriptedSender(script), KnownTopology(TOPOLOGY)
    config = ProxyConfig(topology=Path("t.toml"))
    return Forwarder(sender, Health(), known, LoopClock(), ProxyMetrics(), config), sender, known


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return virtual_time.run(main)


def both(forwarder: Forwarder, call: Call = CREATE) -> Coroutine[Any, Any, Answer]:
    return forwarder.submit(lambda router: list(router.topology.clusters), lambda _: call, 10_000)


def test_it_adds_epoch_and_time() -> None:
    forwarder, sender, _ = parts(lambda url, call: OK)
    assert run(forwarder.to_cluster(C0, CREATE, 10_000)).status == 201
    assert sender.sent[0][1].headers == ((EPOCH, b"1"), (TIMEOUT, b"4000"))


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
        run(both(forwarder, Call("POST", "/jobs/x/run", is_repeatable=False)))
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
    said: Iterator[Answer | type[Exception]] = iter([Unclear, *[problem(429, "queue_full")] * 50])
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
        run(forwarder.submit(lambda router: [C0], lambda _: CREATE, 10_000))


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


def test_a_cluster_that_does_not_know_the_epoch_is_given_it() -> None:
    has_it: list[str] = []

    def script(url: str, call: Call) -> Answer:
        if call.method == "PUT":
            has_it.append(url)
            return Answer(200)
        return OK if has_it else problem(409, "epoch_unknown")

    forwarder, sender, _ = parts(script)
    assert run(forwarder.to_cluster(C0, CREATE, 10_000)).status == 201
    assert [call.method for _, call in sender.sent] == ["POST", "PUT", "POST"]


def test_a_newer_topology_is_learned_and_the_call_routed_again() -> None:
    newer = msgspec.json.decode(encode_topology(Topology(epoch=2, clusters=(C1, C0))))

    def script(url: str, call: Call) -> Answer:
        return OK if (EPOCH, b"2") in call.headers else problem(421, "misdirected", topology=newer)

    forwarder, sender, known = parts(script)
    assert run(both(forwarder)).status == 201
    assert (known.epoch, sender.urls) == (2, ["http://a:1", "http://b:1"])


def test_after_an_unclear_try_a_newer_topology_moves_nothing() -> None:
    newer = msgspec.json.decode(encode_topology(Topology(epoch=2, clusters=(C1, C0))))
    said: Iterator[Answer | type[Exception]] = iter([Unclear, problem(421, "misdirected", topology=newer)])
    forwarder, sender, known = parts(lambda url, call: next(said))
    with pytest.raises(DeadlineExceeded):
        run(both(forwarder))
    assert known.epoch == 2
    assert not any("//b" in url for url in sender.urls)


@pytest.mark.parametrize("answer", [problem(503, "not_enough_space"), problem(500, "internal"), Answer(502)])
def test_a_refusal_after_an_unclear_try_is_no_word_that_nothing_was_stored(answer: Answer) -> None:
    said: Iterator[Answer | type[Exception]] = iter([Unclear, *[answer] * 50])
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
        lambda url, call: Answer(200) if call.method == "PUT" else OK if "a:2" in url else problem(409, "epoch_unknown")
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
            await forwarder.giver.give(cluster.nodes[0])

    run(main())
    forwarder.keep([C1])
    assert list(forwarder.breakers) == ["c1"]
    assert list(forwarder.giver._giving) == list(forwarder.giver._given) == ["http://b:1"]
