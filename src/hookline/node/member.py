"""A node's roles over time: it follows the log, leads when it is elected, and follows again.

A node without others is elected at once and leads until it stops.
"""

import asyncio

import structlog

from hookline.errors import Fenced, NodeFault, NotLeader
from hookline.node.history import History, LonelyHistory
from hookline.node.leader import Attempts, Leader, Surroundings
from hookline.node.replica import Replica
from hookline.node.state_machine.effects import Effects

_log = structlog.get_logger()


class Member:
    """One node of its cluster.

    Attributes:
        replica: the node's, through all its roles.
        leader: of the present term, None while another node leads.
        is_serving: set while this node leads and takes requests.
    """

    def __init__(self, given: Surroundings) -> None:
        self._given = given
        self._stop = asyncio.Event()
        self.is_serving = asyncio.Event()
        self.replica = Replica(
            given.machine, given.log, given.clock, commit=given.commit, observe_commit=given.metrics.observe_commit
        )
        self.replica.history = self._history()
        self.replica.listen(self._on_commit, this_term=False)
        self.leader: Leader | None = None
        self._outliving: dict[Attempts, asyncio.Task[None]] = {}  # attempts of terms that were handed over
        self._failure: NodeFault | None = None
        self._failed = asyncio.Event()

    def _on_commit(self, effects: Effects) -> None:
        """The leader says which jobs ended with a lost node, also while it begins its term: followers see the same."""
        if effects.ended and self.leader is not None:
            self.leader.executor.tell_ended(effects.ended)

    def _history(self) -> History:
        given = self._given
        if given.history is not None:
            return given.history(self.replica)
        return LonelyHistory(given.machine, given.clock, cluster=given.config.cluster, shard=given.config.shard)

    @property
    def is_leading(self) -> bool:
        """This node takes requests: it leads, and has the proof that it still does."""
        return self.is_serving.is_set() and self._given.leadership.is_valid()

    async def run(self) -> None:
        """Follow and lead until ``stop``.

        Raises:
            Compacted, StateDamaged (in a group): the state has to be installed from a peer.
            Halted (in a group): a person has to decide.
            NodeFault (in a group): the node cannot go on.
        """
        async with asyncio.TaskGroup() as tasks:
            failing = tasks.create_task(self._fail())
            while not self._stop.is_set():
                term = await self._follow()
                if term is not None:
                    await self._lead(term, tasks)
            await self._end_outliving()
            await self._tell_successor()
            failing.cancel()

    def fail(self, why: NodeFault) -> None:
        """Make ``run`` raise this: somebody else has found out that the node cannot go on."""
        if self._failure is None:
            self._failure = why
            self._failed.set()

    async def _fail(self) -> None:
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    async def _tell_successor(self) -> None:
        """Not to end before the next leader knows what came of our claims: it would make these calls again."""
        if self._given.successor is None:
            return
        try:
            async with asyncio.timeout(self._given.config.shutdown_grace_ms / 1_000):
                await self._given.successor.all_told()
        except TimeoutError:
            _log.warning("outcomes_not_told_in_time")

    async def _follow(self) -> int | None:
        """Until this node is elected: its term; None when it is to stop."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self.replica.follow())
            electing = tasks.create_task(self._given.leadership.acquire())
            stopping = tasks.create_task(self._stop.wait())
            await asyncio.wait({following, electing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (following, electing, stopping):
                task.cancel()
        if electing.cancelled():
            return None
        if self._stop.is_set():
            await self._given.leadership.release()
            return None
        return electing.result()

    async def _lead(self, term: int, tasks: asyncio.TaskGroup) -> None:
        leader = self.leader = Leader(self._given, self.replica, self.is_serving, others=self._outliving_now)
        try:
            await leader.run(term, tasks)
        except* (Fenced, NotLeader):
            _log.warning("lead_lost", term=term)
        finally:
            self.leader = None
            if leader.outliving is not None:
                leader.outliving.on_freed(self._wake)
                self._outliving[leader.outliving] = tasks.create_task(self._outlive(leader.outliving))

    def _outliving_now(self) -> int:
        return sum(attempts.running for attempts in self._outliving)

    def _wake(self) -> None:
        if self.leader is not None:
            self.leader.executor.wake()

    async def _outlive(self, attempts: Attempts) -> None:
        """Calls may take hours: this node follows meanwhile, or leads again."""
        await attempts.ended()
        del self._outliving[attempts]

    async def _end_outliving(self) -> None:
        """Within the grace."""
        for attempts, task in list(self._outliving.items()):
            await attempts.end(self._given.config.shutdown_grace_ms / 1_000)
            await task

    def hand_over(self) -> bool:
        """Let another node lead, and follow; False when this node does not lead."""
        if self.leader is None:
            return False
        self.leader.stop()
        return True

    def clock_changed(self) -> None:
        """The node's time was set."""
        if self.leader is not None:
            self.leader.scheduler.clock_changed()

    def stop(self) -> None:
        """Make ``run`` return in good order."""
        self._stop.set()
        self.hand_over()
