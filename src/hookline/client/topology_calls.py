"""The calls about the topology, of both clients: a proxy answers them."""

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from hookline.client import topology_requests
from hookline.client.answers import Route, TopologyApplied
from hookline.client.move_answers import TopologyBalance, TopologyPlan, TopologyStatus
from hookline.protocol.topology import Topology

if TYPE_CHECKING:
    from hookline.client.awaiting_transport import AwaitingTransport
    from hookline.client.blocking_transport import BlockingTransport


class BlockingTopologyCalls:
    """Those of a ``Client``."""

    _transport: "BlockingTransport"

    def topology(self) -> Topology:
        """The clusters, and how ids are spread over them, as a proxy knows it."""
        return self._transport.send(topology_requests.topology())

    def plan_topology(self, topology: Topology) -> TopologyPlan:
        """Foresee what ``apply_topology`` would move, and for how long; changes nothing."""
        return self._transport.send(topology_requests.plan_topology(topology).giving(TopologyPlan))

    def apply_topology(self, topology: Topology, *, force: bool = False) -> TopologyApplied:
        """Give a proxy and all clusters a newer topology; ``EpochTaken`` if another has that epoch.

        What has another home by it moves there; see ``topology_status``. ``force`` takes it as it is, though a change
        is under way or ids move without ``previous``: ids may be made twice.
        """
        request = topology_requests.apply_topology(topology, force=force)
        return self._transport.send(request.giving(TopologyApplied))

    def topology_status(self) -> TopologyStatus:
        """How far the change that is under way is; its ``state`` is "stable" when there is none."""
        return self._transport.send(topology_requests.topology_status().giving(TopologyStatus))

    def pause_move(self) -> TopologyStatus:
        """Let nothing move until ``resume_move``. ``Conflict`` if nothing moves anyway."""
        return self._transport.send(topology_requests.pause_move().giving(TopologyStatus))

    def resume_move(self, *, rate: int | UnsetType | None = UNSET) -> TopologyStatus:
        """Go on, at most that many jobs a second out of each cluster; None: as fast as deliveries leave room."""
        return self._transport.send(topology_requests.resume_move(rate).giving(TopologyStatus))

    def abort_move(self) -> TopologyStatus:
        """Take the change back: all that has moved goes back. Once more, and it goes on as before."""
        return self._transport.send(topology_requests.abort_move().giving(TopologyStatus))

    def balance_topology(self, *, seconds: int | None = None) -> TopologyBalance:
        """Measure the load of the clusters for some seconds, and propose weights of a ring; changes nothing."""
        return self._transport.send(topology_requests.balance_topology(seconds).giving(TopologyBalance))

    def route(self, job_id: str) -> Route:
        """The cluster at which a proxy looks for that id, and why."""
        return self._transport.send(topology_requests.route(job_id).giving(Route))


class AwaitingTopologyCalls:
    """Those of an ``AsyncClient``."""

    _transport: "AwaitingTransport"

    async def topology(self) -> Topology:
        """The clusters, and how ids are spread over them, as a proxy knows it."""
        return await self._transport.send(topology_requests.topology())

    async def plan_topology(self, topology: Topology) -> TopologyPlan:
        """Foresee what ``apply_topology`` would move, and for how long; changes nothing."""
        return await self._transport.send(topology_requests.plan_topology(topology).giving(TopologyPlan))

    async def apply_topology(self, topology: Topology, *, force: bool = False) -> TopologyApplied:
        """Give a proxy and all clusters a newer topology; ``EpochTaken`` if another has that epoch.

        What has another home by it moves there; see ``topology_status``. ``force`` takes it as it is, though a change
        is under way or ids move without ``previous``: ids may be made twice.
        """
        request = topology_requests.apply_topology(topology, force=force)
        return await self._transport.send(request.giving(TopologyApplied))

    async def topology_status(self) -> TopologyStatus:
        """How far the change that is under way is; its ``state`` is "stable" when there is none."""
        return await self._transport.send(topology_requests.topology_status().giving(TopologyStatus))

    async def pause_move(self) -> TopologyStatus:
        """Let nothing move until ``resume_move``. ``Conflict`` if nothing moves anyway."""
        return await self._transport.send(topology_requests.pause_move().giving(TopologyStatus))

    async def resume_move(self, *, rate: int | UnsetType | None = UNSET) -> TopologyStatus:
        """Go on, at most that many jobs a second out of each cluster; None: as fast as deliveries leave room."""
        return await self._transport.send(topology_requests.resume_move(rate).giving(TopologyStatus))

    async def abort_move(self) -> TopologyStatus:
        """Take the change back: all that has moved goes back. Once more, and it goes on as before."""
        return await self._transport.send(topology_requests.abort_move().giving(TopologyStatus))

    async def balance_topology(self, *, seconds: int | None = None) -> TopologyBalance:
        """Measure the load of the clusters for some seconds, and propose weights of a ring; changes nothing."""
        return await self._transport.send(topology_requests.balance_topology(seconds).giving(TopologyBalance))

    async def route(self, job_id: str) -> Route:
        """The cluster at which a proxy looks for that id, and why."""
        return await self._transport.send(topology_requests.route(job_id).giving(Route))
