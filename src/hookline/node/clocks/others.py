"""Reads the clocks of the other nodes and, where they are too few, of etcd's members, over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime

import msgspec

from hookline.http_client.caller import Caller
from hookline.http_client.client import NoAnswer, NoConnection
from hookline.node.clocks.majority import KnownClock
from hookline.peers.sender import UNREADABLE, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS

_CALL = NodeCall.to(CALLS["readClock"])
_SLOWEST_MS = 500  # what took longer says too little
_ENOUGH = 2
_DATE_SLACK_MS = 500  # a Date header has whole seconds


class ClockReading(msgspec.Struct, frozen=True):
    """A node's answer: its machine's clock, right or wrong."""

    wall_ms: int


class Others:
    """Asks all at once.

    Args:
        nodes: the urls of the other nodes by name.
        sender: to them.
        members: urls of etcd's members, whose ``Date`` headers serve as clocks.
        members_caller: to those.
        boot_ms: this machine's boot clock.
    """

    def __init__(
        self,
        nodes: Callable[[], Awaitable[Mapping[str, str]]],
        sender: Sender,
        members: Sequence[str],
        members_caller: Caller,
        boot_ms: Callable[[], float],
    ) -> None:
        self._nodes = nodes
        self._sender = sender
        self._members = members
        self._members_caller = members_caller
        self._boot_ms = boot_ms

    async def ask(self) -> Sequence[KnownClock]:
        """Those that answered in time."""
        urls = await self._nodes()
        found = await _all(self._node(name, url) for name, url in urls.items())
        if len(found) < _ENOUGH:
            found += await _all(self._member(url) for url in self._members)
        return found

    async def _node(self, name: str, url: str) -> KnownClock | None:
        asked_ms = self._boot_ms()
        try:
            answer = await self._sender.send(url, _CALL, _SLOWEST_MS / 1_000)
            wall_ms = msgspec.json.decode(answer.body, type=ClockReading).wall_ms
        except (NotSent, Unclear, *UNREADABLE):
            return None
        return self._known(name, asked_ms, wall_ms, 0, is_node=True)

    async def _member(self, url: str) -> KnownClock | None:
        asked_ms = self._boot_ms()
        try:
            answer = await self._members_caller.call("GET", url, "/version", timeout_s=_SLOWEST_MS / 1_000)
            date = parsedate_to_datetime((answer.header(b"date") or b"").decode("latin-1"))
        except (NoConnection, NoAnswer, ValueError):
            return None
        middle_ms = int(date.timestamp() * 1_000) + _DATE_SLACK_MS
        return self._known(f"etcd {url}", asked_ms, middle_ms, _DATE_SLACK_MS, is_node=False)

    def _known(self, name: str, asked_ms: float, wall_ms: int, slack_ms: float, *, is_node: bool) -> KnownClock | None:
        heard_ms = self._boot_ms()
        took_ms = heard_ms - asked_ms
        if took_ms > _SLOWEST_MS:
            return None
        return KnownClock(name, wall_ms - (asked_ms + heard_ms) / 2, took_ms / 2 + slack_ms, is_node)


async def _all(asking: Iterable[Coroutine[None, None, KnownClock | None]]) -> list[KnownClock]:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(one) for one in asking]
    return [found for task in asked if (found := task.result()) is not None]
