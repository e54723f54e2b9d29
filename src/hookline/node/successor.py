"""Tells the outcomes of attempts that outlive this node's lead to whoever leads now, be it this node again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec
import structlog

from hookline.clock import Clock
from hookline.errors import HooklineError
from hookline.http_client.caller import Caller
from hookline.http_client.client import NoAnswer, NoConnection
from hookline.node.vault import Vault
from hookline.protocol.codec import split
from hookline.protocol.commands import AnyCommand, RecordOutcome, Result

PATH = "/internal/outcomes"
MAC_HEADER = "hookline-internal"
_GIVE_UP_MS = 35_000  # by then another leader has long resolved the claims of most jobs
_PAUSE_S = 0.05
_TIMEOUT_S = 2.0

Propose = Callable[[Sequence[AnyCommand]], Awaitable[list[Result]]]

_log = structlog.get_logger()
_encode = msgspec.msgpack.Encoder().encode


class _Message(NamedTuple):
    outcomes: Sequence[AnyCommand]
    until_ms: float
    done: asyncio.Future[list[Result]]


class Teller:
    """A queue of outcomes and the one task that sends them.

    Args:
        leader_url: who leads now; None while nobody or this node does.
        own: puts commands into the log while this node leads, else None.
        vault: its key shows the other node that the message is from its own cluster.
    """

    def __init__(
        self, leader_url: Callable[[], str | None], own: Callable[[], Propose | None], vault: Vault, clock: Clock
    ) -> None:
        self._leader_url = leader_url
        self._own = own
        self._vault = vault
        self._clock = clock
        self._queue: asyncio.Queue[_Message] = asyncio.Queue()
        self._caller = Caller()

    def tell(self, outcomes: Sequence[AnyCommand]) -> asyncio.Future[list[Result]]:
        """Have outcomes recorded; done when they are, or after half a minute without a leader."""
        done: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        told = [command for command in outcomes if isinstance(command, RecordOutcome)]
        self._queue.put_nowait(_Message(told, self._clock.boot_ms() + _GIVE_UP_MS, done))
        return done

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            message = await self._queue.get()
            while not await self._deliver(message.outcomes) and self._clock.boot_ms() < message.until_ms:  # noqa: ASYNC110 - paced
                await asyncio.sleep(_PAUSE_S)
            if not message.done.done():
                message.done.set_result([])
            self._queue.task_done()

    async def all_told(self) -> None:
        """Return when nothing is left to be told: the process may end then."""
        await self._queue.join()

    async def _deliver(self, outcomes: Sequence[AnyCommand]) -> bool:
        propose, url = self._own(), self._leader_url()
        if propose is not None:
            return await self._record(propose, outcomes)
        return url is not None and await self._send(url, outcomes)

    async def _record(self, propose: Propose, outcomes: Sequence[AnyCommand]) -> bool:
        try:
            for part in split(outcomes):
                await propose(part)
        except HooklineError as error:  # the lead was lost again
            _log.info("outcomes_not_recorded", error=error.detail)
            return False
        return True

    async def _send(self, url: str, outcomes: Sequence[AnyCommand]) -> bool:
        return all([await self._send_part(url, part) for part in split(outcomes)])

    async def _send_part(self, url: str, outcomes: Sequence[AnyCommand]) -> bool:
        body = _encode(outcomes)
        headers = [(MAC_HEADER.encode(), self._vault.mac(body).encode())]
        try:
            answer = await self._caller.call("POST", url, PATH, headers=headers, body=body, timeout_s=_TIMEOUT_S)
        except (NoConnection, NoAnswer) as error:
            _log.info("outcomes_not_told", url=url, error=error.detail)
            return False
        return answer.status == 200

    async def close(self) -> None:
        """Close the connections."""
        await self._caller.close()
