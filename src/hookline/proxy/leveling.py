"""Levels the topology between the clusters and this proxy, and gets its file decided.

A file is a proposal. What the clusters have wins if it is as new; a file with the next epoch is put to the cluster that
decides, and is pushed to others only when that took it. A fleet that has no topology at all begins with the file.

A change is ended when all clusters say that everything has moved. All proxies propose the same document then.
"""

import asyncio
from collections.abc import Iterable, Sequence

from hookline.clock import Clock
from hookline.errors import ClusterUnavailable, DeadlineExceeded, HooklineError
from hookline.http_api.forwarded_headers import CLUSTER, DECIDED
from hookline.peers.sender import NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS
from hookline.protocol.topology import ClusterEntry, Topology
from hookline.protocol.topology_change import check_change, completed, decider_of, ended, is_jump, outranks
from hookline.proxy.forwarder import Forwarder
from hookline.proxy.health import KnownHealth, NodeHealth
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.pusher import TIMEOUT_S, proposing
from hookline.proxy.rerouting import StaleRoute
from hookline.telemetry.area_log import log_of

_log = log_of("proxy")


class Leveler:
    """Works after each round of probes, by what they found.

    Args:
        sender: makes the calls to single nodes.
        health: what the probes found.
        known: learns what is newer.
        forwarder: carries the proposal to its decider; pushes what is in force.
        clock: for the deadline of the leveling.
        timeout_s: how long a node has to answer.
    """

    def __init__(
        self,
        sender: Sender,
        health: KnownHealth,
        known: KnownTopology,
        forwarder: Forwarder,
        clock: Clock,
        timeout_s: float,
    ) -> None:
        self._sender = sender
        self._health = health
        self._known = known
        self._forwarder = forwarder
        self._clock = clock
        self._timeout_s = timeout_s
        self._said: str | None = None

    async def level(self, clusters: Sequence[ClusterEntry]) -> None:
        """Learn the newest that the clusters have, propose the file, and push ours to those that are behind."""
        known = self._known
        nodes = [node for entry in clusters for node in self._health.up(entry) if node.epoch]
        newest = _newest(nodes, known.epoch if known.is_in_force else None)
        if newest is not None and self._has_better(newest):
            await self._learn(newest)
        if not known.is_in_force and newest is None:
            await self._begin()
        if known.is_in_force:
            await self._propose()
            await self._end()
            async with asyncio.TaskGroup() as tasks:
                for entry in known.topology.all_clusters():
                    tasks.create_task(self._push(entry))
        self._say(newest)

    def _has_better(self, node: NodeHealth) -> bool:
        known = self._known
        if not known.is_in_force or node.epoch != known.epoch:
            return not known.is_in_force or node.epoch > known.epoch
        return self._differs(node) and outranks(node.decided_by, known.decided_by)

    def _differs(self, node: NodeHealth) -> bool:
        """It has another document with our epoch."""
        return node.epoch == self._known.epoch and node.digest not in ("", self._known.version.digest)

    async def _learn(self, node: NodeHealth) -> None:
        known = self._known
        if (node.epoch, node.digest) == known.version:
            known.confirm(node.decided_by)
            return
        entry = next(one for one in known.topology.all_clusters() if node.url in one.nodes)
        try:
            call = NodeCall.to(CALLS["readTopology"], b"", (CLUSTER, entry.name.encode()))
            answer = await self._sender.send(node.url, call, self._timeout_s)
        except (NotSent, Unclear):
            return
        if answer.status == 200:
            mark = answer.header(DECIDED) or b""
            known.learn_document(answer.body, int(mark) if mark.isdigit() else node.decided_by)

    async def _begin(self) -> None:
        """No cluster that answers has a topology: the smallest shard decides for the file.

        At epoch 1 a cluster that refuses the connection is passed over: a fleet may begin with a dead one. Later there
        may be settings of destinations in a cluster that does not answer, so all have to.
        """
        file = self._known.topology
        silent = [entry.name for entry in file.all_clusters() if not self._health.up(entry)]
        if file.epoch > 1 and silent:
            self._known.why_not = (
                f"no cluster has a topology yet, and {', '.join(silent)} cannot be asked; the file has epoch"
                f" {file.epoch}, a new fleet begins with 1"
            )
            return
        for entry in sorted(file.clusters, key=lambda one: one.shard):
            up = self._health.up(entry)
            if up:
                await self._ask_to_begin(entry, up[0], file)
                return
            if not all(self._health.node(url).is_refusing for url in entry.nodes):
                self._known.why_not = f"the first topology is decided by cluster {entry.name}, which does not answer"
                return
        self._known.why_not = "no cluster can be reached to decide for the first topology"

    async def _ask_to_begin(self, entry: ClusterEntry, node: NodeHealth, file: Topology) -> None:
        why_not = f"the first topology is decided by cluster {entry.name}, which"
        try:
            call = proposing(file).with_headers((CLUSTER, entry.name.encode()))
            answer = await self._sender.send(node.url, call, TIMEOUT_S)
        except (NotSent, Unclear):
            self._known.why_not = f"{why_not} does not answer"
            return
        self._forwarder.pusher.learn_from(answer)
        if answer.status < 300:
            self._known.confirm(entry.shard)
            _note(node, self._known)
        elif not self._known.is_in_force:
            self._known.why_not = f"{why_not} says: {answer.problem.get('detail', answer.status)}"

    async def _propose(self) -> None:
        """Put the file to the decider of what is in force, if it may come next."""
        known, proposal = self._known, self._known.proposal
        if proposal is None:
            return
        if proposal.epoch > known.epoch + 1:
            known.refuse_proposal(
                f"the file has epoch {proposal.epoch}, the clusters have {known.epoch}; write epoch = {known.epoch + 1}"
            )
            return
        try:
            new = completed(known.topology, proposal)
            check_change(known.topology, new)
        except HooklineError as error:
            known.refuse_proposal(error.detail)
            return
        if known.topology.previous is not None and new.previous is None and not self._has_all_moved():
            self._log_once(f"the file of epoch {proposal.epoch} waits until the change before it has ended")
            return
        refusal = await self._ask_for(new)
        if refusal is not None and known.proposal is not None:
            known.refuse_proposal(refusal)

    async def _end(self) -> None:
        """End the change that is under way, if everything has moved."""
        known = self._known
        if known.topology.previous is None or not self._has_all_moved():
            return
        refusal = await self._ask_for(ended(known.topology))
        if refusal is not None:
            self._log_once(f"the change of epoch {known.epoch} cannot be ended: {refusal}")

    def _has_all_moved(self) -> bool:
        """Does every cluster say so of the topology in force?"""
        version = self._known.version
        return all(
            any((node.epoch, node.digest) == version and node.moved == version.epoch for node in self._health.up(entry))
            for entry in self._known.topology.all_clusters()
        )

    async def _ask_for(self, new: Topology) -> str | None:
        """Have it decided; why it was refused. None: it was taken, or can be asked for again."""
        known = self._known
        decider = decider_of(known.topology.clusters)
        deadline_ms = self._clock.boot_ms() + TIMEOUT_S * 1_000
        try:
            answer = await self._forwarder.to_cluster(decider, proposing(new), deadline_ms)
        except (ClusterUnavailable, DeadlineExceeded, StaleRoute):
            self._log_once(f"cluster {decider.name} decides about epoch {new.epoch} and cannot be reached")
            return None
        if answer.status < 300:
            known.learn(new, decider.shard)
            for node in self._health.up(decider):
                _note(node, known)
            return None
        return str(answer.problem.get("detail", answer.status)) if answer.status < 500 else None

    async def _push(self, entry: ClusterEntry) -> None:
        """Push ours to the cluster when the newest it has is older; a follower that is behind alone is not a reason."""
        known = self._known
        up = self._health.up(entry)
        newest = max(up, key=_newness, default=None)
        if newest is None:
            return
        if newest.epoch < known.epoch or (self._differs(newest) and outranks(known.decided_by, newest.decided_by)):
            await self._forwarder.pusher.push(up[0].url)
        elif self._differs(newest) and not outranks(newest.decided_by, known.decided_by):
            known.conflict()

    def _say(self, newest: NodeHealth | None) -> None:
        known = self._known
        if not known.is_in_force:
            self._log_once(known.why_not or "")
        elif newest is not None and self._differs(newest) and self._has_better(newest):
            known.why_not = f"the topology of epoch {known.epoch} that was decided is another one; it is being fetched"
        else:
            known.why_not = None

    def _log_once(self, why: str) -> None:
        if why != self._said:
            self._said = why
            _log.warning("topology_waits", detail=why)


def _newest(nodes: Iterable[NodeHealth], ours: int | None) -> NodeHealth | None:
    """The node with the newest topology. One that jumps ahead of ours, or of all others', is passed over."""
    newest: NodeHealth | None = None
    for node in sorted(nodes, key=_newness):
        before = ours if ours is not None else node.epoch if newest is None else newest.epoch
        if is_jump(before, node.epoch):
            break
        newest = node
    return newest


def _newness(node: NodeHealth) -> tuple[int, float]:
    return node.epoch, float("-inf") if node.decided_by is None else -node.decided_by


def _note(node: NodeHealth, known: KnownTopology) -> None:
    """The node has ours, as its next probe will say."""
    node.epoch, node.digest, node.decided_by = known.epoch, known.version.digest, known.decided_by
