"""Tells clusters that were taken out so, and remembers which of them say that they can be switched off.

The fleet does not ask them any more, but they have to learn it: the last topology is the first that does not have them.
"""

import msgspec

from hookline.peers.sender import UNREADABLE, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS
from hookline.protocol.topology import ClusterEntry, Topology
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.pusher import pushing

_ROUNDS_MAX = 60  # of probes; afterwards it is taken for switched off


class _Said(msgspec.Struct):
    """The part of a node's health that counts here."""

    cluster: str | None = None
    epoch: int = 0
    can_be_switched_off: bool = False


_decode = msgspec.json.Decoder(_Said).decode


class Farewell:
    """Works after each round of probes.

    Args:
        sender: makes the calls.
        known: the topology that clusters have left.
        timeout_s: how long a node has to answer.

    Attributes:
        free: the names of those that can be switched off, until the next change begins.
    """

    def __init__(self, sender: Sender, known: KnownTopology, timeout_s: float) -> None:
        self._sender = sender
        self._known = known
        self._timeout_s = timeout_s
        self._seen: Topology | None = None
        self._gone: dict[str, tuple[ClusterEntry, int]] = {}  # by name: with the rounds that it was asked
        self.free: list[str] = []

    async def bid(self) -> None:
        """Tell those that do not know it yet, and hear how far they are."""
        self._look(self._known.topology)
        for name, (entry, rounds) in list(self._gone.items()):
            if await self._is_free(entry):
                self.free.append(name)
            elif rounds < _ROUNDS_MAX:
                self._gone[name] = entry, rounds + 1
                continue
            del self._gone[name]

    def _look(self, now: Topology) -> None:
        if not self._known.is_in_force or now is self._seen:
            return
        seen, self._seen = self._seen, now
        if seen is None:
            return
        if now.previous is not None and seen.previous is None:
            self.free.clear()
            self._gone.clear()
        staying = {entry.name for entry in now.all_clusters()}
        self._gone |= {entry.name: (entry, 0) for entry in seen.all_clusters() if entry.name not in staying}

    async def _is_free(self, entry: ClusterEntry) -> bool:
        for url in entry.nodes:
            try:
                answer = await self._sender.send(url, NodeCall.to(CALLS["getHealth"], b""), self._timeout_s)
                said = _decode(answer.body)
                if said.cluster != entry.name:
                    continue
                if said.epoch < self._known.epoch:
                    await self._sender.send(url, pushing(self._known, entry), self._timeout_s)
            except (NotSent, Unclear, *UNREADABLE):
                continue
            return said.can_be_switched_off and said.epoch >= self._known.epoch
        return False
