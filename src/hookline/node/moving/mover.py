"""Moves jobs and schedules to their new homes when the topology changes.

It runs on the leader of each cluster, which pushes what has to move out of it, batch by batch. Each batch goes in
steps, and a leader that begins finishes what the one before it left: docs/explanation/moving.md.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from hookline.clock import Clock
from hookline.node.config import NodeConfig
from hookline.node.dispatch.duty import Duty
from hookline.node.moving.census import PAGE_ROWS, Census, Outflow, taken
from hookline.node.moving.handover import Handover
from hookline.node.moving.late_arrivals import LateArrivals
from hookline.node.moving.new_home import NewHomes, NotTaken
from hookline.node.moving.outbox import Outbox, size_of
from hookline.node.moving.pace import Pace
from hookline.node.moving.targets import Targets
from hookline.node.replica import Replica
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.move_reads import JobSign, MoveReads
from hookline.node.state_machine.tables import KeptDeparture
from hookline.protocol.commands import EndMove, PurgeElsewhere
from hookline.protocol.internal_http import ClusterMoves, MovedPair
from hookline.protocol.jobs import State
from hookline.protocol.moves import JOB, KEY, Batch, Pointer, encode_batch
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry, Topology, digest_of, parse_topology
from hookline.telemetry.area_log import log_of

_IDLE_S = 60.0
_AGAIN_S = 0.5  # before what could not move is looked at again
_PURGE_ROWS = 500
_PURGE_REST_S = 0.02
_READ_AT_ONCE = 20  # whole jobs
_NOTHING = KeptDeparture(0, None, 0, 0)

_log = log_of("moving")


class _Interrupted(Exception):
    """Another topology came, or it is to stop: nothing more is to be given up by this one."""


class Mover(Duty):
    """Pushes what has its home elsewhere, at most as fast as deliveries leave room for.

    Args:
        replica: takes the steps of this cluster.
        reads: what there is.
        clock: paces, and says what keys have expired.
        config: the cluster's name, and how long finished jobs are kept.
        homes: the other clusters.
        delivers: attempts are under way here, or soon.
    """

    def __init__(
        self,
        replica: Replica,
        reads: MoveReads,
        clock: Clock,
        config: NodeConfig,
        homes: NewHomes,
        delivers: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._replica = replica
        self._reads = reads
        self._clock = clock
        self._config = config
        self._handover = Handover(replica, homes, clock)
        self._pace = Pace(clock, delivers)
        self._late = LateArrivals(replica, clock)
        self._document: bytes | None = None
        self._targets: Targets | None = None
        self._census: Census | None = None  # what was there to move by this topology; None: not counted yet
        self._gone: dict[int, KeptDeparture] = {}  # what had moved then, by shard
        self._pointed: bytes | None = None  # the topology by which all pointers were given
        self._refusing: dict[str, str] = {}  # in this pass: clusters that take nothing now, and why
        self._refused: dict[str, str] = {}  # in this pass or the one before, until they take something
        self._waits_for = ""

    def _on_commit(self, effects: Effects) -> None:
        if effects.topology_changed:
            self.wake()

    async def run(self) -> None:
        """Until ``stop``."""
        self._replica.listen(self._on_commit)
        async with asyncio.TaskGroup() as self._tasks:
            while not self._is_over:
                try:
                    rest_s = await self._step()
                except _Interrupted:
                    continue
                if rest_s:
                    await self.rest(rest_s)
            self._handover.stop()

    async def _step(self) -> float:
        """Go on with what there is to do; the seconds to rest afterwards. Raises _Interrupted."""
        self._handover.resume(self._tasks)
        targets = self._read_topology()
        if targets is None:
            return await self._tidy()
        epoch, is_paused = targets.router.topology.epoch, targets.router.topology.move.paused
        if self._replica.moved_epoch == epoch and not is_paused:
            if not self._late.has_come():
                return _IDLE_S
            await self._handover.propose(EndMove(epoch, targets.is_leaving, False))
            self._census = self._pointed = None
        if self._census is None:
            census = await taken(self._reads, targets, self._clock.wall_ms())
            self._check(targets)
            self._census, self._gone = census, dict(self._replica.departures)
        if is_paused:
            self._waits_for = "the change is paused"
            return _IDLE_S
        return await self._pass(targets)

    def _read_topology(self) -> Targets | None:
        """Decides what moves; None: nothing does."""
        kept = self._replica.topology
        if kept is None:
            return None
        if kept.document != self._document:
            self._document, self._census, self._waits_for = kept.document, None, ""
            self._refused.clear()
            topology = parse_topology(kept.document)
            self._targets = Targets(Router(topology), self._config.cluster, with_finished=topology.move.with_finished)
        targets = self._targets
        assert targets is not None
        return targets if targets.is_leaving or targets.router.topology.previous is not None else None

    def _check(self, targets: Targets) -> None:
        """Raise _Interrupted unless the topology is still the one by which they were found."""
        kept = self._replica.topology
        if self._is_over or kept is None or kept.document != self._document or targets is not self._targets:
            raise _Interrupted

    async def _tidy(self) -> float:
        """No change is under way: names of what moved are not asked for here any more."""
        replica, now_ms = self._replica, self._clock.wall_ms()
        if replica.has_left:  # it is in the topology again
            await self._handover.propose(EndMove(replica.topology.epoch if replica.topology else 0, False, True))
        has_moved, has_old = self._reads.has_old_names(now_ms)
        if not (has_moved or has_old):
            return _IDLE_S
        await self._handover.propose(PurgeElsewhere(now_ms, True, _PURGE_ROWS))
        return _PURGE_REST_S

    # --- one pass over all there is ----------------------------------------------------------------------------------

    async def _pass(self, targets: Targets) -> float:
        """Move what can move now; when nothing is left, say so. The seconds to rest afterwards."""
        replica, epoch = self._replica, targets.router.topology.epoch
        began_ms = self._clock.boot_ms()
        self._refusing.clear()
        is_awaited = self._late.is_awaited(self._document)
        if self._late.has_come():
            self._pointed = None
        waiting, moved = await self._move_schedules(targets)
        running, more = await self._move_jobs(targets)
        others = [home for home in targets.router.topology.all_clusters() if home.name != self._config.cluster]
        await self._end(others)
        self._refused = dict(self._refusing)
        self._waits_for = "; ".join(_words(waiting, running))
        if self._waits_for or self._refusing:
            return max(_AGAIN_S, (self._clock.boot_ms() - began_ms) / 1_000)
        if moved or more:
            return 0
        if targets.is_leaving and not replica.has_left:  # what was begun meanwhile is found by one more pass
            await self._handover.propose(EndMove(epoch, True, False))
            return 0
        if is_awaited:
            self._waits_for = "what was on its way here when the topology changed has not arrived"
            return _AGAIN_S
        if self._pointed != self._document:
            await self._point(targets)
            await self._end(others)
            self._pointed = None if self._refusing else self._document
        await self._clear_arrivals(others)
        if self._refusing:
            self._refused = dict(self._refusing)
            return _AGAIN_S
        self._check(targets)
        await self._handover.propose(EndMove(epoch, targets.is_leaving, True))
        _log.info("move_done", epoch=epoch, has_left=targets.is_leaving)
        return _IDLE_S

    async def _end(self, homes: Sequence[ClusterEntry]) -> None:
        for home in homes:
            try:
                await self._handover.end(home)
            except NotTaken as error:
                self._refusing[home.name] = error.detail

    async def _clear_arrivals(self, homes: Sequence[ClusterEntry]) -> None:
        """Nothing of ours is inert anywhere any more: an empty batch takes the place of what was never given up."""
        for home in homes:
            try:
                await self._handover.arrive(home, encode_batch(Batch()))
            except NotTaken as error:
                self._refusing[home.name] = error.detail

    async def _move_schedules(self, targets: Targets) -> tuple[int, int]:
        """How many wait, and how many were sent."""
        boxes: dict[str, Outbox] = {}
        waiting = sent = after = 0
        while signs := self._reads.schedules(after, PAGE_ROWS):
            after = signs[-1].seq
            for sign in signs:
                home = targets.of_id(sign.id)
                if home is None or home.name in self._refusing:
                    continue
                if sign.waits:
                    waiting += 1
                    continue
                record = self._reads.schedule_record(sign.seq)
                if record is None:
                    continue
                box = self._box(boxes, home)
                if not box.fits(len(record.spec) + len(record.work)):
                    await self._send(targets, box)
                box.add_schedule(sign, record)
                sent += 1
            await asyncio.sleep(0)
            self._check(targets)
        await self._send_all(targets, boxes)
        return waiting, sent

    async def _move_jobs(self, targets: Targets) -> tuple[int, int]:
        """How many run, and how many were sent."""
        boxes: dict[str, Outbox] = {}
        running = sent = after = 0
        while signs := self._reads.jobs(after, PAGE_ROWS):
            after = signs[-1].seq
            now_ms = self._clock.wall_ms()
            for sign in signs:
                if not targets.moves(sign, now_ms) or (home := targets.of_id(sign.id)) is None:
                    continue
                if home.name in self._refusing:
                    continue
                if sign.state == State.RUNNING:
                    running += 1
                    continue
                sent += await self._add_job(targets, self._box(boxes, home), sign)
                if sent % _READ_AT_ONCE == 0:  # others, and what makes the batch before count, get in between
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
            self._check(targets)
        await self._send_all(targets, boxes)
        return running, sent

    async def _add_job(self, targets: Targets, box: Outbox, sign: JobSign) -> bool:
        record = self._reads.record(sign.seq)
        if record is None or record.state == State.RUNNING:
            return False
        if not box.fits(size_of(record)):
            await self._send(targets, box)
        # It may have changed while its batch waited: then it is not as it was read, and stays.
        now = (record.state, record.due_ms, record.revision, record.attempts)
        if now != (sign.state, sign.due_ms, sign.revision, sign.attempts):
            return False
        box.add_job(sign, record)
        if box.is_full:
            await self._send(targets, box)
        return True

    async def _point(self, targets: Targets) -> None:
        """Tell the homes of what stays elsewhere where it is: of keys, and of finished jobs."""
        boxes: dict[str, Outbox] = {}
        now_ms = self._clock.wall_ms()
        own = self._config.shard
        after = 0
        while keys := self._reads.keys(after, PAGE_ROWS):
            after = keys[-1].number
            for key in keys:
                if key.expires_ms > now_ms:
                    pointer = Pointer(KEY, key.tenant, key.key, own, key.expires_ms)
                    await self._add_pointer(targets, boxes, targets.of_key(key.key), pointer)
            await asyncio.sleep(0)
        name = ("", "")
        while elsewhere := self._reads.keys_elsewhere(name, PAGE_ROWS):
            name = (elsewhere[-1].tenant, elsewhere[-1].name)
            for there in elsewhere:
                if there.until_ms > now_ms:
                    pointer = Pointer(KEY, there.tenant, there.name, there.shard, there.until_ms)
                    await self._add_pointer(targets, boxes, targets.of_key(there.name), pointer)
            await asyncio.sleep(0)
        if not targets.is_leaving:
            await self._point_to_finished(targets, boxes, now_ms)
        await self._send_all(targets, boxes)

    async def _point_to_finished(self, targets: Targets, boxes: dict[str, Outbox], now_ms: int) -> None:
        until_ms = now_ms + 2 * max(self._config.retention_ms, self._config.retention_dead_ms)
        after = 0
        while signs := self._reads.jobs(after, PAGE_ROWS):
            after = signs[-1].seq
            for sign in signs:
                if sign.state not in (State.PENDING, State.RUNNING):
                    pointer = Pointer(JOB, sign.tenant, sign.id, self._config.shard, until_ms)
                    await self._add_pointer(targets, boxes, targets.of_id(sign.id), pointer)
            await asyncio.sleep(0)

    async def _add_pointer(
        self, targets: Targets, boxes: dict[str, Outbox], home: ClusterEntry | None, pointer: Pointer
    ) -> None:
        if home is None or home.shard == pointer.shard or home.name in self._refusing:
            return
        box = self._box(boxes, home)
        box.add_pointer(pointer)
        if box.is_full:
            await self._send(targets, box)

    def _box(self, boxes: dict[str, Outbox], home: ClusterEntry) -> Outbox:
        box = boxes.get(home.name)
        if box is None:
            delivers_there = home.shard in self._handover.delivering
            box = boxes[home.name] = Outbox(home, self._pace.items_max(self._rate(), delivers_there=delivers_there))
        return box

    def _rate(self) -> int | None:
        return None if self._targets is None else self._targets.router.topology.move.rate

    async def _send_all(self, targets: Targets, boxes: dict[str, Outbox]) -> None:
        for box in boxes.values():
            await self._send(targets, box)

    # --- one batch ---------------------------------------------------------------------------------------------------

    async def _send(self, targets: Targets, box: Outbox) -> None:
        """Give a batch up, and rest as long as deliveries need. A cluster that does not take it is left out for now.

        Raises _Interrupted.
        """
        if not len(box):
            return
        began_ms = self._clock.boot_ms()
        try:
            gone = await self._handover.give(self._tasks, box, partial(self._check, targets))
        except NotTaken as error:
            self._refusing[box.home.name] = self._refused[box.home.name] = error.detail
            return
        self._refused.pop(box.home.name, None)
        self._pace.note(len(gone.jobs))
        delivers_there = box.home.shard in self._handover.delivering
        box.items_max = self._pace.items_max(self._rate(), delivers_there=delivers_there)
        rest_s = self._pace.rest_s(len(gone.jobs), began_ms, self._rate(), delivers_there=delivers_there)
        await asyncio.sleep(rest_s)

    # --- what is told ------------------------------------------------------------------------------------------------

    def told(self) -> ClusterMoves:
        """How far it is; when nothing is left, what has moved by the newest change."""
        replica, kept = self._replica, self._replica.topology
        epoch = 0 if kept is None else kept.epoch
        targets = self._read_topology()
        is_done = targets is None or replica.moved_epoch == epoch
        digest = "" if kept is None else digest_of(kept.document)
        pairs = [] if self._targets is None else self._pairs(self._targets.router.topology, is_done=is_done)
        waits = [self._waits_for, *self._refused.values()]
        waits_for = "; ".join(self._handover.why_not.values() or filter(None, waits))
        speed = self._pace.speed()
        frozen_ms = replica.longest_frozen_ms
        own = self._config.cluster
        return ClusterMoves(own, epoch, digest, is_done, replica.has_left, frozen_ms, speed, waits_for, pairs)

    def _pairs(self, topology: Topology, *, is_done: bool) -> list[MovedPair]:
        departures, census = self._replica.departures, Census() if is_done else self._census
        pairs = []
        for entry in topology.clusters:
            gone, before = (its.get(entry.shard, _NOTHING) for its in (departures, self._gone))
            there = None if census is None else census.moving.get(entry.name, Outflow())
            is_idle = (gone.jobs, gone.schedules) == (0, 0) and there == Outflow()
            if entry.name == self._config.cluster or is_idle:
                continue
            jobs, schedules = None, None
            if there is not None:
                jobs = max(0, there.jobs - (gone.jobs - before.jobs))
                schedules = max(0, there.schedules - (gone.schedules - before.schedules))
            pairs.append(MovedPair(entry.name, gone.jobs, jobs, gone.schedules, schedules))
        return pairs


def _words(waiting: int, running: int) -> list[str]:
    parts = []
    if running:
        parts.append(f"{running} jobs are running; they move when their attempts have ended")
    if waiting:
        parts.append(f"{waiting} schedules with overlap = skip wait for their newest jobs to end")
    return parts
