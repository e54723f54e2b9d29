"""Gives this proxy's topology to clusters that have an older one, and takes theirs when it is newer."""

import asyncio
from collections.abc import Set
from dataclasses import dataclass

import msgspec

from hookline.clock import Clock
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.sender import Answer, Call, NotSent, Sender, Unclear

PATH = "/internal/topology"
_TIMEOUT_S = 2.0
_JSON_TYPE = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class _Given:
    """The newest topology that was sent to a node, when, and whether it took it."""

    epoch: int
    at_ms: float
    is_taken: bool


class TopologyGiver:
    """One for all calls: those that meet the same node at once share one attempt.

    Args:
        sender: makes the calls.
        known: what is given; learns what is newer.
        clock: says when a node was given what.
    """

    def __init__(self, sender: Sender, known: KnownTopology, clock: Clock) -> None:
        self._sender = sender
        self._known = known
        self._clock = clock
        self._given: dict[str, _Given] = {}  # by url
        self._giving: dict[str, asyncio.Lock] = {}

    async def give(self, url: str, *, since_ms: float | None = None) -> bool:
        """Put our topology into the cluster of that node; learn its own if that is newer. True when it has ours.

        Args:
            url: any of its nodes.
            since_ms: nothing is sent when somebody else tried it after that time; what came of that is returned.
        """
        async with self._giving.setdefault(url, asyncio.Lock()):
            epoch = self._known.epoch
            given = self._given.get(url)
            if since_ms is not None and given is not None and given.epoch == epoch and given.at_ms >= since_ms:
                return given.is_taken
            is_taken = await self._give(url)
            self._given[url] = _Given(epoch, self._clock.boot_ms(), is_taken)
            return is_taken

    async def _give(self, url: str) -> bool:
        call = giving(self._known.document)
        try:
            answer = await self._sender.send(url, call, _TIMEOUT_S)
        except (NotSent, Unclear):
            return False
        self.learn_from(answer)
        return answer.status < 300

    def learn_from(self, answer: Answer) -> None:
        """Take the newer topology that comes with "misdirected"."""
        document = answer.problem.get("topology") if answer.code == "misdirected" else None
        if document is not None:
            self._known.learn_document(msgspec.json.encode(document))

    def keep(self, urls: Set[str]) -> None:
        """Forget the nodes that are not among these."""
        for url in self._giving.keys() - urls:
            del self._giving[url]
            self._given.pop(url, None)


def giving(document: bytes) -> Call:
    """The call that gives a node this topology."""
    return Call("PUT", PATH, (_JSON_TYPE,), document)
