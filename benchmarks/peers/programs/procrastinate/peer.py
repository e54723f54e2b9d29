"""Procrastinate with PostgreSQL.

- Asynchronous tasks in one process, ``concurrency`` at once:
  https://procrastinate.readthedocs.io/en/stable/howto/production/concurrency.html
- Jobs of a killed worker come back by a periodic task, as the documentation shows it; here every minute instead of
  every tenth: https://procrastinate.readthedocs.io/en/stable/howto/production/retry_stalled_jobs.html
- Jobs for later are found by polling, every five seconds by default; here twice a second. Others are told by
  LISTEN/NOTIFY, the default.
- ``batch_defer_async`` enqueues many at once.
"""

import os
import sys
from datetime import UTC, datetime

import aiohttp
import procrastinate
import uvloop
from enqueuing import with_tasks

AT_ONCE, RECEIVER = int(os.environ["PEER_AT_ONCE"]), os.environ["PEER_RECEIVER"]
app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=os.environ["PEER_STORE"], min_size=4, max_size=20)
)
JSON = {"content-type": "application/json"}
clients = []


@app.task(name="hook", retry=3)
async def hook(number, body):
    """Make the call."""
    async with clients[0].post(f"{RECEIVER}/{number}", data=body, headers=JSON) as answer:
        answer.raise_for_status()
        await answer.read()


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="retry_stalled_jobs", pass_context=True)
async def retry_stalled_jobs(context, timestamp):
    """As in the documentation."""
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job)


async def send(numbers, order):
    """Enqueue one, or many at once."""
    options = {"schedule_at": datetime.fromtimestamp(order.at, UTC)} if order.at else {}
    task, body = hook.configure(**options), os.environ["PEER_BODY"]
    if len(numbers) == 1:
        await task.defer_async(number=numbers[0], body=body)
    else:
        await task.batch_defer_async(*({"number": number, "body": body} for number in numbers))


async def main(what):
    async with app.open_async():
        if what == "setup":
            await app.schema_manager.apply_schema_async()
        elif what == "enqueue":
            await with_tasks(sys.argv[2:], send)
        else:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as client:
                clients.append(client)
                await app.run_worker_async(concurrency=AT_ONCE, fetch_job_polling_interval=0.5)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
