"""The clients of a simulated world: they create, change, cancel and schedule, and write down what they were told."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import msgspec

from hookline.client import requests
from hookline.client.fields import ScheduledJob
from hookline.client.requests import Request
from hookline.clock import Clock
from hookline.protocol import http
from hookline.protocol.durations import format_time
from tests.simulation.asgi import Ask
from tests.simulation.calling import CallingClient
from tests.simulation.history import Call, History
from tests.simulation.receivers import CALM, TROUBLED

Wish = Callable[[], Awaitable[None]]

CRONS = ("* * * * *", "*/2 * * * *", "*/5 * * * *", "3-59/7 * * * *", "0 * * * *")
LABELS = ("red", "green")
_NOTICE_S = 22
_PAGES_MAX = 60
_LOOKS: dict[str, Callable[[str], Request[Any]]] = {
    "read": requests.get_job,
    "cancel": requests.cancel_job,
    "read_schedule": requests.get_schedule,
}


class Clients(CallingClient):
    """A few clients at once, each with a list of wishes that the seed draws, then one who tidies up.

    Args:
        ask: carries a call to whatever answers.

    Attributes:
        hurries_s: how far their calls are apart on average; one of these.
        ticks_s: how long schedules go on without trouble.
        delay_s: of jobs, on average; and ``run_at_ms``: when they are due, from now.
        at_once: how many clients there are; ``rounds``: how many calls each makes.
        batches: how often a client sends what is left of a batch.
        pages: how many jobs of a list come at once.
        crons, timezone: of schedules.
        is_enough: their trouble is over, so they need not go on.
        jobs: the ids that were acknowledged.
    """

    hurries_s: tuple[float, ...] = (0.1, 1.0, 5.0, 20.0)
    ticks_s = 200
    delay_s = 30
    run_at_ms = (-60_000, 300_000)
    at_once = (2, 4)
    rounds = (5, 20)
    batches = 1
    pages: tuple[int, ...] = (1_000,)
    crons: tuple[str, ...] = CRONS
    timezone = "UTC"
    is_enough: Callable[[], bool]

    def __init__(self, ask: Ask, history: History, clock: Clock, seed: int) -> None:
        super().__init__(ask, history, clock, random.Random(f"clients {seed}"))
        self.jobs: list[str] = []
        self._schedules: list[str] = []
        self._hurry_s = self.random.choice(self.hurries_s)
        self._apart_s = self.random.choice((0.0, 0.1, 0.3))
        self.names = self.random.choice((3, 8))
        self._destinations = (CALM, *TROUBLED[: self.random.randint(1, 4)])
        self._drawn = [(wish, self.random.choice((0, 1, 1, 3)) * weight) for wish, weight in self.wishes()]
        if not any(weight for wish, weight in self._drawn if wish not in (self._read, self._list)):
            self._drawn.append((self._named, 5))

    def wishes(self) -> tuple[tuple[Wish, int], ...]:
        """All wishes they can have, each with its weight: how often they have it."""
        return (
            (self._create, 6),
            (self._named, 4),
            (self._twins, 1),
            (self._batch, 2),
            (self._cancel, 3),
            (self._update, 4),
            (self._retry, 2),
            (self._run, 2),
            (self._bulk, 1),
            (self._schedule, 2),
            (self._change_schedule, 2),
            (self._set_destination, 2),
            (self._read, 1),
            (self._list, 1),
        )

    async def work(self) -> None:
        """Everything the clients want, while there is trouble."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.random.randint(*self.at_once)):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        for _ in range(self.random.randint(*self.rounds)):
            await asyncio.sleep(self.random.expovariate(1 / self._hurry_s))
            await self._wish()

    async def _wish(self) -> None:
        wishes, weights = zip(*self._drawn, strict=True)
        await self.random.choices(wishes, weights)[0]()

    async def tidy(self) -> None:
        """Resume what is paused and end the schedules, so that the world can become quiet."""
        for name in TROUBLED:
            await self._surely(
                "destination", name, {"paused": False}, requests.put_destination(name, {"paused": False})
            )
        if self._schedules:
            await asyncio.sleep(self.ticks_s)  # a few ticks without trouble
        for name in self._schedules:
            await self._surely("delete_schedule", name, {}, requests.delete_schedule(name))

    async def _surely(self, kind: str, target: str, arguments: dict[str, Any], request: Request[Any]) -> None:
        for _ in range(1_000):
            call = await self.call(kind, target, arguments, request)
            if call.is_ok or (kind == "delete_schedule" and call.code == "schedule_not_found"):
                return
            await asyncio.sleep(1)
        raise AssertionError(f"{kind} {target} does not work: {call.code}")

    # --- jobs ------------------------------------------------------------------------------------------------

    def _job(self) -> dict[str, Any]:
        """A job, as keyword arguments."""
        pick = self.random
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
            job["run_at"] = format_time(self.clock.wall_ms() + pick.randint(*self.run_at_ms))
        return job

    def _named_job(self, names: int) -> dict[str, Any]:
        """A job with a name or key, taken from few, and from few bodies, so that they repeat."""
        pick = self.random
        job = self._job()
        if pick.random() < 0.5:
            for field in ("run_at", "timeout", "retry", "labels", "priority"):
                job.pop(field, None)
            job["url"] = CALM + "/hook"
            job["delay"] = pick.choice((0, 5))
        name = pick.randint(1, names)
        dice = pick.random()
        if dice < 0.6:
            job["id"] = f"job-{name}"
        if dice > 0.4:
            job["idempotency_key"] = f"key-{name}"
        return job

    async def create(self, job: dict[str, Any], request: Request[http.Job] | None = None, **way: Any) -> Call:
        """Ask for a job, as the SDK does, or by a request of one's own."""
        call = await self.call("create", job.get("id"), job, request or self.request(job), **way)
        if call.is_ok:
            call.target = call.answer.id
            self.jobs.append(call.answer.id)
        return call

    def request(self, job: dict[str, Any]) -> Request[http.Job]:
        """As the SDK makes it."""
        return requests.create_job(job["url"], {name: job[name] for name in job if name != "url"}, self.clock)

    async def _create(self) -> None:
        job = self._job() | {"idempotency_key": f"own-{len(self.history.calls)}"}
        for _ in range(self.random.choice((1, 1, 1, 2))):
            await self.create(job)

    async def _named(self) -> None:
        await self.create(self._named_job(self.names))

    async def _twins(self, names: int = 0) -> None:
        """Equal requests, at once or nearly, or to several processes."""
        job = self._named_job(names or self.names)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.random.choice((2, 2, 4))):
                tasks.create_task(self._after_a_moment(job))

    async def _after_a_moment(self, job: dict[str, Any]) -> None:
        await asyncio.sleep(self.random.random() * self._apart_s)
        await self.create(job)

    async def _batch(self) -> None:
        jobs = self._batch_jobs()
        for _ in range(self.batches):
            request = requests.create_jobs(cast(Any, jobs), self.clock)
            if not all("id" in job for job in jobs):  # without the SDK, which would mint them
                request = replace(request, body=msgspec.json.encode({"jobs": jobs}), is_repeatable=False)
            call = await self.call("batch", None, {"jobs": jobs}, request)
            self.jobs += call.acknowledged
            results = call.answer.results if call.is_ok else [None] * len(jobs)
            pairs = zip(jobs, results, strict=False)
            jobs = [job for job, result in pairs if "id" in job and (result is None or result.status >= 500)]
            if not jobs:
                return

    def _batch_jobs(self) -> list[dict[str, Any]]:
        batch = len(self.history.calls)
        jobs = [self._job() | {"id": f"b{batch}-{place}"} for place in range(self.random.randint(2, 30))]
        if self.random.random() < 0.3:
            jobs[0]["id"] = f"job-{self.random.randint(1, self.names)}"
        return jobs

    def _some_job(self) -> str | None:
        """Rather one of the newest."""
        if not self.jobs:
            return None
        return self.jobs[-1 - min(int(self.random.expovariate(0.3)), len(self.jobs) - 1)]

    async def _cancel(self) -> None:
        if (job := self._some_job()) is not None:
            await self.look("cancel", job)

    async def _run(self) -> None:
        if (job := self._some_job()) is not None:
            await self.call("run", job, {}, requests.run_job(job))

    async def _retry(self) -> None:
        changes: dict[str, Any] = (
            {"payload": {"retried": len(self.history.calls)}} if self.random.random() < 0.4 else {}
        )
        if (job := self._some_job()) is not None:
            await self.call("retry", job, changes, requests.retry_job(job, changes))

    async def _update(self) -> None:
        changes = self._changes()
        if (job := self._some_job()) is not None:
            await self.call("update", job, changes, requests.update_job(job, changes))

    def _changes(self) -> dict[str, Any]:
        changes: dict[str, Any] = {"payload": {"updated": len(self.history.calls)}}
        if self.random.random() < 0.3:
            changes["delay"] = self.random.choice((0, 5, 60))
        if self.random.random() < 0.2:
            changes["url"] = self.random.choice(self._destinations) + "/moved"
        return changes

    async def _bulk(self) -> None:
        if self.random.random() < 0.5:
            await self.cancel_all()
        else:
            label = {"label": f"colour={self.random.choice(LABELS)}"}
            request = requests.retry_jobs(label, dry_run=False, limit=None, overrides={})
            await self.call("bulk_retry", None, label, request)

    async def cancel_all(self, **way: Any) -> None:
        """All jobs with some label."""
        label = {"label": f"colour={self.random.choice(LABELS)}"}
        request = requests.cancel_jobs(label, dry_run=False, limit=None)
        await self.call("bulk_cancel", None, label, request, **way)

    # --- what is there -------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        schedules = [call.target for call in self.history.calls if call.kind == "schedule" and call.is_ok]
        if schedules and self.random.random() < 0.15:
            await self.look("read_schedule", schedules[-1] or "")
        elif (job := self._some_job()) is not None:
            await self.look("read", job)

    async def look(self, kind: str, wanted: str, **way: Any) -> Call:
        """Read, or cancel, what has this id."""
        return await self.call(kind, wanted, {}, _LOOKS[kind](wanted), **way)

    async def _list(self) -> None:
        await self.list_all(self.random.choice(self.pages))

    async def list_all(self, limit: int, **way: Any) -> Call:
        """Page by page; gives up when a page does not come."""
        call = self._begun("list", None, {"limit": limit})
        call.answer = []
        cursor: str | None = None
        for _ in range(_PAGES_MAX):
            page = await self._send(call, requests.list_jobs({}, limit=limit, cursor=cursor), **way)
            if page is None:
                break
            call.answer.append(page)
            cursor = page.next_cursor
            if cursor is None:
                break
            if page.incomplete:
                await asyncio.sleep(0.5)
        return self._ended(call)

    # --- schedules -------------------------------------------------------------------------------------------

    async def _schedule(self) -> None:
        name, cron, job, options = self._new_schedule()
        request = requests.create_schedule(cron, cast(ScheduledJob, job), {"id": name} | options, self.clock)
        call = await self.call("schedule", name, {"cron": cron, "job": job} | options, request)
        if call.may_have_worked and name not in self._schedules:
            self._schedules.append(name)

    def _new_schedule(self) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
        """(id, cron, job, options)."""
        pick = self.random
        options: dict[str, Any] = {
            "catch_up": {"policy": pick.choice(("skip", "coalesce", "all"))},
            "overlap": pick.choice(("allow", "allow", "skip")),
            "jitter": pick.choice((0, 0, 5)),
            "timezone": self.timezone,
        }
        job = {key: value for key, value in self._job().items() if key not in ("delay", "run_at")}
        return f"schedule-{len(self.history.calls)}", pick.choice(self.crons), job, options

    async def _change_schedule(self) -> None:
        if not self._schedules:
            return
        name = self.random.choice(self._schedules)
        kind = self.random.choice(("pause", "resume", "resume", "run_schedule", "new_cron", "new_job", "delete"))
        payload, cron = {"n": len(self.history.calls)}, self.random.choice(self.crons)
        match kind:
            case "pause":
                await self.call("pause_schedule", name, {}, requests.pause_schedule(name))
            case "resume":
                await self.call("resume_schedule", name, {}, requests.resume_schedule(name))
            case "run_schedule":
                await self.call("run_schedule", name, {}, requests.run_schedule(name))
            case "new_cron":
                change: dict[str, Any] = {"cron": cron}
                await self.call("update_schedule", name, change, requests.update_schedule(name, change))
            case "new_job":
                change = {"job": {"url": CALM + "/tick", "payload": payload}}
                await self.call("update_schedule", name, change, requests.update_schedule(name, change))
            case "delete":
                if self.random.random() < 0.3:
                    await self.call("delete_schedule", name, {}, requests.delete_schedule(name))

    async def _set_destination(self) -> None:
        settings = self.random.choice(
            (
                {"paused": True},
                {"paused": True},
                {"paused": False},
                {"concurrency": self.random.choice((1, 1, 2))},
                {"rate": {"limit": 2, "per": 1}},
            )
        )
        await self.put_destination(self.random.choice(TROUBLED), settings)

    async def put_destination(self, name: str, settings: dict[str, Any], **way: Any) -> Call:
        return await self.call("destination", name, settings, requests.put_destination(name, settings), **way)


class ClusterClients(Clients):
    """The same wishes within a shorter time: three nodes and their clockwork cost more than one."""

    hurries_s = (0.1, 0.4, 1.2)
    delay_s = 6
    run_at_ms = (-20_000, 30_000)
    rounds = (4, 9)

    @property
    def ticks_s(self) -> float:  # type: ignore[override]
        """Over the next full minute, and as long as it may take to notice it."""
        return 60 - self.clock.wall_ms() / 1_000 % 60 + _NOTICE_S

    async def _work(self) -> None:
        """At least as many calls as anywhere, and then a few more for as long as there is trouble."""
        await super()._work()
        while not self.is_enough():
            await asyncio.sleep(self.random.expovariate(1 / (0.6 + 4 * self._hurry_s)))
            await self._wish()


class BerlinClients(ClusterClients):
    """Their schedules go by the clocks of Berlin; many are for two o'clock."""

    crons = (*CRONS, "0 2 * * *", "0 2 * * *")
    timezone = "Europe/Berlin"
