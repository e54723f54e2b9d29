"""The clients of a simulated fleet: they speak to any proxy, repeat as the SDK does, and look after a change.

A job is known by its *marker*, which stands in its url: what is asked for once is made once, whoever asks for it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from hookline.client.requests import FALLBACK, Request
from hookline.errors import DeadlineExceeded
from hookline.protocol import http
from tests.simulation.clients import LABELS, Clients, Wish

if TYPE_CHECKING:
    from tests.simulation.fleet.world import FleetWorld

HOST = "http://10.0.0.1:8080/"
PAUSED = "http://10.0.0.2:8080"
_PAUSED_MARKER = "paused"
_CRON = "0 0 1 6 *"  # months away
_JSON = {"Content-Type": "application/json"}
_NAMES_IN_A_RUSH = 40  # most of them are new


class ProxyClients(Clients):
    """Most of their jobs are due in two hours, so they stay where they were made."""

    hurries_s = (0.1, 0.25, 0.5)
    at_once = (3, 4)
    rounds = (4, 9)
    retries = (0, 1, 3, 5)
    batches = 3
    pages = (3, 10, 100)

    def __init__(self, world: "FleetWorld", seed: int) -> None:
        self._numbered = 0
        super().__init__(world.ask_any, world.history, world.clock, seed)

    def wishes(self) -> tuple[tuple[Wish, int], ...]:
        return (
            (self._named, 6),
            (self._anonymous, 4),
            (self._minted, 4),
            (self._twins, 4),
            (self._batch, 3),
            (self._allowed, 1),
            (self._schedule, 2),
            (self._read, 6),
            (self._cancel, 2),
            (self._update, 2),
            (self._run, 1),
            (self._retry, 2),
            (self._bulk, 2),
            (self._list, 3),
            (self._to_paused, 4),
        )

    # --- creating ------------------------------------------------------------------------------------------------

    def _marker(self, kind: str) -> str:
        """One that no other job has."""
        self._numbered += 1
        return f"{kind}-{self._numbered}"

    def _named_job(self, names: int) -> dict[str, Any]:
        """One of few names, so that they repeat; now and then with another body."""
        pick = self.random
        number, body = pick.randint(1, names), int(pick.random() < 0.15)
        kind = pick.choice(("id", "id", "key", "both"))
        name = f"{kind}-{number}"
        own_id = {} if kind == "key" else {"id": name}
        return _job(f"{name}-{body}") | own_id | ({} if kind == "id" else {"idempotency_key": f"k-{name}"})

    async def _anonymous(self) -> None:
        """As most users do: the SDK gives it a key, and lets it leave a home that is down."""
        await self.create(_job(self._marker("sdk")))

    async def _minted(self, **way: Any) -> None:
        """Without the SDK: the proxy mints the id. After "may be" it is repeated with the id the proxy named."""
        job = _job(self._marker("plain"))
        request = _plain(self.request(job))
        for _ in range(3):
            call = await self.create(job, request, retries=1, **way)
            if not isinstance(call.error, DeadlineExceeded) or "id" not in call.error.figures:
                return
            job = {"id": call.error.figures["id"]} | job
            request = replace(request, body=msgspec.json.encode(job), is_repeatable=True)

    async def _to_paused(self, **way: Any) -> None:
        """A job that is due at once, to a destination that was paused before; or the pause itself."""
        if any(call.kind == "destination" and call.is_ok for call in self.history.calls):
            job = _job(self._marker(_PAUSED_MARKER))
            await self.create(job, _plain(self.request(job)), retries=0, **way)
        else:
            await self.put_destination(PAUSED, {"paused": True})

    async def _allowed(self) -> None:
        """The client says itself that another cluster may take its key: then there may be two."""
        marker = self._marker("allowed")
        job = _job(marker) | {"idempotency_key": f"k-{marker}"}
        request = self.request(job)
        await self.create(job | {"fallback": "allow"}, replace(request, headers=request.headers | {FALLBACK: "allow"}))

    def _batch_jobs(self) -> list[dict[str, Any]]:
        jobs = [self._batch_job() for _ in range(self.random.randint(2, 8))]
        known = {job["id"]: job for job in jobs if "id" in job}
        return [job for job in jobs if "id" not in job or known[job["id"]] is job]

    def _batch_job(self) -> dict[str, Any]:
        dice = self.random.random()
        if dice < 0.3:
            number = self.random.randint(1, self.names)
            return _job(f"id-{number}-0") | {"id": f"id-{number}"}
        marker = self._marker("item")
        return _job(marker) | ({"id": f"own-{marker}"} if dice < 0.7 else {})

    def _changes(self) -> dict[str, Any]:
        """Not the url, by which it is known."""
        changes = super()._changes()
        changes.pop("url", None)
        return changes

    def _new_schedule(self) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
        name = f"schedule-{self.random.randint(1, self.names)}"
        return name, _CRON, {"url": HOST + name}, {}

    # --- while the topology changes ------------------------------------------------------------------------------

    async def rush(self) -> None:
        """Many requests in little time."""

        async def twins() -> None:
            await self._twins(_NAMES_IN_A_RUSH)

        kinds = (twins, twins, twins, self._batch, self._minted, self._list, self.cancel_all)

        async def one() -> None:
            await asyncio.sleep(self.random.random() * 0.3)
            await self.random.choice(kinds)()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.random.choice((0, 5, 10))):
                tasks.create_task(one())

    async def look_around(self, changed_by: Any, others: Sequence[Any]) -> None:
        """The one who changed the topology creates something there, and looks whether the others see it."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(self._minted(ask=changed_by))
                tasks.create_task(self._to_paused(ask=changed_by))
        cancels = self.random.random() < 0.4
        async with asyncio.TaskGroup() as tasks:
            for ask in others:
                if cancels:
                    tasks.create_task(self.cancel_all(ask=ask))
                else:
                    tasks.create_task(self._listed(ask))

    async def _listed(self, ask: Any) -> None:
        await self.list_all(100, ask=ask, retries=0)


def _plain(request: Request[http.Job]) -> Request[http.Job]:
    """Without what the SDK does for it."""
    return replace(request, headers=_JSON, is_repeatable=False, may_fall_back=False)


def url_of(marker: str) -> str:
    """The URL to which the job with that marker is sent."""
    return f"{PAUSED}/{marker}" if marker.startswith(_PAUSED_MARKER) else HOST + marker


def marker_of(url: str) -> str:
    """The inverse."""
    return url.removeprefix(HOST).removeprefix(f"{PAUSED}/")


def _job(marker: str) -> dict[str, Any]:
    """The same for the same marker."""
    label = (*LABELS, None)[sum(marker.encode()) % 3]
    now = marker.startswith(_PAUSED_MARKER) or (marker.startswith(("sdk", "item")) and marker.endswith("7"))
    return {"url": url_of(marker)} | ({} if now else {"delay": "2h"}) | ({"labels": {"colour": label}} if label else {})
