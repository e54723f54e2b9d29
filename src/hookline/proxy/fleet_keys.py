"""Keeps this proxy's knowledge of API keys fresh, and tells clusters the keys that they lack."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec

from hookline.errors import ClusterUnavailable
from hookline.http_api.forwarded_headers import CLUSTER
from hookline.http_api.messages import HeaderPair
from hookline.peers.sender import UNREADABLE, NodeAnswer, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS
from hookline.protocol.commands import NoteAudit
from hookline.protocol.http_keys import KeysGiven, KeysTold
from hookline.protocol.topology import ClusterEntry
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_keys import KnownKeys, Records
from hookline.proxy.known_topology import KnownTopology
from hookline.telemetry.area_log import log_of

_TIMEOUT_S = 2.0
_PULL_S = 1.0  # so long, and a little, a revoked key may still be let pass here; the nodes refuse it themselves
_PAGE_KEYS = 200
_told = msgspec.json.Decoder(KeysTold)
_encode = msgspec.json.Encoder().encode

_log = log_of("proxy")


class FleetKeys:
    """One per proxy.

    Args:
        sender: makes the calls.
        topology: the clusters.
        health: which of their nodes to ask.

    Attributes:
        known: what was heard.
        changing: held by whoever makes a new version of a key.
    """

    def __init__(self, sender: Sender, topology: KnownTopology, health: KnownHealth) -> None:
        self._sender = sender
        self._topology = topology
        self._health = health
        self.known = KnownKeys()
        self.changing = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.pull()
            await self._spread()
            await asyncio.sleep(_PULL_S)

    async def look_again(self) -> None:
        """Learn the newest keys. Raises ClusterUnavailable while no cluster has ever told any."""
        await self.pull()
        if not self.known.is_known:
            raise ClusterUnavailable(
                "no cluster has told this proxy its keys yet, so it cannot tell whether this one is valid",
                retry_after_s=1,
            )

    async def pull(self, *, with_uses: bool = False) -> list[str]:
        """Ask all clusters for their keys; the names of those that did not answer.

        Args:
            with_uses: also if they are the same as before, to learn when they were used.
        """
        clusters = self._topology.topology.all_clusters()
        self.known.keep(entry.name for entry in clusters)
        async with asyncio.TaskGroup() as tasks:
            pulls = {one.name: tasks.create_task(self._pull(one, with_uses=with_uses)) for one in clusters}
        return [name for name, pull in pulls.items() if not pull.result()]

    async def give(self, cluster: ClusterEntry, keys: Records, *acting: HeaderPair) -> NodeAnswer | None:
        """Have the cluster take these keys; its answer, None: there was none. ``acting``: says in whose name."""
        answer: NodeAnswer | None = None
        for start in range(0, len(keys), _PAGE_KEYS):
            body = _encode(KeysGiven(keys[start : start + _PAGE_KEYS]))
            call = NodeCall.to(CALLS["takeKeys"], body, (CLUSTER, cluster.name.encode()), *acting)
            answer = await self._ask(cluster, call)
            if answer is None or answer.status != 200:
                return answer
        return answer

    async def give_all(self, keys: Records, *acting: HeaderPair) -> dict[str, NodeAnswer | None]:
        """The same for all clusters, side by side; their answers by name."""
        clusters: Sequence[ClusterEntry] = self._topology.topology.all_clusters()
        async with asyncio.TaskGroup() as tasks:
            giving = {one.name: tasks.create_task(self.give(one, keys, *acting)) for one in clusters}
        return {name: one.result() for name, one in giving.items()}

    async def bring(self, cluster: ClusterEntry) -> None:
        """Tell the cluster what it lacks, as it is about to be sent calls; if that fails, ``run`` does it later."""
        if await self._pull(cluster, with_uses=False):
            await self._complete(cluster)

    async def note(self, note: NoteAudit) -> None:
        """Have a cluster write a row into its audit log, the first that does; that none does is logged."""
        body = _encode(note)
        for cluster in self._topology.topology.all_clusters():
            answer = await self._ask(cluster, NodeCall.to(CALLS["takeNote"], body, (CLUSTER, cluster.name.encode())))
            if answer is not None and answer.status == 200:
                return
        _log.warning("audit_row_not_written", why="no cluster took it", row=msgspec.to_builtins(note.note))

    async def _spread(self) -> None:
        for entry in self._topology.topology.all_clusters():
            await self._complete(entry)

    async def _complete(self, cluster: ClusterEntry) -> None:
        """Tell the cluster what it lacks: it is new, or was away when a key was made, rotated or revoked."""
        if not (lacking := self.known.lacking(cluster.name)):
            return
        answer = await self.give(cluster, lacking)
        if answer is None or answer.status != 200:
            why = "no answer" if answer is None else answer.code or str(answer.status)
            _log.warning("keys_not_taken", cluster=cluster.name, keys=len(lacking), why=why)

    async def _pull(self, cluster: ClusterEntry, *, with_uses: bool) -> bool:
        """Has it answered?"""
        version = "" if with_uses else self.known.version_of(cluster.name)
        query = f"?{urlencode({'version': version})}" if version else ""
        call = NodeCall.to(CALLS["readKeys"], b"", (CLUSTER, cluster.name.encode()), query=query)
        answer = await self._ask(cluster, call)
        if answer is None or answer.status != 200:
            return False
        try:
            told = _told.decode(answer.body)
            if told.keys is not None:
                self.known.learn(cluster.name, told.version, told.keys)
        except UNREADABLE:
            return False
        return True

    async def _ask(self, cluster: ClusterEntry, call: NodeCall) -> NodeAnswer | None:
        """The answer of the first of its nodes that gives one. Twice is as once."""
        for url in self._health.order(cluster):
            try:
                return await self._sender.send(url, call, _TIMEOUT_S)
            except (NotSent, Unclear):
                continue
        return None
