"""The clients of a simulated world of proxies: they speak to any proxy, and repeat as the SDK does."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from hookline.client import requests
from hookline.client.requests import Request
from hookline.errors import DeadlineExceeded, HooklineError
from hookline.http_api.forwarded_headers import FALLBACK
from hookline.protocol import http
from tests.simulation.fleet.client_record import (
    Cancelling,
    Creation,
    Listing,
    Page,
    Reading,
    error_of,
    verdict_of,
)
from tests.simulation.fleet.proxy_transport import ProxyTransport

if TYPE_CHECKING:
    from tests.simulation.fleet.proxy import SimulatedProxy
    from tests.simulation.fleet.world import FleetWorld

HOST = "http://10.0.0.1:8080/"
PAUSED = "http://10.0.0.2:8080"
_PAUSED_MARKER = "paused-"
CRON = "0 0 1 6 *"  # months away
LABELS = ("red", "green")
_PAGES_MAX = 60
_NAMES_IN_A_RUSH = 40  # most of them are new


class ProxyClients:
    """A few clients at once, each with a list of wishes that the seed draws."""

    def __init__(self, world: "FleetWorld", seed: int) -> None:
        self.world = world
        self.random = random.Random(f"proxy clients {seed}")
        self.hurry_s = self.random.choice((0.1, 0.25, 0.5))
        self.names = self.random.choice((3, 8))
        self._apart_s = self.random.choice((0.0, 0.1, 0.3))
        self._wishes = 0
        weights: tuple[tuple[Callable[[], Awaitable[None]], int], ...] = (
            (self._named, 6),
            (self._anonymous, 4),
            (self._minted, 4),
            (self._twins, 4),
            (self._batch, 3),
            (self._allowed, 1),
            (self._schedule, 2),
            (self._read, 6),
            (self._cancel, 2),
            (self._cancel_all, 1),
            (self._list, 3),
            (self._to_paused, 4),
        )
        self._actions = [(action, weight * self.random.choice((0, 1, 1, 3))) for action, weight in weights]
        if not any(weight for action, weight in self._actions if action not in (self._read, self._list)):
            self._actions.append((self._named, 5))

    async def work(self) -> None:
        """Until all wishes were tried."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.random.randint(3, 4)):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        actions, weights = zip(*self._actions, strict=True)
        for _ in range(self.random.randint(4, 9)):
            await asyncio.sleep(self.random.expovariate(1 / self.hurry_s))
            await self.random.choices(actions, weights)[0]()

    def transport(self) -> ProxyTransport:
        return ProxyTransport(self.world, self.random.choice((0, 1, 3, 5)))

    # --- creating ------------------------------------------------------------------------------------------------

    def _number(self) -> int:
        self._wishes += 1
        return self._wishes

    def _creation(self, marker: str, **given: Any) -> Creation:
        began = self.world.history.note(f"wanted: {marker}")
        creation = Creation("job", marker, None, None, _label_of(marker), began)
        for name, value in given.items():
            setattr(creation, name, value)
        self.world.record.creations.append(creation)
        return creation

    def _named_creation(self, names: int) -> Creation:
        """One of few names, so that they repeat; now and then with another body."""
        pick = self.random
        number, body = pick.randint(1, names), int(pick.random() < 0.15)
        kind = pick.choice(("id", "id", "key", "both"))
        name = f"{kind}-{number}"
        return self._creation(
            f"{name}-{body}", id=None if kind == "key" else name, key=None if kind == "id" else f"k-{name}"
        )

    def request(self, creation: Creation) -> Request[http.Job]:
        """As the SDK makes it."""
        fields = {name: value for name, value in (("id", creation.id), ("idempotency_key", creation.key)) if value}
        given: Any = _fields(creation.marker) | fields
        return requests.create_job(given.pop("url"), given, self.world.clock)

    async def create(
        self, creation: Creation, request: Request[http.Job], transport: ProxyTransport
    ) -> http.Job | HooklineError:
        """Send it, and write down what each try was told."""
        transport.heard = lambda error: None if error is None else creation.verdicts.append(verdict_of(error))
        try:
            job = await transport.send(request)
        except HooklineError as error:
            return error
        self._made(creation, job.id, job.url)
        return job

    def _made(self, creation: Creation, made: str, url: str) -> None:
        creation.verdicts.append("made")
        creation.acknowledged.append((made, self.world.history.note(f"made: {made} for {creation.marker}")))
        if url != url_of(creation.marker):
            self.world.record.wrong.append(f"{creation.marker} was answered with the job for {url}")
        if creation.id is not None and creation.id != made:
            self.world.record.wrong.append(f"{creation.id} was answered with {made}")

    async def _named(self) -> None:
        creation = self._named_creation(self.names)
        await self.create(creation, self.request(creation), self.transport())

    async def _anonymous(self) -> None:
        """As most users do: the SDK gives it a key, and lets it leave a home that is down."""
        creation = self._creation(f"sdk-{self._number()}")
        await self.create(creation, self.request(creation), self.transport())

    async def _minted(self, proxy: "SimulatedProxy | None" = None) -> None:
        """Without the SDK: the proxy mints the id. After "may be" it is repeated with the id the proxy named."""
        creation = self._creation(f"plain-{self._number()}")
        request = replace(self.request(creation), headers=_JSON, is_repeatable=False, may_fall_back=False)
        for _ in range(3):
            found = await self.create(creation, request, ProxyTransport(self.world, 1, proxy))
            if not isinstance(found, DeadlineExceeded) or "id" not in found.figures:
                return
            body = {"id": found.figures["id"]} | _fields(creation.marker)
            request = replace(request, body=msgspec.json.encode(body), is_repeatable=True)

    async def _to_paused(self, proxy: "SimulatedProxy | None" = None) -> None:
        """A job that is due at once, to a destination that was paused before; or the pause itself."""
        if self.world.record.paused is None:
            await self._pause()
            return
        creation = self._creation(f"{_PAUSED_MARKER}{self._number()}")
        request = replace(self.request(creation), headers=_JSON, is_repeatable=False, may_fall_back=False)
        await self.create(creation, request, ProxyTransport(self.world, 0, proxy))

    async def _pause(self) -> None:
        try:
            await self.transport().send(requests.put_destination(PAUSED, {"paused": True}))
        except HooklineError:
            return
        self.world.record.paused = self.world.history.note(f"paused: {PAUSED}")

    async def _twins(self, names: int = 0) -> None:
        """Equal requests through several proxies, at once or nearly."""
        one = self._named_creation(names or self.names)
        others = [self._creation(one.marker, id=one.id, key=one.key) for _ in range(self.random.choice((1, 1, 3)))]
        async with asyncio.TaskGroup() as tasks:
            for creation in (one, *others):
                tasks.create_task(self._after_a_moment(creation))

    async def _after_a_moment(self, creation: Creation) -> None:
        await asyncio.sleep(self.random.random() * self._apart_s)
        await self.create(creation, self.request(creation), self.transport())

    async def rush(self) -> None:
        """Many requests in little time: while the topology changes."""
        twins = partial(self._twins, _NAMES_IN_A_RUSH)
        kinds = (twins, twins, twins, self._batch, self._minted, self._list, self._cancel_all)

        async def one() -> None:
            await asyncio.sleep(self.random.random() * 0.3)
            await self.random.choice(kinds)()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.random.choice((0, 5, 10))):
                tasks.create_task(one())

    async def look_around(self, proxy: "SimulatedProxy") -> None:
        """The one who changed the topology creates something there, and looks whether the others see it."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(self._minted(proxy))
                tasks.create_task(self._to_paused(proxy))
        cancels = self.random.random() < 0.4
        async with asyncio.TaskGroup() as tasks:
            for other in self.world.proxies:
                looking = (
                    self._cancel_all(other) if cancels else self.list_all(ProxyTransport(self.world, 0, other), 100)
                )
                tasks.create_task(looking)

    async def _allowed(self) -> None:
        """The client says itself that another cluster may take its key: then there may be two."""
        number = self._number()
        creation = self._creation(f"allowed-{number}", key=f"k-allowed-{number}", may_double=True)
        request = self.request(creation)
        headers = request.headers | {FALLBACK.decode(): "allow"}
        await self.create(creation, replace(request, headers=headers), self.transport())

    async def _batch(self) -> None:
        creations = [self._batch_item() for _ in range(self.random.randint(2, 8))]
        known = {creation.id: creation for creation in creations if creation.id is not None}
        creations = [one for one in creations if one.id is None or known[one.id] is one]
        for _ in range(3):
            creations = await self._send_batch(creations)
            creations = [creation for creation in creations if creation.id is not None]
            if not creations:
                return

    def _batch_item(self) -> Creation:
        dice = self.random.random()
        if dice < 0.3:
            number = self.random.randint(1, self.names)
            return self._creation(f"id-{number}-0", id=f"id-{number}")
        marker = f"item-{self._number()}"
        return self._creation(marker, id=f"own-{marker}" if dice < 0.7 else None)

    async def _send_batch(self, creations: list[Creation]) -> list[Creation]:
        """Those that have to be sent again."""
        items = [_fields(one.marker) | ({"id": one.id} if one.id else {}) for one in creations]
        is_repeatable = all("id" in item for item in items)
        body = msgspec.json.encode({"jobs": items})
        request = Request("POST", "/jobs/batch", http.BatchResponse, body, _JSON, is_repeatable=is_repeatable)
        transport = self.transport()

        def heard(error: HooklineError | None) -> None:
            for creation in creations if error is not None else ():
                creation.verdicts.append(verdict_of(error))  # type: ignore[arg-type]

        transport.heard = heard
        try:
            results = (await transport.send(request)).results
        except HooklineError:
            return creations
        if len(results) != len(creations):
            self.world.record.wrong.append(f"a batch of {len(creations)} has {len(results)} results")
        return [one for one, result in zip(creations, results, strict=False) if not self._take(one, result)]

    def _take(self, creation: Creation, result: http.BatchResult) -> bool:
        if result.job is not None:
            self._made(creation, result.job.id, result.job.url)
            return True
        code = str((result.error or {}).get("code"))
        self.world.record.said(code, f"{creation.marker} in a batch")
        creation.verdicts.append(verdict_of(error_of(code)))
        return result.status < 500

    async def _schedule(self) -> None:
        name = f"schedule-{self.random.randint(1, self.names)}"
        creation = self._creation(name, kind="schedule", id=name)
        transport = self.transport()
        transport.heard = lambda error: None if error is None else creation.verdicts.append(verdict_of(error))
        job: Any = {"url": HOST + name}
        request = requests.create_schedule(CRON, job, {"id": name}, self.world.clock)
        try:
            await transport.send(request)
        except HooklineError:
            return
        creation.verdicts.append("made")
        creation.acknowledged.append((name, self.world.history.note(f"made: {name}")))

    # --- what is there -------------------------------------------------------------------------------------------

    def _known(self, kind: Any = "job") -> str | None:
        """An id that was acknowledged; rather one of the newest."""
        known = list(self.world.record.acknowledged(kind))
        return known[-1 - min(int(self.random.expovariate(0.2)), len(known) - 1)] if known else None

    async def _read(self) -> None:
        is_schedule = self.random.random() < 0.15
        wanted = self._known("schedule" if is_schedule else "job")
        if wanted is not None:
            await self.read("schedule" if is_schedule else "read", wanted, self.transport())

    async def _cancel(self) -> None:
        wanted = self._known()
        if wanted is not None:
            await self.read("cancel", wanted, self.transport())

    async def read(self, what: Any, wanted: str, transport: ProxyTransport) -> Reading:
        """Read, or cancel, and write down what was there."""
        made: dict[str, Callable[[str], Request[Any]]] = {
            "read": requests.get_job,
            "cancel": requests.cancel_job,
            "schedule": requests.get_schedule,
        }
        reading = Reading(what, wanted, self.world.history.note(f"{what} {wanted}"))
        self.world.record.readings.append(reading)
        try:
            found = await transport.send(made[what](wanted))
        except HooklineError as error:
            reading.code = error.code
        else:
            if what != "schedule":
                reading.url, reading.state = found.url, found.state
        reading.ended = self.world.history.note(f"{what} {wanted}: {reading.code or reading.state}")
        return reading

    async def _cancel_all(self, proxy: "SimulatedProxy | None" = None) -> None:
        label = self.random.choice(LABELS)
        began = self.world.history.note(f"cancel all {label}")
        filters: Any = {"label": f"colour={label}"}
        request = requests.cancel_jobs(filters, dry_run=False, limit=None)
        try:
            done = await ProxyTransport(self.world, 1, proxy).send(request)
        except HooklineError:
            return
        ended = self.world.history.note(f"cancelled all {label}: {done}")
        if not (done.incomplete or done.unclear or done.more):
            self.world.record.cancellings.append(Cancelling(label, began, ended))

    async def _list(self) -> None:
        await self.list_all(self.transport(), self.random.choice((3, 10, 100)))

    async def list_all(self, transport: ProxyTransport, limit: int) -> Listing:
        """Page by page; gives up when a page does not come."""
        listing = Listing(self.world.history.note("list"))
        self.world.record.listings.append(listing)
        cursor: str | None = None
        for _ in range(_PAGES_MAX):
            try:
                page = await transport.send(requests.list_jobs({}, limit=limit, cursor=cursor))
            except HooklineError:
                return listing
            cursor = page.next_cursor
            jobs = [(job.created_at, job.id) for job in page.data]
            listing.pages.append(Page(jobs, page.incomplete, cursor is not None))
            if cursor is None:
                return listing
            if page.incomplete:
                await asyncio.sleep(0.5)
        return listing


_JSON = {"Content-Type": "application/json"}


def url_of(marker: str) -> str:
    """Where the job with that marker is sent."""
    return f"{PAUSED}/{marker}" if marker.startswith(_PAUSED_MARKER) else HOST + marker


def marker_of(url: str) -> str:
    """The inverse."""
    return url.removeprefix(HOST).removeprefix(f"{PAUSED}/")


def _label_of(marker: str) -> str | None:
    """The same for the same marker, as the rest of the body."""
    return (*LABELS, None)[sum(marker.encode()) % 3]


def _fields(marker: str) -> dict[str, Any]:
    label = _label_of(marker)
    now = marker.startswith(_PAUSED_MARKER) or (marker.startswith(("sdk", "item")) and marker.endswith("7"))
    return {"url": url_of(marker)} | ({} if now else {"delay": "2h"}) | ({"labels": {"colour": label}} if label else {})
