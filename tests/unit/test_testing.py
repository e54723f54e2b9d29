"""The public testing package: virtual time and the receiver."""

import asyncio

import pytest

from hookline.client.in_process import InProcessClient
from hookline.errors import ConnectionFailed, DeadlineExceeded
from hookline.testing import (
    Deadlocked,
    InProcessNode,
    Reaction,
    ReceivedRequest,
    SimulatedClock,
    answer,
    break_off,
    hang,
    refuse,
    run,
)
from hookline.testing.clock import START_MS

URL = "https://shop.example/hook"


# --- virtual time -------------------------------------------------------------------------------------------------


def test_an_hour_passes_at_once_and_timers_fire_in_their_order() -> None:
    async def main() -> list[str]:
        order: list[str] = []

        async def after(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            order.append(name)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(after(3_600, "an hour"))
            tasks.create_task(after(1, "a second"))
        assert asyncio.get_running_loop().time() == pytest.approx(3_600)
        return order

    assert run(main()) == ["a second", "an hour"]


def test_waiting_for_nothing_is_an_error_that_says_where() -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlocked, match=r"waits_for_ever at .*test_testing\.py:"):
        run(waits_for_ever())


def test_a_set_of_tasks_is_walked_in_the_order_they_were_made() -> None:
    async def main() -> list[int]:
        stopped: list[int] = []

        async def wait(number: int) -> None:
            try:
                await asyncio.sleep(1_000)
            finally:
                stopped.append(number)

        async def break_a_group() -> None:
            async with asyncio.TaskGroup() as tasks:
                for number in range(30):
                    tasks.create_task(wait(number))
                await asyncio.sleep(1)
                raise ValueError

        with pytest.raises(ExceptionGroup):
            await break_a_group()
        return stopped

    first = run(main())
    assert sorted(first) == list(range(30))
    assert run(main()) == first


# --- clock --------------------------------------------------------------------------------------------------------


def test_the_clock_follows_the_loop_and_its_numbers_follow_the_seed() -> None:
    now_s = 1.5
    clock, same, other = (SimulatedClock(lambda: now_s, seed=seed) for seed in (7, 7, 8))
    assert clock.wall_ms() == START_MS + 1_500
    now_s = 2.0
    clock.step_ms(-3_000)
    assert clock.wall_ms() == START_MS - 1_000
    assert clock.boot_ms() == pytest.approx(2_000, abs=0.001)
    numbers = [(each.random(), each.token(8)) for each in (clock, same, other)]
    assert numbers[0] == numbers[1] != numbers[2]


# --- node and receiver --------------------------------------------------------------------------------------------


def test_each_reaction_is_what_the_node_sees() -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            node.receiver.next(refuse(), break_off(after=1), hang(), answer(500, body=b"no"), answer(after="2s"))
            job = await node.client.create_job(URL, payload={"n": 1}, timeout=5, retry={"initial": 1})
            done = await node.finished(job)
            assert done.state == "succeeded"
            attempts = await node.client.attempts(job.id)
            assert [(attempt.status, attempt.outcome) for attempt in attempts] == [
                (None, "retryable_failure"),
                (None, "retryable_failure"),
                (None, "retryable_failure"),
                (500, "retryable_failure"),
                (200, "success"),
            ]
            assert [attempt.duration_ms for attempt in attempts] == [0, 1_000, 5_000, 0, 2_000]
            assert attempts[3].response_body == "no"
            assert [request.attempt for request in node.receiver.requests] == [2, 3, 4, 5]
            assert {(request.webhook_id, request.term) for request in node.receiver.requests} == {(job.id, 1)}

    run(main())


def test_a_request_is_kept_before_it_is_answered() -> None:
    seen: list[ReceivedRequest] = []

    def react(request: ReceivedRequest) -> Reaction:
        seen.append(request)
        return answer(after=10)

    async def main() -> None:
        async with InProcessNode(react) as node:
            await node.client.create_job(URL, payload=[1])
            (request,) = await node.receiver.wait_for(1)
            assert request.json() == [1]
            assert (request.method, request.url, request.time_ms) == ("POST", URL, START_MS)
            assert seen == [request]

    run(main())


