"""The 200 jobs of the demo: how many of each kind, how they are made, and what must become of them."""

from collections.abc import Callable
from dataclasses import dataclass

from hookline.client.blocking import Client
from hookline.client.fields import JobItem, RetryFields
from hookline.errors import HooklineError

FAST_RETRY: RetryFields = {"max_attempts": 5, "schedule": ["200ms", "400ms"]}


@dataclass(frozen=True, slots=True)
class JobKind:
    """One kind of job.

    Attributes:
        state: what each job of it must end as.
        attempts: how many requests each must make.
    """

    name: str
    jobs: int
    state: str
    attempts: int


NOW = JobKind("now", 88, "succeeded", 1)
DELAYED = JobKind("delayed 1–5 s", 40, "succeeded", 1)
BATCH = JobKind("in one batch", 40, "succeeded", 1)
FLAKY = JobKind("fails twice", 12, "succeeded", 3)
GONE = JobKind("answered 410", 6, "dead", 1)
AT_MOST_ONCE = JobKind("at most once", 6, "succeeded", 1)
CANCELLED = JobKind("cancelled", 5, "cancelled", 0)
RECURRING = JobKind("recurring", 3, "succeeded", 1)

KINDS = (NOW, DELAYED, BATCH, FLAKY, GONE, AT_MOST_ONCE, CANCELLED, RECURRING)
JOBS = sum(kind.jobs for kind in KINDS)
SCHEDULE_ID = "demo-every-minute"


def answer_to(path: str, attempt: int) -> int:
    """How the receiver answers."""
    if path == "/gone":
        return 410
    return 503 if path == "/flaky" and attempt <= 2 else 200


def post_all(client: Client, receiver_url: str, made: Callable[[str, JobKind], None]) -> None:
    """Make all jobs; ``made`` is told the id of each."""
    _post_each(client, receiver_url, made)
    items: list[JobItem] = [{"url": f"{receiver_url}/batch", "payload": {"line": n}} for n in range(BATCH.jobs)]
    for result in client.create_jobs(items, minimal=True):
        if result.job is None:
            raise HooklineError(f"A job of the batch was refused: {result.error}")
        made(result.job.id, BATCH)
    client.create_schedule("* * * * *", {"url": f"{receiver_url}/recurring"}, id=SCHEDULE_ID)
    for _ in range(RECURRING.jobs):
        made(client.run_schedule(SCHEDULE_ID).id, RECURRING)


def _post_each(client: Client, url: str, made: Callable[[str, JobKind], None]) -> None:
    for n in range(DELAYED.jobs):
        made(client.create_job(f"{url}/delayed", payload={"n": n}, delay=1 + 4 * n / DELAYED.jobs).id, DELAYED)
    for _ in range(CANCELLED.jobs):
        job_id = client.create_job(f"{url}/cancelled", delay="1h").id
        client.cancel_job(job_id)
        made(job_id, CANCELLED)
    for n in range(FLAKY.jobs):
        # Spread among jobs that succeed: all failures at once would, rightly, open the destination's breaker.
        delay = 4.5 * n / FLAKY.jobs
        made(client.create_job(f"{url}/flaky", payload={"n": n}, delay=delay, retry=FAST_RETRY).id, FLAKY)
    for _ in range(GONE.jobs):
        made(client.create_job(f"{url}/gone").id, GONE)
    for _ in range(AT_MOST_ONCE.jobs):
        made(client.create_job(f"{url}/once", guarantee="at_most_once").id, AT_MOST_ONCE)
    for n in range(NOW.jobs):
        made(client.create_job(f"{url}/now", payload={"order": n, "paid": True}, labels={"kind": "now"}).id, NOW)
