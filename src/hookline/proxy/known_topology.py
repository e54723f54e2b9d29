"""The newest topology this proxy knows. It never goes back to an older one."""

import structlog

from hookline.errors import InvalidTopology
from hookline.protocol.routing import Router
from hookline.protocol.topology import Topology, encode_topology, parse_topology

_log = structlog.get_logger()


class KnownTopology:
    """What the proxy routes by.

    Attributes:
        topology: the document; ``router`` decides by it, ``document`` is its JSON.
        conflicts: how often another document came with the epoch we have.
    """

    def __init__(self, topology: Topology) -> None:
        self.conflicts = 0
        self._take(topology)

    @property
    def epoch(self) -> int:
        return self.topology.epoch

    def learn(self, topology: Topology) -> bool:
        """Take a newer topology; True when it was. One with our epoch and another content is counted, not taken."""
        if topology.epoch < self.epoch:
            return False
        if topology.epoch == self.epoch:
            if topology != self.topology:
                self.conflicts += 1
                _log.error("topology_conflict", epoch=self.epoch)
            return False
        _log.info("topology_learned", epoch=topology.epoch, before=self.epoch)
        self._take(topology)
        return True

    def learn_document(self, data: bytes) -> bool:
        """As ``learn``, from the JSON a node gave; what cannot be read is logged and not taken."""
        try:
            return self.learn(parse_topology(data))
        except InvalidTopology as error:
            _log.error("topology_unreadable", detail=error.detail)
            return False

    def _take(self, topology: Topology) -> None:
        self.topology = topology
        self.router = Router(topology)
        self.document = encode_topology(topology)