@pytest.mark.parametrize("step_ms", [0, -3_600_000, 3_600_000])
@pytest.mark.parametrize(("limit", "per_s"), [(5, 5), (20, 1), (3, 0.333)])
def test_a_rate_holds_in_each_period_and_is_reached(limit: int, per_s: float, step_ms: int) -> None:
    async def main() -> None:
        times: list[float] = []

        def note(_: ReceivedRequest) -> Reaction:
            times.append(asyncio.get_running_loop().time())
            return answer(200)

        async with InProcessNode(note) as node:
            await node.client.put_destination(URL.removesuffix("/hook"), rate={"limit": limit, "per": per_s})
            await node.advance("1m")
            for _ in range(limit):
                await node.client.create_job(URL)
            await node.advance(per_s * 0.3)
            node.clock.step_ms(step_ms)
            for _ in range(3 * limit):
                await node.client.create_job(URL)
            await node.advance(per_s * 4)
            assert len(times) == 4 * limit, "the rate is reached"
            assert all(later - one > per_s - 1e-6 for one, later in zip(times, times[limit:], strict=False))

    run(main())


def test_changes_at_the_instant_of_a_tick_neither_lose_it_nor_make_it_twice() -> None:
    """The tick of the minute has one job, whichever comes first, the change or the tick."""

    async def main() -> None:
        async with InProcessNode() as node:

            async def change(number: int, after_s: float) -> None:
                await asyncio.sleep(after_s)
                if number % 2:
                    await node.client.pause_schedule(f"s{number}")
                else:
                    await node.client.update_schedule(f"s{number}", cron="*/1 * * * *")

            instants = [60.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0005, 60.0005, 60.001, 60.001]
            for number in range(len(instants)):
                await node.client.create_schedule("* * * * *", {"url": URL}, id=f"s{number}")
            async with asyncio.TaskGroup() as tasks:
                for number, after_s in enumerate(instants):
                    tasks.create_task(change(number, after_s))
            await node.advance("30s")
            made = [(await node.client.get_schedule(f"s{number}")).jobs_made for number in range(len(instants))]
            assert made == [1] * len(instants)
            assert len({request.webhook_id for request in node.receiver.requests}) == len(instants)
            await node.advance("60s")
            again = [(await node.client.get_schedule(f"s{number}")).jobs_made for number in range(len(instants))]
            assert again == [1 if number % 2 else 2 for number in range(len(instants))]

    run(main())


def test_the_same_seed_is_the_same_run() -> None:
    async def main(seed: int) -> list[tuple[int, str]]:
        async with InProcessNode(lambda _: answer(503), seed=seed) as node:
            await node.finished(await node.client.create_job(URL, retry={"max_attempts": 4}))
            return [(request.time_ms, request.webhook_id) for request in node.receiver.requests]

    assert run(main(1)) == run(main(1)) != run(main(2))


def test_not_finished_in_time_is_an_error() -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            job = await node.client.create_job(URL, delay="2h")
            with pytest.raises(DeadlineExceeded):
                await node.finished(job.id, within="1h")

    run(main())


@pytest.mark.uncovered
@pytest.mark.parametrize(("count", "have"), [(2, "1 arrived:\n  POST")])
def test_requests_that_do_not_come_are_an_error_that_says_what_came(count: int, have: str) -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            await node.client.create_job(URL)
            await node.receiver.wait_for(count, within="1d")

    with pytest.raises(AssertionError, match=rf"{count} requests did not arrive within 1d of virtual time; {have}"):
        run(main())


@pytest.mark.uncovered
def test_a_test_that_is_kept_alive_by_something_periodic_ends_at_the_horizon() -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with InProcessNode() as node:
            await node.advance("3d")  # on purpose, so it does not count
            await waits_for_ever()

    with pytest.raises(Deadlocked, match=r"within=[^~]*main at .*test_testing\.py:"):
        run(main(), within="2d")


@pytest.mark.uncovered
def test_a_test_in_which_no_time_passes_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hookline.testing.virtual_time._STEPS_MAX", 50_000)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_soon(again)

        again()
        await asyncio.Event().wait()

    with pytest.raises(Deadlocked, match="no time passes"):
        run(main())


def test_without_virtual_time_it_says_what_to_do() -> None:
    async def main() -> None:
        async with InProcessNode():
            pass

    with pytest.raises(AssertionError, match=r"hookline\.testing\.run"):
        asyncio.run(main())


def test_a_client_of_a_node_that_is_down_cannot_connect() -> None:
    client = InProcessClient(lambda: None, SimulatedClock(lambda: 0.0), retries=0)
    with pytest.raises(ConnectionFailed):
        run(client.get_job("job"))
