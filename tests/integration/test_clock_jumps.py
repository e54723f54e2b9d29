"""A node alone whose machine's wall clock jumps: nothing is early, nothing new waits, and schedules find back."""

from datetime import UTC, datetime

import pytest

from hookline.protocol.durations import format_time
from hookline.testing import InProcessNode, run
from hookline.testing.clock import START_MS

URL = "https://shop.example/hook"
HOUR_MS = 3_600_000
MINUTE_MS = 60_000


async def arrived(node: InProcessNode, *, after: str | float) -> list[str]:
    """The ids that arrive within a time."""
    before = len(node.receiver.requests)
    await node.advance(after)
    return [request.webhook_id for request in node.receiver.requests[before:]]


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS, 2_000, -2_000])
def test_jobs_for_now_and_soon_go_on_while_the_clock_is_wrong(jump_ms: int) -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            node.clock.step_ms(jump_ms)
            now = await node.client.create_job(URL)
            soon = await node.client.create_job(URL, delay=3)
            assert await arrived(node, after=1) == [now.id]
            assert await arrived(node, after=3) == [soon.id]

    run(main())


@pytest.mark.parametrize("jump_ms", [HOUR_MS, 2_000])
def test_what_is_due_later_is_not_sent_early_however_long_the_jump_stays(jump_ms: int) -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            later = await node.client.create_job(URL, run_at=format_time(START_MS + 30 * MINUTE_MS))
            await node.client.create_schedule("* * * * *", {"url": URL})
            await node.advance(0.5)
            node.clock.step_ms(jump_ms)
            assert await arrived(node, after=58) == []
            assert len(await arrived(node, after=2)) == 1, "the tick of the first minute, at its time"
            node.clock.step_ms(-jump_ms)
            assert len(await arrived(node, after=28 * 60)) == 28
            assert later.id in await arrived(node, after=60)

    run(main())


def test_jobs_that_were_taken_during_a_jump_of_an_hour_do_not_wait_for_it() -> None:
    """V9: a blip of 2.5 s made them wait an hour."""

    async def main() -> None:
        async with InProcessNode() as node:
            await node.advance(1)
            node.clock.step_ms(HOUR_MS)
            soon = await node.client.create_job(URL, delay=3)
            await node.advance(2.5)
            node.clock.step_ms(-HOUR_MS)
            assert await arrived(node, after=1) == [soon.id]

    run(main())


def test_a_clock_an_hour_behind_delays_what_has_a_time_and_says_why() -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            job = await node.client.create_job(URL, run_at=format_time(START_MS + MINUTE_MS))
            node.clock.step_ms(-HOUR_MS)
            await node.advance(120)
            waits = (await node.client.get_job(job.id)).waiting_for
            assert waits is not None
            assert waits.reason == "clock"
            assert "trust-clock" in waits.detail
            node.clock.step_ms(HOUR_MS)
            assert await arrived(node, after=61) == [job.id]

    run(main())


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS])
def test_an_operator_can_say_that_the_new_time_is_right(jump_ms: int) -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            due = await node.client.create_job(URL, run_at=format_time(START_MS + jump_ms + 10_000))
            await node.advance(1)
            node.receiver.requests.clear()
            node.clock.step_ms(jump_ms)
            health = await node.client.health()
            assert health.status == "ok"
            assert "trust-clock" in (health.detail or "")
            view = await node.client.trust_clock()
            assert view.trusted
            soon = await node.client.create_job(URL, delay=3)
            found = await arrived(node, after=30)
            assert soon.id in found
            assert (due.id in found) == (jump_ms > 0)
            assert (await node.client.get_job(soon.id)).state == "succeeded"

    run(main())


def test_idempotency_keys_live_their_time_through_a_jump() -> None:
    async def main() -> None:
        async with InProcessNode(key_window_ms=10 * MINUTE_MS) as node:
            first = await node.client.create_job(URL, idempotency_key="key")
            await node.advance(60)
            node.clock.step_ms(HOUR_MS)
            await node.advance(120)
            again = await node.client.create_job(URL, idempotency_key="key")
            assert (again.id, again.deduplicated) == (first.id, True)
            node.clock.step_ms(-HOUR_MS)
            await node.advance(60)
            again = await node.client.create_job(URL, idempotency_key="key")
            assert (again.id, again.deduplicated) == (first.id, True)

    run(main())


def test_a_schedule_finds_back_when_a_clock_that_was_ahead_from_the_start_is_right() -> None:
    """Its ticks of the next hour are made by the wrong clock; those after the correction come at their time, once."""

    async def main() -> None:
        async with InProcessNode(start_ms=START_MS + HOUR_MS) as node:
            await node.client.create_schedule("* * * * *", {"url": URL}, id="s")
            end_at = format_time(START_MS + HOUR_MS + 2 * MINUTE_MS)
            await node.client.create_schedule("1 * * * *", {"url": URL}, id="ended", end_at=end_at)
            await node.advance("2m30s")
            assert len(node.receiver.requests) == 3
            assert (await node.client.get_schedule("ended")).next_tick_at is None
            node.clock.step_ms(-HOUR_MS)
            await node.client.trust_clock()
            assert len(await arrived(node, after="3m")) == 3
            schedule = await node.client.get_schedule("s")
            assert schedule.next_tick_at == datetime.fromtimestamp((START_MS + 6 * MINUTE_MS) / 1_000, UTC)
            ended = await node.client.get_schedule("ended")
            assert ended.next_tick_at is not None, "it has not ended after all"
            await node.advance("70m")
            ids = [request.webhook_id for request in node.receiver.requests]
            assert len(set(ids)) == len(ids), "the ticks that the wrong clock made are not made again"
            assert len(ids) == 3 + 73 - 2

    run(main())


def test_what_the_clock_says_is_told() -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            cluster = await node.client.cluster()
            assert cluster.clock is not None
            assert cluster.clock.trusted
            assert (await node.client.health()).detail is None
            node.clock.step_ms(HOUR_MS)
            cluster = await node.client.cluster()
            assert cluster.clock is not None
            assert not cluster.clock.trusted
            assert "3,600.0 s ahead of" in (cluster.clock.detail or "")
            node.clock.step_ms(-HOUR_MS)
            assert (await node.client.health()).detail is None

    run(main())


def test_a_clock_behind_the_newest_entry_is_told() -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            await node.client.create_job(URL)
            node.clock.step_ms(-HOUR_MS)
            await node.client.trust_clock()
            assert "stamped up to 3,6" in ((await node.client.health()).detail or "")

    run(main())
