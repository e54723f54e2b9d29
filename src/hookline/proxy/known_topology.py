"""The newest topology this proxy knows. It never goes back to an older one that was in force.

What a proxy is started with is a proposal: it is in force once a cluster has it. Until then the proxy routes by it, but
no cluster takes anything, and the topology of the clusters, older or newer, takes its place.
"""

from hookline.errors import InvalidTopology
from hookline.protocol.routing import Router
from hookline.protocol.topology import Topology, Version, encode_topology, parse_topology
from hookline.protocol.topology_change import is_completed, is_jump, outranks
from hookline.telemetry.area_log import log_of

_log = log_of("proxy")


class KnownTopology:
    """The topology that the proxy routes by.

    Attributes:
        topology: the document; ``router`` decides by it, ``document`` is its JSON.
        is_in_force: a cluster has it. Only then it is given to others.
        decided_by: the shard of the cluster that decided for it; None: nobody said.
        proposal: the file, as long as it may follow what is in force.
        why_not: why the proxy should not be sent requests because of its topology; None: it should.
        conflicts: how often another document came with an epoch we have or propose, and nothing says which one holds.
    """

    def __init__(self, topology: Topology, *, is_proposal: bool = False, decided_by: int | None = None) -> None:
        self.conflicts = 0
        self.decided_by: int | None = None
        self.is_in_force = not is_proposal
        self.proposal = topology if is_proposal else None
        self.why_not: str | None = "no cluster was asked for its topology yet" if is_proposal else None
        self._take(topology, decided_by)

    @property
    def epoch(self) -> int:
        return self.topology.epoch

    @property
    def version(self) -> Version:
        return self.router.version

    def learn(self, topology: Topology, decided_by: int | None = None) -> bool:
        """Take a newer topology, but none that jumps; True when it was. Of two with our epoch the smaller shard's."""
        if not self.is_in_force:
            _log.info("topology_found", epoch=topology.epoch, proposed=self.epoch)
        elif topology.epoch < self.epoch:
            return False
        elif is_jump(self.epoch, topology.epoch):
            _log.error("topology_jumps", epoch=topology.epoch, ours=self.epoch)
            return False
        elif topology.epoch > self.epoch:
            _log.info("topology_learned", epoch=topology.epoch, before=self.epoch)
        elif topology == self.topology:
            self.decided_by = decided_by if outranks(decided_by, self.decided_by) else self.decided_by
            return False
        elif not outranks(decided_by, self.decided_by):
            if not outranks(self.decided_by, decided_by):
                self.conflict()
            return False
        else:
            _log.warning("topology_replaced", epoch=topology.epoch, decided_by=decided_by)
        self._take(topology, decided_by)
        self._in_force()
        return True

    def learn_document(self, data: bytes, decided_by: int | None = None) -> bool:
        """As ``learn``, from the JSON a node gave; what cannot be read is logged and not taken."""
        try:
            return self.learn(parse_topology(data), decided_by)
        except InvalidTopology as error:
            _log.error("topology_unreadable", detail=error.detail)
            return False

    def confirm(self, decided_by: int | None) -> None:
        """A cluster has the very document we propose."""
        self.decided_by = decided_by
        self._in_force()

    def conflict(self) -> None:
        """Another document has our epoch, and nothing says which one holds."""
        self.conflicts += 1
        if self.conflicts == 1:
            _log.error("topology_conflict", epoch=self.epoch)

    def refuse_proposal(self, why: str) -> None:
        """The file cannot follow what is in force."""
        _log.error("topology_refused", detail=why)
        self.proposal = None

    def _in_force(self) -> None:
        self.is_in_force = True
        self.why_not = None
        proposal = self.proposal
        if proposal is None or proposal.epoch > self.epoch:
            return
        if proposal.epoch == self.epoch and not is_completed(proposal, self.topology):
            self.conflict()
        self.proposal = None

    def _take(self, topology: Topology, decided_by: int | None) -> None:
        self.topology = topology
        self.router = Router(topology)
        self.document = encode_topology(topology)
        self.decided_by = decided_by
