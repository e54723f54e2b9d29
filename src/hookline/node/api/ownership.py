"""Refuses calls that another topology sends elsewhere, so that an outdated proxy cannot make a second copy.

Only proxies send an epoch. Ids and keys of clients are checked whoever sends them, as soon as there is a topology.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from hookline.errors import EpochUnknown, InvalidTopology, Misdirected, WrongCluster
from hookline.http_api.forwarded_headers import FALLBACK
from hookline.http_api.messages import ApiRequest
from hookline.node.config import NodeConfig
from hookline.node.replica import Replica
from hookline.protocol.commands import CreateJob, SetTopology
from hookline.protocol.routing import Router
from hookline.protocol.topology import Topology, Version, digest_of, parse_topology
from hookline.protocol.topology_change import decider_of, outranks

_NONE = Version(0, "")


class Ownership:
    """Decides by the newest topology in the state. It waits for nothing.

    What is proposed right after a check, without an await in between, is in the log before every entry that is
    proposed once a newer topology is seen here.
    """

    def __init__(self, config: NodeConfig, replica: Replica) -> None:
        self._cluster, self._shard = config.cluster, config.shard
        self._urls = frozenset({config.url, config.advertised_url.rstrip("/")})
        self._replica = replica
        self._document: bytes | None = None  # what the two below were made of
        self._router: Router | None = None
        self._version = _NONE
        self._losing: Version | None = None
        self.changing = asyncio.Lock()  # a new topology is compared with the one before, and then proposed

    @property
    def epoch(self) -> int:
        """Of the newest topology; 0: there is none."""
        kept = self._replica.topology
        return 0 if kept is None else kept.epoch

    @property
    def version(self) -> Version:
        """Of the newest topology."""
        self._read()
        return self._version

    def router(self) -> Router | None:
        """The decisions under the newest topology; None: there is none."""
        self._read()
        if self._router is None and self._document is not None:
            self._router = Router(parse_topology(self._document))
        return self._router

    def _read(self) -> None:
        kept = self._replica.topology
        document = None if kept is None else kept.document
        if document is not self._document and document != self._document:
            self._router = None
            self._version = _NONE if kept is None else Version(kept.epoch, digest_of(kept.document))
        self._document = document

    def check_cluster(self, request: ApiRequest) -> None:
        """Raise WrongCluster when the caller takes this cluster for another one."""
        asked = request.caller.cluster
        if asked is not None and asked != self._cluster:
            raise WrongCluster(
                f"the call is for cluster {asked[:80]}, and this is a node of {self._cluster}; nothing was done",
                cluster=self._cluster,
            )

    def check_epoch(self, request: ApiRequest) -> None:
        """Raise Misdirected when the caller's topology is older than ours or another one of its epoch.

        Raise EpochUnknown when it is newer.
        """
        asked = request.caller.epoch
        if asked is None:
            return
        if asked > self.epoch:
            raise EpochUnknown(f"this cluster knows epoch {self.epoch}, the call carries {asked}", epoch=self.epoch)
        if asked < self.epoch or request.caller.digest not in (None, self.version.digest):
            raise self.outdated()

    def outdated(self) -> Misdirected:
        """The answer to a caller with an older topology, or another one of this epoch: it brings ours along."""
        return Misdirected(f"epoch {self.epoch} is in force; take that topology", **self._figures())

    def decides(self, topology: Topology) -> bool:
        """Is it this cluster that decides what follows the topology?"""
        return decider_of(topology.clusters).shard == self._shard

    def may_lack_settings(self, topology: Topology) -> bool:
        """Could others have been told settings of destinations that this cluster was not?

        So it is when it joins with that topology, and when it missed one: it may have been out of the fleet meanwhile.
        """
        if topology.cluster(self._cluster) is None:
            return False
        router = self.router()
        if router is None:
            return True
        kept = router.topology
        is_gap = kept.cluster(self._cluster) is None or topology.epoch > kept.epoch + 1
        return is_gap or (self._joins(topology) and not self._joins(kept))

    def _joins(self, topology: Topology) -> bool:
        """By the change that is under way."""
        previous = topology.previous
        return previous is not None and all(entry.name != self._cluster for entry in previous.clusters)

    def is_given(self, given: SetTopology) -> None:
        """If it takes the place of another document of our epoch, this cluster is not fit for calls until it has."""
        kept = self._replica.topology
        if kept is None or kept.epoch != given.epoch or kept.document == given.document:
            return
        if outranks(given.decided_by, kept.decided_by):
            self._losing = self.version

    def why_not(self) -> str | None:
        """Why it is not fit for calls; None when it is."""
        if self._losing is None or self._losing != self.version:
            return None
        return f"the topology of epoch {self.epoch} here is not the one that was decided; it is about to be replaced"

    def check_home(self, request: ApiRequest, job_id: str | None, key: str | None = None) -> None:
        """Raise Misdirected unless something new may be created here; ``job_id`` None: it was not chosen by a client.

        Propose right after it, without an await in between.
        """
        if self._replica.topology is None:
            return
        self.check_epoch(request)
        error = None if is_fallback(request) else self.stray(job_id, key)
        if error is not None:
            if request.caller.epoch is not None:
                error.figures |= self._figures()
            raise error

    def strays(self, request: ApiRequest, commands: Sequence[CreateJob]) -> list[Misdirected | None]:
        """The same for each job of a batch; raises Misdirected only for what holds for the whole of it."""
        if self.epoch == 0:
            return [None] * len(commands)
        self.check_epoch(request)
        if is_fallback(request):
            return [None] * len(commands)
        return [self.stray(command.id) if command.id_is_chosen else None for command in commands]

    def stray(self, job_id: str | None, key: str | None = None) -> Misdirected | None:
        """The error that names another home of that id, or of that key if the id is minted here; None: it is ours."""
        router = self.router()
        if router is None or (job_id is None and key is None):
            return None
        home = (router.key_home(key or "") if job_id is None else router.new_home(job_id)).cluster.name
        if home == self._cluster:
            return None
        return not_at_home(home, "key" if job_id is None else "id")

    def check_own(self, topology: Topology) -> None:
        """Raise InvalidTopology when it gives this cluster another shard, or its shard or node to another cluster."""
        for entry in topology.all_clusters():
            mine = next((url for url in entry.nodes if url.rstrip("/") in self._urls), None)
            if mine is not None and entry.name != self._cluster:
                raise InvalidTopology(
                    f"{mine} is a node of {entry.name} (shard {entry.shard}) there; it calls itself {self._cluster}"
                    f" (shard {self._shard})",
                    field="nodes",
                )
            if (entry.name == self._cluster) != (entry.shard == self._shard):
                raise InvalidTopology(
                    f"{entry.name} has shard {entry.shard} there; this cluster is {self._cluster} with shard"
                    f" {self._shard}",
                    field="shard",
                )

    def _figures(self) -> dict[str, Any]:
        kept = self._replica.topology
        if kept is None:
            return {}
        return {
            "epoch": kept.epoch,
            "topology": Raw(kept.document),
            "digest": self.version.digest,
            "decided_by": kept.decided_by,
        }


def not_at_home(home: str, what: str) -> Misdirected:
    """The error for an id or a key, as ``what`` says, that belongs to another cluster."""
    return Misdirected(f"cluster {home} is the home of that {what}", home=home)


def is_fallback(request: ApiRequest) -> bool:
    """The client allows that its id or key goes to another cluster than its home."""
    return request.header(FALLBACK) == "allow"
