"""A node's roles over time: it follows the log, leads when it is elected, and follows again.

A node without others is elected at once and leads until it stops.
"""

import asyncio

from hookline.errors import Fenced, NodeFault, NotLeader
from hookline.node.dispatch.exchange import NoExchange
from hookline.node.membership.leader import Leader, LeaderParts
from hookline.node.replica import Replica
from hookline.node.state_machine.effects import Effects
from hookline.protocol.claims import Frame, Orders
from hookline.telemetry.area_log import log_of

_log = log_of("leadership")


class Member:
    """One node of its cluster.

    Attributes:
        owner: this process, as claims name it.
        replica: the node's, through all its roles.
        runner: likewise.
        leader: of the present term, None while another node leads.
        is_serving: set while this node leads and takes requests.
    """

    def __init__(self, parts: LeaderParts) -> None:
        self._parts = parts
        self.owner = parts.owner
        self._stop = asyncio.Event()
        self.is_serving = asyncio.Event()
        self.replica = Replica(
            parts.machine,
            parts.log,
            parts.clock,
            commit=parts.commit,
            history=parts.history,
            observe_commit=parts.metrics.observe_commit,
        )
        self.replica.listen(self._on_commit, this_term=False)
        self.leader: Leader | None = None
        self.runner = parts.make_attempts(parts.elsewhere or NoExchange())
        self._failure: NodeFault | None = None
        self._failed = asyncio.Event()

    def _on_commit(self, effects: Effects) -> None:
        """The leader says which jobs ended with a lost node, also while it begins its term: followers see the same."""
        if effects.ended and self.leader is not None:
            self.leader.dispatcher.lost(effects.ended)

    @property
    def is_leading(self) -> bool:
        """This node takes requests: it leads, and has the proof that it still does."""
        return self.is_serving.is_set() and self._parts.leadership.is_valid()

    async def run(self) -> None:
        """Follow and lead until ``stop``.

        Raises:
            Compacted, StateDamaged (in a group): the state has to be installed from a peer.
            Halted (in a group): a person has to decide.
            NodeFault (in a group): the node cannot go on.
        """
        async with asyncio.TaskGroup() as tasks:
            failing = tasks.create_task(self._fail())
            running = tasks.create_task(self.runner.run())
            while not self._stop.is_set():
                term = await self._follow()
                if term is not None:
                    await self._lead(term)
            await self._end_attempts()
            running.cancel()
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

    async def _end_attempts(self) -> None:
        """Wait until the next leader has our reports; otherwise it would repeat these calls. Both within the grace."""
        grace_s = self._parts.config.shutdown_grace_ms / 1_000
        await self.runner.end(grace_s)
        try:
            async with asyncio.timeout(grace_s):
                await self.runner.drained()
        except TimeoutError:
            _log.warning("reports_not_told_in_time")

    async def _follow(self) -> int | None:
        """Until this node is elected: its term; None when it is to stop."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self.replica.follow())
            electing = tasks.create_task(self._parts.leadership.acquire())
            stopping = tasks.create_task(self._stop.wait())
            await asyncio.wait({following, electing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (following, electing, stopping):
                task.cancel()
        if electing.cancelled():
            return None
        if self._stop.is_set():
            await self._parts.leadership.release()
            return None
        return electing.result()

    async def _lead(self, term: int) -> None:
        leader = self.leader = Leader(
            self._parts, self.replica, term=term, runner=self.runner, is_serving=self.is_serving
        )
        try:
            await leader.run()
        except* (Fenced, NotLeader):
            self._parts.metrics.leads_ended.labels("lost").inc()
            _log.warning("lead_lost", term=term)
        finally:
            self.leader = None

    async def swap(self, frame: Frame) -> Orders:
        """Answer a runner in another process, as the leader. Raises NotLeader."""
        if self.leader is None or not self.is_serving.is_set():
            raise NotLeader
        return await self.leader.runners.swap(frame)

    def hand_over(self) -> bool:
        """Let another node lead, and follow; False when this node does not lead."""
        if self.leader is None:
            return False
        self.leader.stop()
        return True

    def clock_changed(self) -> None:
        """The node's time was set."""
        if self.leader is not None:
            self.leader.clock_changed()

    def stop(self) -> None:
        """Make ``run`` return in good order."""
        self._stop.set()
        self.runner.leave()
        self.hand_over()
