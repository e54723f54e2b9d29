"""Pushes this proxy's topology to clusters that have an older one, and takes theirs when it is newer.

A cluster that joins, or was away, takes it only together with the settings of destinations: they are brought here, from
a cluster that has the topology already.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Set
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from hookline.clock import Clock
from hookline.http_api.forwarded_headers import CLUSTER, DECIDED, EPOCH, TOPOLOGY, UNKNOWN
from hookline.http_api.messages import HeaderPair
from hookline.peers.sender import UNREADABLE, NodeAnswer, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS
from hookline.protocol.internal_http import DestinationsPage
from hookline.protocol.topology import ClusterEntry, Topology, Version, encode_topology
from hookline.protocol.topology_change import decider_of
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology

OK = "ok"
TIMEOUT_S = 2.0
_SILENT = "it does not answer"
_pages = msgspec.json.Decoder(DestinationsPage)


@dataclass(frozen=True, slots=True)
class _Pushed:
    """The newest topology that was sent to a node, when, and the result: OK, or why it does not have it."""

    version: Version
    at_ms: float
    outcome: str
    is_final: bool = True  # another node of the cluster would say the same


class _NoSource(Exception):
    """This cluster does not give its settings now. ``is_behind``: it says that it has not got our topology."""

    def __init__(self, *, is_behind: bool = False) -> None:
        super().__init__()
        self.is_behind = is_behind


class TopologyPusher:
    """One for all calls: those that meet the same node at once share one attempt.

    Args:
        sender: makes the calls.
        known: what is pushed; learns what is newer.
        clock: says when what was pushed to a node.
        health: whom to ask for the settings of destinations.

    Attributes:
        bring_keys: gives a cluster the API keys that it lacks, before anybody is sent there. Set by the assembly.
    """

    def __init__(self, sender: Sender, known: KnownTopology, clock: Clock, health: KnownHealth) -> None:
        self._sender = sender
        self._known = known
        self._clock = clock
        self._health = health
        self._pushed: dict[str, _Pushed] = {}  # by url
        self._pushing: dict[str, asyncio.Lock] = {}
        self.bring_keys: Callable[[ClusterEntry], Awaitable[None]] = _nothing_to_bring

    async def push(self, url: str, *, since_ms: float | None = None) -> bool:
        """Put our topology into the cluster of that node; learn its own if that is newer. True when it has ours.

        Nothing is pushed that no cluster has.

        Args:
            url: any of its nodes.
            since_ms: nothing is sent when somebody else tried after that time; the result of that try is returned.
        """
        if not self._known.is_in_force:
            return False
        return (await self._push_once(url, since_ms)).outcome == OK

    async def push_cluster(self, entry: ClusterEntry, *acting: HeaderPair) -> str:
        """Put our topology into the cluster: OK, or why it does not have it. ``acting``: says in whose name."""
        if self._health.is_silent(entry):
            return self._health.why_silent(entry)
        outcome = _SILENT
        for url in self._health.order(entry):
            pushed = await self._push_once(url, None, *acting)
            outcome = pushed.outcome
            if outcome == OK or pushed.is_final:
                return outcome
        return outcome

    async def _push_once(self, url: str, since_ms: float | None, *acting: HeaderPair) -> _Pushed:
        async with self._pushing.setdefault(url, asyncio.Lock()):
            version = self._known.version
            pushed = self._pushed.get(url)
            if since_ms is None or pushed is None or pushed.version != version or pushed.at_ms < since_ms:
                outcome, is_final = await self._push(url, *acting)
                pushed = self._pushed[url] = _Pushed(version, self._clock.boot_ms(), outcome, is_final)
            return pushed

    async def _push(self, url: str, *acting: HeaderPair) -> tuple[str, bool]:
        entry = next((one for one in self._known.topology.all_clusters() if url in one.nodes), None)
        try:
            answer = await self._put(url, entry, *acting)
            if answer.code == "settings_needed" and entry is not None:
                why_not = await self._bring_settings(entry, url)
                if why_not is not None:
                    return why_not, True
                await self.bring_keys(entry)
                answer = await self._put(url, entry, *acting)
        except (NotSent, Unclear):
            return _SILENT, False
        self.learn_from(answer)
        if answer.status < 300:
            return OK, True
        return _detail(answer), answer.status < 500

    async def _put(self, url: str, entry: ClusterEntry | None, *acting: HeaderPair) -> NodeAnswer:
        return await self._sender.send(url, pushing(self._known, entry).with_headers(*acting), TIMEOUT_S)

    def learn_from(self, answer: NodeAnswer) -> None:
        """Take the newer topology that comes with "misdirected"."""
        problem = answer.problem if answer.code == "misdirected" else {}
        document, decided_by = problem.get("topology"), problem.get("decided_by")
        if document is not None:
            self._known.learn_document(
                msgspec.json.encode(document), decided_by if isinstance(decided_by, int) else None
            )

    @property
    def remembered(self) -> Set[str]:
        """The nodes that something is known of."""
        return self._pushing.keys() | self._pushed.keys()

    def keep(self, urls: Set[str]) -> None:
        """Forget the nodes that are not among these."""
        for url in self.remembered - urls:
            self._pushing.pop(url, None)
            self._pushed.pop(url, None)

    # --- settings of destinations ---------------------------------------------------------------------------------

    async def _bring_settings(self, target: ClusterEntry, url: str) -> str | None:
        """Copy them to the node's cluster, page by page; None when all are there, else why not. Raises Unclear."""
        are_behind = True
        for source in self._sources(target):
            is_behind = False  # what the last probe said may be outdated: only its own word now counts
            for node in self._health.order(source):
                try:
                    return await self._copy(source, node, target, url)
                except _NoSource as error:
                    is_behind = error.is_behind
                    break
                except (NotSent, Unclear):
                    continue
            are_behind = are_behind and is_behind
        if are_behind and self._nobody_has_it(target):
            return await self._bring(target, url, msgspec.json.encode(DestinationsPage(self._known.epoch, [])))
        return "no cluster with the new topology can be reached for the settings of destinations; it is tried again"

    def _nobody_has_it(self, target: ClusterEntry) -> bool:
        """All are behind this proxy, as after a restore of the whole fleet: the smallest shard then begins."""
        others = [self._health.up(entry) for entry in self._known.topology.all_clusters() if entry.name != target.name]
        is_behind = all(up and max(node.epoch for node in up) < self._known.epoch for up in others)
        return is_behind and target.name == decider_of(self._known.topology.clusters).name

    def _sources(self, target: ClusterEntry) -> Iterator[ClusterEntry]:
        """A cluster with the topology has all settings that were acknowledged before; its decider surely has it."""
        topology, decided_by = self._known.topology, self._known.decided_by
        for entry in sorted(topology.all_clusters(), key=lambda one: one.shard != decided_by):
            if entry.name != target.name and not self._health.is_silent(entry):
                yield entry

    async def _copy(self, source: ClusterEntry, node: str, target: ClusterEntry, url: str) -> str | None:
        """Raises _NoSource; NotSent or Unclear when the source does not answer."""
        after: str | None = ""
        while after is not None:
            query = f"?{urlencode({'after': after})}" if after else ""
            headers = (*_version_headers(self._known.version), (CLUSTER, source.name.encode()))
            page = await self._sender.send(
                node, NodeCall.to(CALLS["readSettings"], b"", *headers, query=query), TIMEOUT_S
            )
            if page.status != 200:
                raise _NoSource(is_behind=page.code == "epoch_unknown")
            try:
                after = _pages.decode(page.body).next
            except UNREADABLE as error:
                raise _NoSource from error
            why_not = await self._bring(target, url, page.body)
            if why_not is not None:
                return why_not
        return None

    async def _bring(self, target: ClusterEntry, url: str, page: bytes) -> str | None:
        """Put a page; why it was not taken, or None."""
        call = NodeCall.to(CALLS["takeSettings"], page, (CLUSTER, target.name.encode()))
        try:
            answer = await self._sender.send(url, call, TIMEOUT_S)
        except (NotSent, Unclear):
            return _SILENT
        if answer.status < 300 or answer.code == "misdirected":  # somebody else was faster, and it has the topology
            return None
        return _detail(answer)


async def _nothing_to_bring(_cluster: ClusterEntry) -> None:
    return


def pushing(known: KnownTopology, entry: ClusterEntry | None) -> NodeCall:
    """The call that pushes to a node the topology in force."""
    mark = UNKNOWN if known.decided_by is None else b"%d" % known.decided_by
    call = NodeCall.to(CALLS["takeTopology"], known.document, (DECIDED, mark))
    return call if entry is None else call.with_headers((CLUSTER, entry.name.encode()))


def proposing(topology: Topology, *, is_forced: bool = False) -> NodeCall:
    """The call that asks a cluster to decide for the topology."""
    return NodeCall.to(CALLS["takeTopology"], encode_topology(topology), query="?force=true" if is_forced else "")


def _version_headers(version: Version) -> tuple[HeaderPair, ...]:
    return (EPOCH, b"%d" % version.epoch), (TOPOLOGY, version.digest.encode())


def _detail(answer: NodeAnswer) -> str:
    return str(answer.problem.get("detail", f"it answered {answer.status}"))
