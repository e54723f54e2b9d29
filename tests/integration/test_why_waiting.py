"""Why a job waits, asked of a whole node: each reason by what brings it about, and that it goes with its cause."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hookline.client.answers import WaitingFor
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.vault import Vault, sealing_key_id
from hookline.protocol.commands import PutDestination
from hookline.protocol.durations import format_time
from hookline.protocol.jobs import DEFAULT_TENANT
from hookline.protocol.settings import DestinationSettings, encode
from hookline.protocol.signatures import generate_secret
from hookline.testing import InProcessNode, answer, hang, run
from hookline.testing.clock import START_MS
from tests.node_parts import entry

HOST = "example.com"
URL = f"https://{HOST}/hook"
HOUR_MS = 3_600_000


async def why(node: InProcessNode, job_id: str) -> WaitingFor:
    waits = (await node.client.get_job(job_id)).waiting_for
    assert waits is not None
    return waits


def on_a_node(scenario: Callable[[InProcessNode], Awaitable[None]], slots: int = 100) -> None:
    async def main() -> None:
        async with InProcessNode(slots=slots) as node:
            await scenario(node)

    run(main())


def test_time_until_it_is_due() -> None:
    async def scenario(node: InProcessNode) -> None:
        job = await node.client.create_job(URL, delay="1h")
        assert job.waiting_for is not None
        waits = await why(node, job.id)
        assert (waits.reason, waits.detail) == ("time", "it is not due yet") == (job.waiting_for.reason, waits.detail)
        assert waits.until == job.run_at
        await node.advance("1h")
        assert (await node.client.get_job(job.id)).waiting_for is None

    on_a_node(scenario)


def test_retry_after_an_attempt_that_failed() -> None:
    async def scenario(node: InProcessNode) -> None:
        node.receiver.next(answer(500))
        job = await node.client.create_job(URL, retry={"initial": "10m", "max": "10m"})
        await node.receiver.wait_for(1)
        await node.advance(0)
        waits = await why(node, job.id)
        assert (waits.reason, waits.detail) == ("retry", "attempt 1 failed; the next one follows at its time")
        assert waits.until == (await node.client.get_job(job.id)).next_attempt_at
        await node.finished(job)
        assert len(node.receiver.requests) == 2

    on_a_node(scenario)


def test_paused_until_the_destination_is_resumed() -> None:
    async def scenario(node: InProcessNode) -> None:
        await node.client.put_destination(HOST, paused=True)
        job = await node.client.create_job(URL)
        await node.advance("1h")
        waits = await why(node, job.id)
        assert (waits.reason, waits.detail, waits.until) == ("paused", "the destination is paused", None)
        await node.client.put_destination(HOST, paused=False)
        await node.finished(job, within=1)

    on_a_node(scenario)


def test_breaker_until_the_destination_is_tried_again() -> None:
    async def scenario(node: InProcessNode) -> None:
        node.receiver.next(*[answer(500)] * 10)
        for _ in range(10):
            await node.client.create_job(URL, retry={"initial": "1h", "max": "1h"})
            await node.advance(0)
        assert (await node.client.get_destination(HOST)).breaker.state == "open"
        job = await node.client.create_job(URL)
        await node.advance(0)
        waits = await why(node, job.id)
        assert (waits.reason, waits.detail) == ("breaker", "the destination fails; it is tried again after a pause")
        assert waits.until is not None
        left_s = waits.until.timestamp() - node.clock.wall_ms() / 1_000
        assert left_s > 0.5
        await node.advance(left_s - 0.1)
        assert (await why(node, job.id)).reason == "breaker"
        await node.finished(job, within=1)

    on_a_node(scenario)


def test_rate_until_the_window_lets_the_next_one_in() -> None:
    async def scenario(node: InProcessNode) -> None:
        await node.client.put_destination(HOST, rate={"limit": 1, "per": "10s"})
        await node.client.create_job(URL)
        await node.advance(1)
        job = await node.client.create_job(URL)
        await node.advance(0)
        waits = await why(node, job.id)
        assert (waits.reason, waits.detail) == ("rate", "the destination's rate of 1 in 10000 ms is reached")
        assert waits.until is not None
        left_s = waits.until.timestamp() - node.clock.wall_ms() / 1_000
        assert 8 < left_s < 10
        await node.finished(job, within=left_s + 0.1)

    on_a_node(scenario)


def test_share_while_the_destination_has_its_limit() -> None:
    async def scenario(node: InProcessNode) -> None:
        await node.client.put_destination(HOST, concurrency=1)
        node.receiver.next(answer(after=60))
        running = await node.client.create_job(URL, timeout=90)
        job = await node.client.create_job(URL)
        await node.advance(1)
        waits = await why(node, job.id)
        assert (waits.reason, waits.until) == ("share", None)
        assert waits.detail == "the destination's limit of 1 attempts at once is reached"
        await node.finished(running)
        await node.finished(job, within=1)

    on_a_node(scenario)


def test_share_while_the_destination_does_not_answer_in_time() -> None:
    async def scenario(node: InProcessNode) -> None:
        node.receiver.next(*[hang()] * 4)
        for _ in range(2):
            await node.client.create_job(URL, timeout=1, retry={"max_attempts": 1})
            await node.advance(2)
        await node.client.create_job(URL, timeout=60)
        job = await node.client.create_job(URL)
        await node.advance(1)
        waits = await why(node, job.id)
        assert waits.reason == "share"
        assert waits.detail == "the destination does not answer in time; it gets fewer attempts at once"

    on_a_node(scenario, slots=4)


def test_slots_while_all_are_in_use() -> None:
    async def scenario(node: InProcessNode) -> None:
        node.receiver.next(answer(after=60), answer(after=60))
        for number in range(2):
            await node.client.create_job(f"https://{number}.example.com/hook", timeout=90)
        job = await node.client.create_job(URL)
        await node.advance(1)
        waits = await why(node, job.id)
        assert (waits.reason, waits.detail, waits.until) == ("slots", "all 2 slots are in use", None)
        await node.finished(job)

    on_a_node(scenario, slots=2)


def test_clock_while_the_machine_may_be_behind() -> None:
    async def scenario(node: InProcessNode) -> None:
        job = await node.client.create_job(URL, run_at=format_time(START_MS + 2 * HOUR_MS))
        node.clock.step_ms(2 * HOUR_MS)
        waits = await why(node, job.id)
        assert (waits.reason, waits.until) == ("clock", None)
        assert waits.detail.startswith("it may be due: this machine's clock has jumped")
        await node.client.trust_clock()
        await node.finished(job, within=1)

    on_a_node(scenario)


def test_key_while_the_node_does_not_have_the_one_that_sealed_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that had another key wrote the log that this one begins with."""
    foreign = Vault([b"other" + bytes(27)]).seal(generate_secret(bytes(24)), nonce=bytes(12))
    key_id = sealing_key_id(foreign)
    database = open_state(tmp_path / "state.db", durable=False)
    digest = StateMachine(database).digest
    database.close()

    async def main() -> None:
        log = MemoryLog()
        monkeypatch.setattr("hookline.testing.node.MemoryLog", lambda: log)
        settings = encode(DestinationSettings(sealed_secrets=(foreign,)))
        put = PutDestination(DEFAULT_TENANT, f"https://{HOST}:443", settings)
        await log.append(entry(1, [put], term=0, time_ms=START_MS, before=digest))
        async with InProcessNode() as node:
            job = await node.client.create_job(URL)
            await node.advance(1)
            waits = await why(node, job.id)
            assert waits.reason == "key"
            assert waits.detail == f"its secret is sealed with key {key_id}, which this node does not have"
            health = await node.client.health()
            assert (health.status, key_id in (health.detail or "")) == ("degraded", True)
            assert node.receiver.requests == []
            await node.client.put_destination(HOST, secrets=[])
            await node.finished(job)

    run(main())
