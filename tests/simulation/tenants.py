"""Two tenants of one node: their keys, destinations and labels have the same names, and must never meet."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hookline.client import requests
from hookline.client.requests import Request
from tests.simulation.clients import Clients, Wish
from tests.simulation.cluster.lone import LoneNode
from tests.simulation.history import History
from tests.simulation.world import ClusterWorld

NEIGHBOUR = "acme"
_HEADER = "hookline-tenant"


class Neighbours(Clients):
    """Clients of another tenant, with a part of the same wishes.

    Their jobs have ids of the node's, so that everything seen from outside is known by its id alone. Their keys are
    those of the others.
    """

    tenant = NEIGHBOUR
    rounds = (10, 30)
    others: Sequence[str] = ()

    def wishes(self) -> tuple[tuple[Wish, int], ...]:
        return (
            (self._create, 3),
            (self._named, 8),
            (self._twins, 2),
            (self._cancel, 2),
            (self._update, 2),
            (self._bulk, 1),
            (self._read, 1),
            (self._look_around, 3),
        )

    def _named_job(self, names: int) -> dict[str, Any]:
        job = super()._named_job(names)
        job.pop("id", None)
        return job | {"idempotency_key": f"key-{self.random.randint(1, names)}"}

    async def _look_around(self) -> None:
        """Ask for what is the others', and for all there is."""
        if self.others:
            stranger = self.random.choice(self.others)
            await self.call("peek", stranger, {}, requests.get_job(stranger))
        await self.call("peek_list", None, {}, requests.list_jobs({}, limit=1_000, cursor=None))

    async def _send(self, call: Any, request: Request[Any], **way: Any) -> Any:
        return await super()._send(call, replace(request, headers=request.headers | {_HEADER: self.tenant}), **way)

    async def tidy(self) -> None:
        """Nothing of theirs is paused, and they have no schedules."""


class TenantsWorld(ClusterWorld):
    """A node whose clients are of two tenants."""

    def __init__(self, history: History, seed: int, directory: Path) -> None:
        super().__init__(LoneNode(history, seed, directory), Clients, seed)
        self._neighbours = Neighbours(self.cluster.ask_any, history, self.cluster.clock, seed + 1)
        self._neighbours.others = self._clients.jobs
        self._clients.work = self._both  # type: ignore[method-assign]

    async def _both(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Clients.work(self._clients))
            tasks.create_task(self._neighbours.work())
