"""Hands batches over to other clusters, step by step, and ends what an earlier leader began.

``docs/explanation/moving.md`` has the steps. While a cluster makes a batch count, the next one is read: so a batch is
settled in a task of its own, one for each cluster that takes over.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from hookline.clock import Clock
from hookline.node.moving.new_home import NewHomes, NotTaken
from hookline.node.moving.outbox import Outbox
from hookline.node.replica import Replica
from hookline.protocol.commands import AnyCommand, EndDeparture, GiveAway, GivenAway
from hookline.protocol.moves import Activation, Arrival, decode_departure, source_of
from hookline.protocol.topology import ClusterEntry, parse_topology
from hookline.telemetry.area_log import log_of

_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)  # between tries at a cluster that does not take what is its own by now
_PATIENCE_S = 2.0  # with a batch before, until the next one is put off

_log = log_of("moving")


class Handover:
    """All ways out of this cluster.

    Args:
        replica: takes the steps of this cluster.
        homes: take those of the others.
        clock: says for how long something counted nowhere.

    Attributes:
        why_not: by shard, why a batch that was given up does not count yet.
        delivering: shards of clusters that make attempts meanwhile, as they said.
    """

    def __init__(self, replica: Replica, homes: NewHomes, clock: Clock) -> None:
        self._replica = replica
        self._homes = homes
        self._clock = clock
        self._settling: dict[int, asyncio.Task[None]] = {}  # by shard
        self._counting: dict[int, EndDeparture] = {}  # what the other cluster has said, and our log does not say yet
        self._floors: dict[int, int] = {}  # the newest number of ours that counts there
        self.why_not: dict[int, str] = {}
        self.delivering: set[int] = set()
        self._document: bytes | None = None  # what the next one was read from
        self._homes_by_shard: dict[int, ClusterEntry] = {}

    def resume(self, tasks: asyncio.TaskGroup) -> None:
        """Settle what an earlier leader gave up, beside all else."""
        for shard, kept in self._replica.departures.items():
            task = self._settling.get(shard)
            is_settled = shard in self._counting or (task is not None and not task.done())
            if kept.departure is not None and not is_settled:
                self._begin(tasks, shard)

    def stop(self) -> None:
        """The next leader goes on."""
        for task in self._settling.values():
            task.cancel()

    async def give(self, tasks: asyncio.TaskGroup, box: Outbox, check: Callable[[], None]) -> GivenAway:
        """Hand a batch over, up to the point of no return; returns what went.

        Args:
            tasks: the rest of it runs here.
            box: has the batch, and is empty then.
            check: raises unless it may still be given up; called right before.

        Raises:
            NotTaken: the other cluster does not take it now; nothing was given up.
        """
        shard = box.home.shard
        batch, jobs, schedules = box.take()
        await self._wait(shard)
        number = await self.arrive(box.home, batch)
        check()
        before = self._counting.pop(shard, None)
        give = GiveAway(shard, number, batch, jobs, schedules)
        *_, gone = await self.propose(*([give] if before is None else [before, give]))
        if not isinstance(gone, GivenAway):
            raise NotTaken(f"what goes to cluster {box.home.name} was given up by another leader")
        self._begin(tasks, shard)
        return gone

    async def arrive(self, home: ClusterEntry, batch: bytes) -> int:
        """Have a batch kept there, inert; returns its number. Raises NotTaken."""
        kept = self._replica.departures.get(home.shard)
        number = 1 + max(self._floors.get(home.shard, 0), 0 if kept is None else kept.number)
        while True:
            kept_there = await self._homes.take(home, Arrival(self._source(), number, batch), self._epoch())
            if kept_there.delivers:
                self.delivering.add(home.shard)
            else:
                self.delivering.discard(home.shard)
            if kept_there.counted < number:
                return number
            # This state is older than what it gave up before: it is that of a backup.
            self._floors[home.shard] = kept_there.counted
            number = kept_there.counted + 1

    async def end(self, home: ClusterEntry) -> None:
        """Wait until everything that was given up to it counts there, and our log says so. Raises NotTaken."""
        await self._wait(home.shard)
        if (counting := self._counting.pop(home.shard, None)) is not None:
            await self.propose(counting)

    async def propose(self, *commands: AnyCommand) -> list[Any]:
        """Put them into the log, in one entry; their results."""
        return await self._replica.propose(commands, no_timeout=True)

    async def _wait(self, shard: int) -> None:
        """Until the batch before counts. Raises NotTaken when that takes long: others need not wait for it."""
        task = self._settling.get(shard)
        if task is None:
            return
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE_S)
        if not done:
            raise NotTaken(self.why_not.get(shard, f"shard {shard} does not answer"))

    def _begin(self, tasks: asyncio.TaskGroup, shard: int) -> None:
        self._settling[shard] = tasks.create_task(self._settle(shard))

    async def _settle(self, shard: int) -> None:
        """Tell the other cluster, again and again, that a batch is its own, until it says so."""
        kept = self._replica.departures[shard]
        assert kept.departure is not None
        departure = decode_departure(kept.departure)
        tries = 0
        while True:
            try:
                await self._activate(shard, departure.number, departure.batch, departure.jobs, departure.schedules)
                break
            except NotTaken as error:
                self.why_not[shard] = error.detail
                _log.warning("moved_waits", shard=shard, jobs=len(departure.jobs), detail=error.detail)
            await asyncio.sleep(_RETRY_S[min(tries, len(_RETRY_S) - 1)])
            tries += 1
        self.why_not.pop(shard, None)
        frozen_ms = max(0, self._clock.wall_ms() - departure.since_ms)
        self._counting[shard] = EndDeparture(shard, departure.number, frozen_ms)

    async def _activate(
        self, shard: int, number: int, batch: bytes, jobs: tuple[int, ...], schedules: tuple[int, ...]
    ) -> None:
        home = self._home_of(shard)
        activation = Activation(self._source(), number, jobs, schedules)
        if not await self._homes.activate(home, activation):  # its state was restored from a backup
            await self._homes.take(home, Arrival(self._source(), number, batch), self._epoch())
            if not await self._homes.activate(home, activation):
                raise NotTaken(f"cluster {home.name} forgets what it took")

    def _home_of(self, shard: int) -> ClusterEntry:
        """By the newest topology: its addresses may be others by now. Raises NotTaken."""
        kept = self._replica.topology
        if kept is not None and kept.document != self._document:  # once for all batches by that topology
            self._document = kept.document
            self._homes_by_shard = {entry.shard: entry for entry in parse_topology(kept.document).all_clusters()}
        if (home := self._homes_by_shard.get(shard)) is not None:
            return home
        raise NotTaken(f"shard {shard} has jobs of this cluster and is not in the topology any more")

    def _epoch(self) -> int:
        kept = self._replica.topology
        return 0 if kept is None else kept.epoch

    def _source(self) -> str:
        identity = self._replica.machine.identity
        assert identity is not None
        return source_of(identity.cluster_id, identity.generation)
