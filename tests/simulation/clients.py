"""The clients of a simulated world: they create, change, cancel and schedule, and write down what they were told."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, cast

from hookline.client.fields import ScheduledJob
from hookline.clock import Clock
from hookline.errors import ConnectionFailed, DeadlineExceeded, HooklineError, Internal, Unavailable
from hookline.protocol.durations import format_time
from hookline.testing.client import InProcessClient
from tests.simulation.history import Call, History
from tests.simulation.receivers import CALM, TROUBLED

CRONS = ("* * * * *", "*/2 * * * *", "*/5 * * * *", "3-59/7 * * * *", "0 * * * *")
LABELS = ("red", "green")
_NOTICE_S = 22


class Clients:
    """A few clients at once, then one who tidies up.

    Attributes:
        hurries_s: how far their calls are apart on average; one of these.
        ticks_s: how long schedules go on without trouble.
        delay_s: of jobs, on average; and ``run_at_ms``: when they are due, from now.
        rounds: how many calls each makes.
        crons, timezone: of schedules.
        is_enough: their trouble is over, so they need not go on.
    """

    hurries_s: tuple[float, ...] = (0.1, 1.0, 5.0, 20.0)
    ticks_s = 200
    delay_s = 30
    run_at_ms = (-60_000, 300_000)
    rounds = (5, 20)
    crons: tuple[str, ...] = CRONS
    timezone = "UTC"
    is_enough: Callable[[], bool]

    def __init__(self, client: InProcessClient, history: History, clock: Clock, seed: int) -> None:
        self._client = client
        self._history = history
        self._clock = clock
        self._random = random.Random(f"clients {seed}")
        self._jobs: list[str] = []
        self._schedules: list[str] = []
        self._hurry_s = self._random.choice(self.hurries_s)
        self._destinations = (CALM, *TROUBLED[: self._random.randint(1, 4)])
        self._actions = self._shuffled_actions()

    def _shuffled_actions(self) -> list[tuple[Callable[[], Awaitable[None]], int]]:
        weights = (
            (self._create, 10),
            (self._batch, 2),
            (self._cancel, 3),
            (self._update, 4),
            (self._retry, 2),
            (self._run, 2),
            (self._bulk, 1),
            (self._schedule, 2),
            (self._change_schedule, 2),
            (self._set_destination, 2),
        )
        return [(action, self._random.choice((0, 1, 1, 3)) * weight) for action, weight in weights]

    async def work(self) -> None:
        """Everything the clients want, while there is trouble."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._random.randint(2, 4)):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        actions, weights = zip(*self._actions, strict=True)
        if not any(weights):
            weights = (1,) * len(weights)
        for _ in range(self._random.randint(*self.rounds)):
            await asyncio.sleep(self._random.expovariate(1 / self._hurry_s))
            await self._random.choices(actions, weights)[0]()

    async def tidy(self) -> None:
        """Resume what is paused and end the schedules, so that the world can become quiet."""
        for name in TROUBLED:
            await self._surely("destination", name, {"paused": False}, self._put_destination)
        if self._schedules:
            await asyncio.sleep(self.ticks_s)  # a few ticks without trouble
        for name in self._schedules:
            await self._surely("delete_schedule", name, {}, self._delete_schedule)

    async def _surely(
        self, kind: str, target: str, arguments: dict[str, Any], do: Callable[[Call], Awaitable[Any]]
    ) -> None:
        for _ in range(1_000):
            call = await self._call(kind, target, arguments, do)
            if call.is_ok or (kind == "delete_schedule" and call.code == "schedule_not_found"):
                return
            await asyncio.sleep(1)
        raise AssertionError(f"{kind} {target} does not work: {call.code}")

    async def _call(
        self, kind: str, target: str | None, arguments: dict[str, Any], do: Callable[[Call], Awaitable[Any]]
    ) -> Call:
        history = self._history
        number = len(history.calls) + 1
        began = history.note(f"call {number}: {kind} {target} {str(arguments)[:300]}")
        call = Call(number, kind, target, arguments, began, self._clock.wall_ms())
        history.calls.append(call)
        try:
            call.answer = await do(call)
            call.outcome = "ok"
        except (Internal, DeadlineExceeded) as error:
            call.code = error.code
        except (ConnectionFailed, Unavailable) as error:
            call.outcome, call.code = "fail", error.code
        except HooklineError as error:
            call.outcome, call.code = "fail", error.code
        call.ended = history.note(f"call {number}: {call.outcome} {call.code or ''}")
        return call

    # --- jobs ------------------------------------------------------------------------------------------------

    def _job(self) -> dict[str, Any]:
        """A job, as keyword arguments."""
        pick = self._random
        job: dict[str, Any] = {
            "url": pick.choice(self._destinations) + "/hook",
            "payload": {"n": pick.randint(1, 3)},
            "timeout": pick.choice((1, 3, 10)),
            "retry": pick.choice(
                (
                    {"max_attempts": pick.randint(1, 6), "initial": 1, "max": 30},
                    {"max_attempts": 4, "schedule": [2, 10, 30]},
                    {"max_attempts": 20, "initial": "500ms", "max": 5, "budget": 60},
                )
            ),
        }
        if pick.random() < 0.3:
            job["guarantee"] = "at_most_once"
        if pick.random() < 0.3:
            job["labels"] = {"colour": pick.choice(LABELS)}
        if pick.random() < 0.2:
            job["priority"] = pick.choice((-5, 5))
        when = pick.random()
        if when < 0.3:
            job["delay"] = round(pick.expovariate(1 / self.delay_s), 3)
        elif when < 0.5:
            job["run_at"] = format_time(self._clock.wall_ms() + pick.randint(*self.run_at_ms))
        return job

    def _named_job(self) -> dict[str, Any]:
        """A job with a name or key, taken from few, and from few bodies, so that they repeat."""
        pick = self._random
        job = self._job()
        if pick.random() < 0.5:
            for field in ("run_at", "timeout", "retry", "labels", "priority"):
                job.pop(field, None)
            job["url"] = CALM + "/hook"
            job["delay"] = pick.choice((0, 5))
        name = pick.randint(1, 6)
        dice = pick.random()
        if dice < 0.6:
            job["id"] = f"job-{name}"
        if dice > 0.4:
            job["idempotency_key"] = f"key-{name}"
        return job

    async def _create(self) -> None:
        job = self._named_job() if self._random.random() < 0.4 else self._job()
        if "id" not in job and "idempotency_key" not in job:
            job["idempotency_key"] = f"own-{len(self._history.calls)}"
        for _ in range(self._random.choice((1, 1, 1, 2))):

            async def create(_call: Call, job: dict[str, Any] = job) -> Any:
                return await self._client.create_job(**job)

            call = await self._call("create", job.get("id"), job, create)
            if call.is_ok:
                self._jobs.append(call.answer.id)
                call.target = call.answer.id

    async def _batch(self) -> None:
        batch = len(self._history.calls)
        jobs = [self._job() | {"id": f"b{batch}-{place}"} for place in range(self._random.randint(2, 30))]
        if self._random.random() < 0.3:
            jobs[0]["id"] = f"job-{self._random.randint(1, 6)}"

        async def create(_call: Call) -> Any:
            return await self._client.create_jobs(jobs)  # type: ignore[arg-type]

        call = await self._call("batch", None, {"jobs": jobs}, create)
        if call.is_ok:
            self._jobs += [result.job.id for result in call.answer if result.job is not None]

    def _some_job(self) -> str | None:
        """Rather one of the newest."""
        if not self._jobs:
            return None
        return self._jobs[-1 - min(int(self._random.expovariate(0.3)), len(self._jobs) - 1)]

    async def _on_job(self, kind: str, arguments: dict[str, Any], do: Callable[[str], Awaitable[Any]]) -> None:
        job = self._some_job()
        if job is not None:
            await self._call(kind, job, arguments, lambda _call: do(job))

    async def _cancel(self) -> None:
        await self._on_job("cancel", {}, self._client.cancel_job)

    async def _run(self) -> None:
        await self._on_job("run", {}, self._client.run_job)

    async def _retry(self) -> None:
        changes: dict[str, Any] = (
            {"payload": {"retried": len(self._history.calls)}} if self._random.random() < 0.4 else {}
        )
        await self._on_job("retry", changes, lambda job: self._client.retry_job(job, **changes))

    async def _update(self) -> None:
        changes: dict[str, Any] = {"payload": {"updated": len(self._history.calls)}}
        if self._random.random() < 0.3:
            changes["delay"] = self._random.choice((0, 5, 60))
        if self._random.random() < 0.2:
            changes["url"] = self._random.choice(self._destinations) + "/moved"
        await self._on_job("update", changes, lambda job: self._client.update_job(job, **changes))

    async def _bulk(self) -> None:
        label = f"colour={self._random.choice(LABELS)}"
        if self._random.random() < 0.5:
            await self._call("bulk_cancel", None, {"label": label}, lambda _: self._client.cancel_jobs(label=label))
        else:
            await self._call("bulk_retry", None, {"label": label}, lambda _: self._client.retry_jobs(label=label))

    # --- schedules -------------------------------------------------------------------------------------------

    async def _schedule(self) -> None:
        pick = self._random
        name = f"schedule-{len(self._history.calls)}"
        options: dict[str, Any] = {
            "id": name,
            "catch_up": {"policy": pick.choice(("skip", "coalesce", "all"))},
            "overlap": pick.choice(("allow", "allow", "skip")),
            "jitter": pick.choice((0, 0, 5)),
            "timezone": self.timezone,
        }
        job = cast(ScheduledJob, {key: value for key, value in self._job().items() if key not in ("delay", "run_at")})
        arguments = {"cron": pick.choice(self.crons), "job": job} | options

        async def create(_call: Call) -> Any:
            return await self._client.create_schedule(arguments["cron"], job, **options)

        call = await self._call("schedule", name, arguments, create)
        if call.may_have_worked:
            self._schedules.append(name)

    async def _change_schedule(self) -> None:
        if not self._schedules:
            return
        name = self._random.choice(self._schedules)
        client = self._client
        kind = self._random.choice(("pause", "resume", "resume", "run_schedule", "new_cron", "new_job", "delete"))
        payload, cron = {"n": len(self._history.calls)}, self._random.choice(self.crons)
        match kind:
            case "pause":
                await self._call("pause_schedule", name, {}, lambda _: client.pause_schedule(name))
            case "resume":
                await self._call("resume_schedule", name, {}, lambda _: client.resume_schedule(name))
            case "run_schedule":
                await self._call("run_schedule", name, {}, lambda _: client.run_schedule(name))
            case "new_cron":
                change = lambda _: client.update_schedule(name, cron=cron)  # noqa: E731
                await self._call("update_schedule", name, {"cron": cron}, change)
            case "new_job":
                job: Any = {"url": CALM + "/tick", "payload": payload}
                await self._call("update_schedule", name, job, lambda _: client.update_schedule(name, job=job))
            case "delete":
                if self._random.random() < 0.3:
                    await self._call("delete_schedule", name, {}, lambda _: client.delete_schedule(name))

    async def _delete_schedule(self, call: Call) -> None:
        assert call.target is not None
        await self._client.delete_schedule(call.target)

    # --- destinations ----------------------------------------------------------------------------------------

    async def _put_destination(self, call: Call) -> Any:
        assert call.target is not None
        return await self._client.put_destination(call.target, **call.arguments)

    async def _set_destination(self) -> None:
        name = self._random.choice(TROUBLED)
        settings = self._random.choice(
            (
                {"paused": True},
                {"paused": True},
                {"paused": False},
                {"concurrency": self._random.choice((1, 1, 2))},
                {"rate": {"limit": 2, "per": 1}},
            )
        )
        await self._call("destination", name, settings, self._put_destination)


class ClusterClients(Clients):
    """The same wishes within a shorter time: three nodes and their clockwork cost more than one."""

    hurries_s = (0.1, 0.4, 1.2)
    delay_s = 6
    run_at_ms = (-20_000, 30_000)
    rounds = (4, 9)

    @property
    def ticks_s(self) -> float:  # type: ignore[override]
        """Over the next full minute, and as long as it may take to notice it."""
        return 60 - self._clock.wall_ms() / 1_000 % 60 + _NOTICE_S

    async def _work(self) -> None:
        """At least as many calls as anywhere, and then a few more for as long as there is trouble."""
        await super()._work()
        actions, weights = zip(*self._actions, strict=True)
        while not self.is_enough():
            await asyncio.sleep(self._random.expovariate(1 / (0.6 + 4 * self._hurry_s)))
            if any(weights):
                await self._random.choices(actions, weights)[0]()


class BerlinClients(ClusterClients):
    """Their schedules go by the clocks of Berlin; many are for two o'clock."""

    crons = (*CRONS, "0 2 * * *", "0 2 * * *")
    timezone = "Europe/Berlin"
