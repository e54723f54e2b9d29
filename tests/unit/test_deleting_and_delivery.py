"""Deleting while deliveries go on, on virtual time: nothing deleted is sent, and nothing else is held up."""

import pytest

from hookline.errors import JobNotFound, JobRunning, PayloadRemoved
from hookline.testing import InProcessNode, answer, run

URL = "https://shop.example/hook"


@pytest.mark.parametrize("delay", ["1s", "3d"], ids=["soon", "late"])
def test_a_pending_job_that_was_deleted_is_never_sent_and_others_are(delay: str) -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            gone = await node.client.create_job(URL, delay=delay)
            other = await node.client.create_job(URL, delay=delay)
            await node.client.delete_job(gone.id)
            await node.advance("4d")
            assert [request.webhook_id for request in node.receiver.requests] == [other.id]
            with pytest.raises(JobNotFound):
                await node.client.get_job(gone.id)

    run(main())


def test_a_running_job_is_deleted_once_it_was_cancelled() -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            node.receiver.next(answer(after="10s"))
            job = await node.client.create_job(URL)
            await node.receiver.wait_for(1)
            with pytest.raises(JobRunning, match="cancel"):
                await node.client.delete_job(job.id)
            await node.client.cancel_job(job.id)
            await node.client.delete_job(job.id)
            other = await node.finished(await node.client.create_job(URL))
            await node.advance("1m")
            assert other.state == "succeeded"
            assert [found.id async for found in node.client.list_jobs()] == [other.id]

    run(main())


def test_a_schedule_that_skips_overlaps_goes_on_when_its_waiting_job_is_deleted() -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            await node.client.put_destination(URL.rpartition("/")[0], paused=True)
            schedule = await node.client.create_schedule("0 * * * *", {"url": URL}, overlap="skip")
            await node.advance("3h")
            (waiting,) = [job async for job in node.client.list_jobs(schedule=schedule.id)]
            await node.client.delete_job(waiting.id)
            assert (await node.client.get_schedule(schedule.id)).last_job_id is None
            await node.advance("1h")
            (following,) = [job async for job in node.client.list_jobs(schedule=schedule.id)]
            assert (await node.client.get_schedule(schedule.id)).last_job_id == following.id != waiting.id

    run(main())


def test_what_lost_its_payload_is_not_sent_again() -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            node.receiver.next(answer(410))
            job = await node.finished(await node.client.create_job(URL, payload={"user": "alice"}))
            left = await node.client.delete_payload(job.id)
            assert (left.payload_removed, left.state, left.last_attempt) == (True, "dead", job.last_attempt)
            with pytest.raises(PayloadRemoved):
                await node.client.retry_job(job.id, payload={"user": "bob"})
            assert (await node.client.retry_jobs()).matched == 0
            await node.advance("1h")
            assert len(node.receiver.requests) == 1

    run(main())
