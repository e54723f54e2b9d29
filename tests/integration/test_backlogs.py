"""A backlog that is larger than what of a lane is held in memory."""

import pytest

from hookline.client.fields import JobItem
from hookline.node.dispatch import due
from hookline.testing import InProcessNode, run

HOST = "example.com"


@pytest.mark.parametrize("batches", [1, 2, 5])
def test_jobs_beyond_the_window_of_a_lane_come_without_a_restart(batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the next rows of a lane are in memory, so the rest is read whenever these run out, to the last one."""
    monkeypatch.setattr(due, "WINDOW_MAX", due.WINDOW_MIN)
    in_a_batch = 2 * due.WINDOW_MIN + 1

    async def main() -> None:
        async with InProcessNode() as node:
            await node.client.put_destination(HOST, paused=True)
            for _ in range(batches):
                jobs = [JobItem(url=f"https://{HOST}/hook")] * in_a_batch
                assert all(it.job is not None for it in await node.client.create_jobs(jobs))
            await node.client.put_destination(HOST, paused=False)
            await node.advance("1s")
            ids = [request.webhook_id for request in node.receiver.requests]
            assert len(ids) == len(set(ids)) == batches * in_a_batch

    run(main())
