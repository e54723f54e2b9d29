"""A whole node in the process of a test: the real API, dispatcher, runner and state on virtual time.

Only the network is replaced: what would leave ends in ``node.receiver``. See docs/how-to/test-your-webhooks.md.
"""

import hookline.testing.server_parts  # noqa: F401  # first, since it says what to install

# isort: split
import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from hookline.client.answers import Job
from hookline.client.in_process import InProcessClient
from hookline.client.requests import FINISHED
from hookline.client.retrying import check_wait
from hookline.node.config import NodeConfig
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.replica import inline_commit
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.machine import open_state
from hookline.protocol.durations import parse_duration
from hookline.testing.assembly import LoneParts, assemble
from hookline.testing.clock import START_MS, SimulatedClock
from hookline.testing.receiver import React, Reaction, Receiver
from hookline.testing.virtual_time import HORIZON, VirtualTimeLoop


class InProcessNode:
    """Works inside ``async with``, under ``hookline.testing.run``.

    Args:
        react: says what the receiver does with each request; by default all are answered with 200.
        seed: of ids, jitter and retry waits; the same seed gives the same run.
        start_ms: the wall clock at the start, in milliseconds since 1970 UTC.
        settings: of ``NodeConfig``. Destinations at private addresses are allowed unless they say otherwise.

    Attributes:
        receiver: what arrived, and what is answered next.
        clock: the node's; ``clock.wall_ms()`` is its idea of now.
        client: an ``AsyncClient`` of this node, to hand to the code under test.
    """

    client: InProcessClient
    receiver: Receiver
    clock: SimulatedClock

    def __init__(
        self, react: React = lambda _: Reaction(), *, seed: int = 0, start_ms: int = START_MS, **settings: Any
    ) -> None:
        self._react = react
        self._seed = seed
        self._start_ms = start_ms
        self._settings = {"allow_private_destinations": True} | settings
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop), (
            "InProcessNode needs virtual time: use hookline.testing.run(main()); or, in an ordinary function or on a "
            "loop of pytest-asyncio or anyio, use BlockingNode or the fixture hookline_node"
        )
        self._loop = loop
        self.clock = SimulatedClock(loop.time, seed=self._seed, start_ms=self._start_ms)
        self.receiver = Receiver(self.clock, self._react)
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def _start(self, stack: AsyncExitStack) -> None:
        data_dir = Path(stack.enter_context(TemporaryDirectory(prefix="hookline-")))
        database = open_state(data_dir / "state.db", durable=False)
        stack.callback(database.close)
        node = assemble(
            LoneParts(
                config=NodeConfig(data_dir=data_dir, **self._settings),
                clock=self.clock,
                database=database,
                log=MemoryLog(),
                leadership=MemoryLeadership(),
                commit=inline_commit,
                transport=self.receiver,
            )
        )
        await stack.enter_async_context(node.resolver)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(node.member.stop)
        tasks.create_task(node.member.run())
        await node.member.is_serving.wait()
        self._changed = asyncio.Event()
        node.member.replica.listen(lambda _: self._changed.set())
        self.client = InProcessClient(lambda: node.app, self.clock)

    async def __aexit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        # A test's own failure shall reach the reader as it is, not in a group of what the node's tasks failed with.
        is_own = kind is not None and issubclass(kind, Exception)
        await self._stack.__aexit__(*((None, None, None) if is_own else (kind, *error)))

    async def advance(self, duration: str | float) -> None:
        """Let time pass, ``"1h30m"`` or seconds: everything that is due until then happens."""
        seconds = parse_duration(duration) / 1_000
        self._loop.allow(seconds)
        await asyncio.sleep(seconds)
        await self._loop.settled()

    async def finished(self, job: Job | str, *, within: str | float = HORIZON) -> Job:
        """Let time pass until a job is finished, in any state. Raises DeadlineExceeded."""
        job_id, seconds = job if isinstance(job, str) else job.id, parse_duration(within) / 1_000
        self._loop.allow(seconds)
        ends_s = self._loop.time() + seconds
        while True:  # asked at each change of the state, not every second: a month has too many of them
            self._changed.clear()
            found = await self.client.get_job(job_id)
            if found.state in FINISHED:
                return found
            left_s = ends_s - self._loop.time()
            check_wait(found, left_s, left_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._changed.wait()
