"""Decides what has to move out of a cluster, and where to, by a topology. Pure."""

from hookline.node.state_machine.move_reads import JobSign
from hookline.protocol.jobs import State
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry


class Targets:
    """Those of one cluster under one topology.

    Args:
        router: decides by the topology.
        cluster: the name of the cluster that is asked about.
        with_finished: of a cluster that leaves, all finished jobs move.
    """

    def __init__(self, router: Router, cluster: str, *, with_finished: bool = False) -> None:
        self.router = router
        self._cluster = cluster
        self._with_finished = with_finished
        self.is_leaving = all(entry.name != cluster for entry in router.topology.clusters)

    def of_id(self, name: str) -> ClusterEntry | None:
        """The new home of what has that id; None: it is here."""
        home = self.router.new_home(name).cluster
        return None if home.name == self._cluster else home

    def of_key(self, key: str) -> ClusterEntry | None:
        """The home of an idempotency key; None: it is here."""
        home = self.router.key_home(key).cluster
        return None if home.name == self._cluster else home

    def moves(self, job: JobSign, now_ms: int) -> bool:
        """Does it move, if its home is elsewhere?

        What is not finished does. Out of a cluster that leaves so does what waits for a person, or has a key that may
        still be sent again.
        """
        if job.state in (State.PENDING, State.RUNNING):
            return True
        waits = job.state in (State.DEAD, State.UNKNOWN)
        return self.is_leaving and (self._with_finished or waits or job.kept_until_ms > now_ms)
