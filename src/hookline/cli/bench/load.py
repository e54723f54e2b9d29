"""Creates jobs at a steady rate, whatever Hookline answers and however long it takes (an open loop).

Each create has a time at which it is to leave. Durations are counted from that time: a service that stands still for a
second makes all creates of that second late, as it would for its users ("coordinated omission" is not left out).
"""

import asyncio
import time
from dataclasses import dataclass

from hookline.cli.bench.figures import BenchLog
from hookline.client.awaiting import AsyncClient
from hookline.client.fields import JobItem
from hookline.errors import ConnectionFailed, DeadlineExceeded, HooklineError

_IN_FLIGHT_MAX = 1_000  # calls; more would wait in this program anyway
_BREATH = 32  # creates in a row that are late, until answers are looked at again


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """Says which jobs are to be created, and when.

    Attributes:
        rate: jobs a second.
        seconds: for so long.
        payload: of each job.
        delay_ms: until each is due.
        keys: give each an idempotency key.
        batch: jobs in one call.
    """

    rate: float
    seconds: float
    payload: object
    delay_ms: int
    keys: bool
    batch: int

    @property
    def calls(self) -> int:
        """How many calls that makes."""
        return max(1, round(self.rate * self.seconds / self.batch))


class LoadRun:
    """One run.

    Args:
        client: sends.
        url: of the receiver.
        plan: what.
        seen: is told what was answered.

    Attributes:
        began_at: seconds since 1970.
        made: calls that have left.
    """

    def __init__(self, client: AsyncClient, url: str, plan: LoadPlan, seen: BenchLog) -> None:
        self._client = client
        self._url = url
        self._plan = plan
        self._seen = seen
        self._free = asyncio.Semaphore(_IN_FLIGHT_MAX)
        self._stopped = False
        self.began_at = time.time()
        self.made = 0

    def stop(self) -> None:
        """Create no more."""
        self._stopped = True

    async def run(self) -> None:
        """Until everything is answered."""
        plan, began = self._plan, time.perf_counter()
        self.began_at = time.time()
        async with asyncio.TaskGroup() as tasks:
            for number in range(plan.calls):
                wanted = began + number * plan.batch / plan.rate
                wait_s = wanted - time.perf_counter()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                elif number % _BREATH == 0:
                    await asyncio.sleep(0)
                await self._free.acquire()
                if self._stopped:
                    break
                self.made += 1
                self._seen.late_s.append(max(0.0, time.perf_counter() - wanted))
                tasks.create_task(self._create(number, wanted, self.began_at + wanted - began))

    async def _create(self, number: int, wanted: float, wanted_at: float) -> None:
        try:
            ids = await self._sent(number)
        except (ConnectionFailed, DeadlineExceeded):
            self._seen.unclear += self._plan.batch
        except HooklineError as error:
            self._seen.refused[error.code] += self._plan.batch
        else:
            self._seen.created(ids, wanted_at, time.perf_counter() - wanted)
        finally:
            self._free.release()

    async def _sent(self, number: int) -> list[str]:
        plan = self._plan
        job: JobItem = {"url": self._url, "payload": plan.payload}
        if plan.delay_ms:
            job["delay"] = f"{plan.delay_ms}ms"
        if plan.batch == 1:
            key = {"idempotency_key": f"bench-{self.began_at:.6f}-{number}"} if plan.keys else {}
            return [(await self._client.create_job(**job, **key)).id]
        results = await self._client.create_jobs([job] * plan.batch, minimal=True)
        for result in results:
            if result.error is not None:
                self._seen.refused[str(result.error["code"])] += 1
        return [result.job.id for result in results if result.job is not None]
