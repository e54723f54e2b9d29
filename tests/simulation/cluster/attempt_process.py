"""The attempt processes of a simulated node: the product's own program, at the other end of a link that can break."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from hookline.node.attempts.process import run
from hookline.node.attempts.process_messages import Setup, decode_setup, encode_setup
from hookline.processes.child import ChildProcess
from hookline.processes.link import Link
from hookline.testing.assembly import fixed_vault, lookup
from tests.simulation.cluster.loop import OUTSIDE, Process, ProcessLoop

if TYPE_CHECKING:
    from tests.simulation.cluster.node import SimulatedNode
    from tests.simulation.cluster.process import NodeProcess


class _Way(asyncio.Transport):
    """From one end of a link to the other, in whose process it is read."""

    def __init__(self, other: Link, context: Context, broken: Callable[[], None]) -> None:
        super().__init__()
        self._other, self._context, self._broken = other, context, broken

    def write(self, data: Any) -> None:
        asyncio.get_running_loop().call_soon(self._other.data_received, data, context=self._context)

    def end(self) -> None:
        """Break off; the other side still reads what was written."""
        asyncio.get_running_loop().call_soon(self._other.connection_lost, None, context=self._context)

    def close(self) -> None:
        self._broken()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It takes all there is."""


class SimulatedChild:
    """One attempt process. As the ``asyncio.subprocess.Process`` of a ``ChildProcess``."""

    pid = 0

    def __init__(self, node: "SimulatedNode", parent: "NodeProcess", received: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop)
        self.process = Process(loop, f"{parent.process.name}~{len(parent.children) + 1}")
        self._node = node
        self._received: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone = asyncio.Event()
        self.link, self._its = Link(received), Link(self._received.put_nowait)
        self._ways = (
            _Way(self._its, self.process.context, self.break_link),
            _Way(self.link, parent.process.context, self.break_link),
        )
        self.link.connection_made(self._ways[0])
        self._its.connection_made(self._ways[1])
        node.cluster.network.tasks.create_task(self._live(), context=OUTSIDE.copy())

    async def _live(self) -> None:
        try:
            await self._until_ended()
        finally:
            self.break_link()
            self._gone.set()

    async def _until_ended(self) -> None:
        context = self.process.context
        async with asyncio.TaskGroup() as tasks:
            main = tasks.create_task(self._main(), context=context)
            alone = tasks.create_task(self._its.ended.wait(), context=context)
            killed = tasks.create_task(self.process.killed.wait())
            await asyncio.wait({main, alone, killed}, return_when=asyncio.FIRST_COMPLETED)
            alone.cancel()
            killed.cancel()
            await self._node.bury(self.process, main)

    async def _main(self) -> None:
        setup, node = decode_setup(await self._received.get()), self._node
        try:
            await run(setup, self._its, self._received, machine=node.clock, lookup=lookup, transport=node)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has failed
            if not self.process.is_dead:
                node.cluster.history.complaints.append(f"{self.process.name} broke down: {error!r}")

    def kill(self) -> None:
        """SIGKILL."""
        self._node.kill(self.process)

    def pause(self, seconds: float) -> None:
        """SIGSTOP and, later, SIGCONT."""
        self._node.hold_up(self.process, seconds)

    def break_link(self) -> None:
        """Both ends find out, as soon as they read."""
        for way in self._ways:
            way.end()

    # --- as its parent knows it ----------------------------------------------------------------------------------

    async def wait(self) -> int:
        """Until it is gone for sure."""
        await self._gone.wait()
        return -9

    def send_signal(self, _number: int) -> None:
        """It is SIGKILL."""
        self.kill()


async def start(
    node: "SimulatedNode", parent: "NodeProcess", slots: int, received: Callable[[bytes], None]
) -> ChildProcess:
    """One more of this process."""
    child = SimulatedChild(node, parent, received)
    parent.children.append(child)
    as_known: Any = child
    child.link.send(encode_setup(Setup(node.config, fixed_vault().keys, slots, logs_as_json=True, log_levels={})))
    return ChildProcess(as_known, child.link)
