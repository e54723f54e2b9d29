"""Virtual time with processes that can be stopped, as by SIGSTOP: what runs in their context gets no time.

A process is a mark in the context that tasks, timers and callbacks inherit. While it is paused, what comes due for
it is held back, in order, and runs when it goes on: its timers have expired by then, and answers wait to be read.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar, TypeVarTuple

from hookline.testing.virtual_time import VirtualTimeLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_TURNS_MAX = 700_000  # several times as many as long runs take

OUTSIDE = Context()
"""The context of everything that is no process: etcd, the receivers, the network."""


class Process:
    """One life of a node, or of another machine's program.

    Attributes:
        killed: set when it is to end at once.
    """

    def __init__(self, loop: "ProcessLoop", name: str) -> None:
        self.name = name
        self.is_dead = False
        self.is_paused = False
        self.killed = asyncio.Event()
        self.held: list[asyncio.Handle] = []
        self._loop = loop
        self.context = copy_context()
        self.context.run(PROCESS.set, self)

    def pause(self) -> None:
        """Give it no time from now on."""
        self.is_paused = True

    def resume(self) -> None:
        """Let it go on with what was held back."""
        self.is_paused = False
        held, self.held = self.held, []
        self._loop.run_soon(held)

    def die(self) -> None:
        """End it. All that it still does while its tasks are cancelled has no effect outside."""
        self.is_dead = True
        self.resume()

    async def alive(self) -> None:
        """Never returns once the process is dead."""
        if self.is_dead:
            await asyncio.get_running_loop().create_future()


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class ProcessLoop(VirtualTimeLoop):
    """Holds back what belongs to paused processes. A run that goes round in circles is broken off.

    Attributes:
        turns_max: then it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.turns_max = _TURNS_MAX
        self._turns = 0

    def _run_once(self) -> None:
        self._turns += 1
        if self._turns > self.turns_max:
            raise RuntimeError(f"no end after {self.turns_max} turns")
        super()._run_once()  # type: ignore[misc]

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context  # an empty one counts as false
        process = context.get(PROCESS)
        if process is None or not process.is_paused:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        process.held.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context  # an empty one counts as false
        process = context.get(PROCESS)
        if process is None:
            return super().call_at(when, callback, *args, context=context)

        def fire() -> None:
            assert process is not None
            if process.is_paused:
                process.held.append(timer)  # cancelled meanwhile, it does not run
            else:
                callback(*args)

        timer = super().call_at(when, fire, context=context)
        return timer

    def run_soon(self, handles: list[asyncio.Handle]) -> None:
        """Run handles that were held back, in this order."""
        self._ready.extend(handles)  # type: ignore[attr-defined]


def outside(delay_s: float, callback: Callable[[], object]) -> None:
    """Call something after a while, whatever becomes of the process that asked for it."""
    asyncio.get_running_loop().call_later(delay_s, callback, context=OUTSIDE)


def run(main: Coroutine[Any, Any, T]) -> T:
    """As ``hookline.testing.run``, with processes."""
    with asyncio.Runner(loop_factory=ProcessLoop) as runner:
        return runner.run(main)
