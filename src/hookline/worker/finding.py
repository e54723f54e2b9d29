"""Finds the leader of a cluster by asking its nodes, again whenever it does not answer."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from hookline.peers.sender import UNREADABLE, NodeAnswer, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS
from hookline.telemetry.area_log import log_of
from hookline.visible import without_password

_TIMEOUT_S: Final = 2.0
_PAUSE_S: Final = 0.1
_PAUSE_S_MAX: Final = 1.0
_NODES_MAX: Final = 16

_log = log_of("worker")


class _ToldNode(msgspec.Struct):
    name: str
    url: str


class _ToldCluster(msgspec.Struct):
    name: str
    leader: str | None
    nodes: list[_ToldNode]


class LeaderFinder:
    """Knows who leads.

    Args:
        urls: of nodes; what they know of others is used, too.
        sender: asks them.
    """

    def __init__(self, urls: Sequence[str], sender: Sender) -> None:
        self._given: Final = tuple(urls)
        self._learned: list[str] = []
        self._sender = sender
        self._found: str | None = None
        self._is_in_doubt = asyncio.Event()
        self._is_in_doubt.set()

    def url(self) -> str | None:
        """Of the leader; None while none is known."""
        return self._found

    def doubt(self) -> None:
        """It did not answer as a leader does."""
        self._is_in_doubt.set()

    async def run(self) -> None:
        """Until cancelled."""
        pause_s = _PAUSE_S
        while True:
            await self._is_in_doubt.wait()
            self._is_in_doubt.clear()
            found = await self._look()
            if found is None:
                if self._found is not None:
                    _log.warning("no_leader_found", nodes=[without_password(url) for url in self._urls()])
                self._is_in_doubt.set()
            elif found != self._found:
                _log.info("leader_found", url=without_password(found))
            self._found = found
            pause_s = min(2 * pause_s, _PAUSE_S_MAX) if found is None else _PAUSE_S
            await asyncio.sleep(pause_s)

    def _urls(self) -> list[str]:
        return list(dict.fromkeys((*self._given, *self._learned)))

    async def _look(self) -> str | None:
        """Ask all at once; what the first says that knows a leader."""
        found: str | None = None
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(self._ask(url)) for url in self._urls()]
            for answer in asyncio.as_completed(asking):
                found = await answer
                if found is not None:
                    break
            for one in asking:
                one.cancel()
        return found

    async def _ask(self, url: str) -> str | None:
        try:
            answer = await self._sender.send(url, NodeCall.to(CALLS["readCluster"]), _TIMEOUT_S)
            cluster = msgspec.json.decode(answer.body, type=_ToldCluster) if answer.status == 200 else None
        except (NotSent, Unclear, *UNREADABLE):
            return None
        if cluster is None or cluster.leader is None:
            return None
        self._learned = [node.url for node in cluster.nodes][:_NODES_MAX]
        if _answered_by(answer) == cluster.leader:
            return url  # as it was reached, whatever it is called by others
        return next((node.url for node in cluster.nodes if node.name == cluster.leader), None)


def _answered_by(answer: NodeAnswer) -> str:
    return (answer.header(b"hookline-node") or b"").decode("ascii", "replace")
