"""A simulated world: clusters, clients, and a run from trouble over healing to quiet, all from one seed."""

import asyncio
import random
import traceback
from collections.abc import Sequence

from hookline.errors import NotLeader
from tests.simulation.clients import Clients
from tests.simulation.cluster.cluster import Cluster
from tests.simulation.history import History, Serving

_NODE_PATIENCE_S, _CLUSTER_PATIENCE_S = 3_600, 900  # after everything is healed, by when all work must be done
_WORK_S = 900  # by when the clients of a cluster have long made all their calls


class SeenWrong(Exception):
    """Something is wrong, and the rest of the run would not be looked at."""


class World:
    """Lives inside a ``ProcessLoop``.

    Attributes:
        kind: of trouble.
        fatal: why the run came to no end.
        violations: that are seen while it runs, beside those of its clusters.
    """

    def __init__(self, history: History, clusters: Sequence[Cluster], pick: random.Random, kind: str) -> None:
        self.history, self.clusters, self.random, self.kind = history, clusters, pick, kind
        self.violations: list[str] = []
        self.fatal = ""

    @property
    def commit_ms(self) -> int | None:
        """As long as a leader takes a commit to last, if that is to be changed."""
        return next((it.elsewhere.commit_ms for it in self.clusters if it.elsewhere is not None), None)

    async def live(self, *, stops: bool) -> None:
        """The whole run; with ``stops``, until something is seen to be wrong."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for cluster in self.clusters:
                    cluster.network.tasks = tasks
                watching = tasks.create_task(self._look()) if stops else None
                await self._live(tasks)
                if watching is not None:
                    watching.cancel()
        except* Exception as errors:  # noqa: BLE001 - what broke down is told with the journal
            error = errors.exceptions[0]
            self.fatal = "".join(traceback.format_exception(error)[-4:])

    async def _look(self) -> None:
        while not self._seen():  # noqa: ASYNC110 - it is seen in many places
            await asyncio.sleep(1)
        for cluster in self.clusters:
            cluster.wake_all()  # else what they do never ends, also when it is cancelled
        raise SeenWrong

    def _seen(self) -> list[str]:
        """All that was seen to be wrong so far."""
        return [*self.violations, *self.history.complaints, *(text for it in self.clusters for text in it.seen())]

    def violated(self) -> list[str]:
        """All that is wrong with the run, in words; empty when every promise is kept."""
        if self.fatal:
            return [*self._seen(), self.fatal]
        return [*self.violations, *(text for cluster in self.clusters for text in cluster.violated())]

    async def _live(self, tasks: asyncio.TaskGroup) -> None:
        raise NotImplementedError


class ClusterWorld(World):
    """One cluster: trouble, then healing, then quiet, then all nodes know everything."""

    def __init__(self, cluster: Cluster, clients_type: type[Clients], seed: int) -> None:
        super().__init__(cluster.history, (cluster,), cluster.random, cluster.kind)
        self.cluster, self._seed = cluster, seed
        self._clients = clients_type(cluster.ask_any, self.history, cluster.clock, seed)

    async def _live(self, tasks: asyncio.TaskGroup) -> None:
        cluster, clients = self.cluster, self._clients
        for node in cluster.nodes:
            tasks.create_task(node.run())
        if cluster.elsewhere is not None:
            tasks.create_task(cluster.elsewhere.run(self._seed))
        trouble = tasks.create_task(cluster.make_trouble())
        watching = tasks.create_task(cluster.watch())
        clients.is_enough = trouble.done
        async with asyncio.timeout(None if cluster.etcd is None else _WORK_S):
            await clients.work()
            if cluster.etcd is None:
                trouble.cancel()
            else:
                await trouble
        self.history.note("healing")
        cluster.heal()
        if cluster.etcd is not None:
            await self._settle()
        await clients.tidy()
        for machine in cluster.machines:
            machine.receivers.is_healed = True
        patience_s = _NODE_PATIENCE_S if cluster.etcd is None else _CLUSTER_PATIENCE_S
        if cluster.etcd is None:
            patience_s += sum(by_ms for _, by_ms in self.history.steps_back) // 1_000
        await cluster.until(cluster.is_quiet, patience_s, "not quiet")
        await cluster.until(cluster.all_know_all, 120, "not all nodes have all entries")
        watching.cancel()
        cluster.stop()

    async def _settle(self) -> None:
        cluster = self.cluster
        await cluster.until(lambda: not cluster.network.under_way, 60, "requests are still under way")
        await cluster.until(lambda: cluster.leader() is not None, 60, "nobody leads")
        leader = cluster.leader()
        if leader is None:
            raise NotLeader
        # From now on nothing goes wrong, so ticks must be made.
        stamp = self.history.note("serving")
        self.history.serving.append(Serving(stamp, leader.clock.wall_ms(), 80_000 if cluster.jumped_ms else 20_000))
        await asyncio.sleep(1)  # calls that a paused node held back are on their way, and must not come after the next
