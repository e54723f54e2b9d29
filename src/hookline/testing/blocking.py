"""A node for tests that are ordinary functions, and for code that uses the blocking ``Client``.

It lives in a thread of its own, on a virtual clock that stands still between calls. So it also works where another
event loop runs already, as under pytest-asyncio and anyio.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self, TypeVar

from hookline.client.answers import Job
from hookline.client.awaiting import AsyncClient
from hookline.client.awaiting_transport import AwaitingTransport
from hookline.client.blocking import Client
from hookline.client.blocking_transport import BlockingTransport
from hookline.client.requests import Request
from hookline.client.retrying import Retrying
from hookline.clock import Clock
from hookline.protocol.durations import parse_duration
from hookline.testing.clock import START_MS, SimulatedClock
from hookline.testing.node import InProcessNode
from hookline.testing.receiver import React, Reaction, ReceivedRequest
from hookline.testing.virtual_time import HORIZON, VirtualTimeLoop, allow

T = TypeVar("T")
RunOnLoop = Callable[[Callable[[], Awaitable[T]]], T]

_START_S = 60.0  # of real time


class BlockingNode:
    """Works inside ``with``. Time passes in ``advance``, ``finished``, ``receiver.wait_for`` and ``wait_for_job`` only.

    What a call makes due happens at the next of these.

    Args:
        react: says what the receiver does with each request, in the node's thread; by default it answers 200.
        seed: of ids, jitter and retry waits; the same seed and the same calls give the same run.
        start_ms: the wall clock at the start, in milliseconds since 1970 UTC.
        settings: as of ``InProcessNode``.

    Attributes:
        client: a ``Client`` of this node, to hand to the code under test; any thread may use it.
        async_client: an ``AsyncClient`` for code on any event loop.
        receiver: what arrived, and what is answered next.
        clock: the node's; ``clock.wall_ms()`` is its idea of now.
    """

    client: Client
    async_client: AsyncClient
    receiver: "BlockingReceiver"
    clock: SimulatedClock

    def __init__(
        self, react: React = lambda _: Reaction(), *, seed: int = 0, start_ms: int = START_MS, **settings: Any
    ) -> None:
        self._node = InProcessNode(react, seed=seed, start_ms=start_ms, **settings)

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hookline-node")
        self._runner = asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(parse_duration(HORIZON) / 1_000))
        try:
            self._thread.submit(self._runner.run, self._start()).result(_START_S)
        except BaseException:
            self._close()
            raise
        self.clock = self._node.clock
        self.receiver = BlockingReceiver(self._node, self._call)
        self.client = _BlockingClient(self._node, self._call)
        self.async_client = _AsyncClient(self._node, self._submit)
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._thread.submit(self._runner.run, self._end()).result()
        finally:
            self._close()

    def advance(self, duration: str | float) -> None:
        """Let time pass, ``"1h30m"`` or seconds: everything that is due until then happens."""
        self._call(lambda: self._node.advance(duration))

    def finished(self, job: Job | str, *, within: str | float = HORIZON) -> Job:
        """Let time pass until a job is finished, in any state. Raises DeadlineExceeded."""
        return self._call(lambda: self._node.finished(job, within=within))

    # --- the node's thread ---------------------------------------------------------------------------------------

    async def _start(self) -> None:
        self._stop = asyncio.Event()
        started = asyncio.Event()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(started))
        starting = asyncio.get_running_loop().create_task(started.wait())
        await asyncio.wait({self._keeper, starting}, return_when=asyncio.FIRST_COMPLETED)
        if self._keeper.done():
            self._keeper.result()

    async def _keep(self, started: asyncio.Event) -> None:
        async with self._node:
            started.set()
            await self._stop.wait()

    async def _end(self) -> None:
        self._stop.set()
        await self._keeper

    async def _guarded(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The result, unless the node ends before: then what ended it."""
        allow(0)

        async def asked() -> T:
            return await ask()

        asking = asyncio.get_running_loop().create_task(asked())
        await asyncio.wait({asking, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            asking.cancel()
            self._keeper.result()
        return asking.result()

    def _submit(self, ask: Callable[[], Awaitable[T]]) -> "Future[T]":
        return self._thread.submit(lambda: self._runner.run(self._guarded(ask)))

    def _call(self, ask: Callable[[], Awaitable[T]]) -> T:
        return self._submit(ask).result()

    def _close(self) -> None:
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()


class BlockingReceiver:
    """All receivers of a node in one. ``requests`` holds what arrived, oldest first."""

    def __init__(self, node: InProcessNode, call: RunOnLoop[Any]) -> None:
        self._receiver = node.receiver
        self._call = call

    @property
    def requests(self) -> list[ReceivedRequest]:
        """The requests that arrived until now."""
        return list(self._receiver.requests)

    def next(self, *reactions: Reaction) -> None:
        """React to the next requests like this, in their order."""
        self._receiver.next(*reactions)

    def wait_for(self, count: int, *, within: str | float = HORIZON) -> list[ReceivedRequest]:
        """Let time pass until ``count`` requests have arrived in all, and return them. Raises Deadlocked."""
        found: list[ReceivedRequest] = self._call(lambda: self._receiver.wait_for(count, within=within))
        return found


class _BlockingClient(Client):
    def __init__(self, node: InProcessNode, call: RunOnLoop[Any]) -> None:
        self._node, self._call = node, call
        self._clock: Clock = node.clock
        self._transport = _BlockingTransport(node, call)

    def wait_for_job(self, job_id: str, timeout: float = 60.0) -> Job:
        found: Job = self._call(lambda: self._node.finished(job_id, within=timeout))
        return found


class _BlockingTransport(BlockingTransport):
    def __init__(self, node: InProcessNode, call: RunOnLoop[Any]) -> None:
        self._node = node
        self._call = call

    def send(self, request: Request[T]) -> T:
        sent: T = self._call(lambda: self._node.client.send(request))
        return sent

    def close(self) -> None:
        """Nothing to close."""


class _AsyncClient(AsyncClient):
    def __init__(self, node: InProcessNode, submit: Callable[[Callable[[], Awaitable[Any]]], "Future[Any]"]) -> None:
        self._node, self._submit = node, submit
        self._clock: Clock = node.clock
        self._transport = AwaitingTransport(
            _SubmittedExchange(node, submit), Retrying(0, 60.0, node.clock), asyncio.sleep
        )

    async def wait_for_job(self, job_id: str, timeout: float = 60.0) -> Job:
        found: Job = await asyncio.wrap_future(self._submit(lambda: self._node.finished(job_id, within=timeout)))
        return found


class _SubmittedExchange:
    """The node's own client, in the thread where the node runs. It repeats what may be repeated."""

    def __init__(self, node: InProcessNode, submit: Callable[[Callable[[], Awaitable[Any]]], "Future[Any]"]) -> None:
        self._node = node
        self._submit = submit

    async def once(self, request: Request[T]) -> T:
        sent: T = await asyncio.wrap_future(self._submit(lambda: self._node.client.send(request)))
        return sent

    async def close(self) -> None:
        """Nothing to close."""
