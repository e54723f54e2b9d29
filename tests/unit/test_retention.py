"""Retention on virtual time: what is old is forgotten, and a node with nothing to forget writes nothing."""

from pathlib import Path

from hookline.errors import JobNotFound
from hookline.node.state_machine import leader_reads, tables
from hookline.node.state_machine.machine import open_state
from hookline.testing import InProcessNode, answer, run

URL = "https://shop.example/hook"
HOUR_MS = 3_600_000


async def _is_there(node: InProcessNode, job_id: str) -> bool:
    try:
        await node.client.get_job(job_id)
    except JobNotFound:
        return False
    return True


async def _applied(node: InProcessNode) -> int:
    (one,) = (await node.client.cluster()).nodes
    return one.applied


def test_finished_jobs_are_forgotten_after_their_time() -> None:
    async def main() -> None:
        async with InProcessNode(retention_ms=HOUR_MS, key_window_ms=0) as node:
            job = await node.client.create_job(URL)
            waiting = await node.client.create_job(URL, delay="1d")
            await node.advance("59m")
            assert await _is_there(node, job.id)
            await node.advance("2m")
            assert not await _is_there(node, job.id)
            assert await _is_there(node, waiting.id)

    run(main())


def test_dead_jobs_are_kept_for_a_time_of_their_own() -> None:
    async def main() -> None:
        async with InProcessNode(retention_ms=HOUR_MS, retention_dead_ms=5 * HOUR_MS, key_window_ms=0) as node:
            node.receiver.next(answer(410))
            dead = await node.finished(await node.client.create_job(URL))
            good = await node.finished(await node.client.create_job(URL))
            assert (dead.state, good.state) == ("dead", "succeeded")
            await node.advance("4h")
            assert [await _is_there(node, job.id) for job in (dead, good)] == [True, False]
            await node.advance("62m")
            assert not await _is_there(node, dead.id)

    run(main())


def test_how_old_jobs_are_found_needs_no_scan(tmp_path: Path) -> None:
    database = open_state(tmp_path / "state.db")
    plans = [
        database.writer.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
        for text, values in (
            (tables.STATEMENTS["finished_before"], (1, 5, 5, 5)),
            (tables.STATEMENTS["finished_oldest"], (5, 5)),
            (leader_reads.STATEMENTS["oldest_finished"], (1,)),
        )
    ]
    assert all("SCAN jobs" not in str(plan) and "jobs_finished" in str(plan) for plan in plans), plans
    assert "TEMP B-TREE" not in str(plans[0])
    database.close()


def test_only_the_newest_finished_jobs_are_kept() -> None:
    async def main() -> None:
        async with InProcessNode(retention_jobs=2, key_window_ms=0) as node:
            jobs = []
            for _ in range(4):
                jobs.append(await node.client.create_job(URL))
                await node.advance(1)
            await node.advance("1m")
            assert [await _is_there(node, job.id) for job in jobs] == [False, False, True, True]

    run(main())


def test_more_than_one_step_is_forgotten_without_a_long_rest() -> None:
    async def main() -> None:
        async with InProcessNode(retention_ms=HOUR_MS, key_window_ms=0) as node:
            await node.client.create_jobs([{"url": URL, "id": f"job-{number}"} for number in range(350)])
            await node.advance("1h2s")
            assert not await _is_there(node, "job-0")
            assert not await _is_there(node, "job-349")

    run(main())


def test_a_job_stays_as_long_as_its_key() -> None:
    async def main() -> None:
        async with InProcessNode(retention_ms=HOUR_MS, key_window_ms=3 * HOUR_MS) as node:
            job = await node.client.create_job(URL, idempotency_key="key")
            await node.advance("2h")
            assert (await node.client.create_job(URL, idempotency_key="key")).id == job.id
            await node.advance("1h10s")
            assert not await _is_there(node, job.id)
            assert (await node.client.create_job(URL, idempotency_key="key")).id != job.id

    run(main())


def test_an_idle_node_writes_nothing() -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            await node.finished(await node.client.create_job(URL))
            await node.advance("10s")
            before = await _applied(node)
            await node.advance("12h")
            assert await _applied(node) == before

    run(main())
