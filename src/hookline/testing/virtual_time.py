"""An asyncio event loop that never sleeps: when everyone waits, it moves its clock to the next timer.

An hour passes in milliseconds, and the same program takes the same steps every time: timers fire in their order,
and sets of tasks (as ``asyncio.TaskGroup`` holds them) are walked in the order in which the tasks were made. It is for
code that waits for timers and other tasks. Threads and sockets are not waited for.

Nothing waits for ever: what nobody will end is an error at once, and what something periodic keeps alive is one when
the horizon is reached.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from hookline.protocol.durations import format_duration, parse_duration

T = TypeVar("T")


HORIZON = "30d"
"""Virtual time that may pass without what is awaited, unless told otherwise."""

_STEPS_MAX = 2_000_000  # of the loop while no time passes: many seconds of a whole core


class Deadlocked(AssertionError):
    """A test waits in vain: nothing is going to bring what it awaits, or did within the horizon."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at 0 and stands still while anything can run.

    Args:
        within_s: so much time may pass in all, and again after each ``allow``; None: no end.
    """

    def __init__(self, within_s: float | None = None) -> None:
        self._now_s = 0.0
        self._tasks_made = 0
        self._steps = 0
        self._within_s = within_s
        self._horizon_s = within_s
        self._settling: list[asyncio.Future[None]] = []
        super().__init__(_JumpingSelector(self._pass_time, self._count_step))
        self.set_task_factory(_make_task)

    def time(self) -> float:
        return self._now_s

    def next_task_number(self) -> int:
        """Counts the tasks of this loop."""
        self._tasks_made += 1
        return self._tasks_made

    def allow(self, seconds: float) -> None:
        """Somebody waits for so long on purpose: the horizon lies behind that."""
        if self._within_s is not None:
            self._horizon_s = max(self._horizon_s or 0.0, self._now_s + seconds + self._within_s)

    async def settled(self) -> None:
        """Return when nothing more can run unless time passes."""
        waiter = self.create_future()
        self._settling.append(waiter)
        await waiter

    def _pass_time(self, seconds: float | None) -> None:
        if self._settling:
            for waiter in self._settling:
                if not waiter.done():
                    waiter.set_result(None)
            self._settling.clear()
            return
        if seconds is None:
            raise self._deadlocked("nothing can run and no timer is set")
        self._steps = 0
        if self._horizon_s is not None and self._now_s + seconds > self._horizon_s:
            raise self._deadlocked("the test is not over; let it have more time with run(main(), within=…)")
        self._now_s += seconds

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps > _STEPS_MAX and self._horizon_s is not None:
            raise self._deadlocked("something runs all the time, so that no time passes")

    def _deadlocked(self, why: str) -> Deadlocked:
        self._horizon_s = None  # what cleans up after it may take its time
        waiting = "\n  ".join(sorted(_place(task) for task in asyncio.all_tasks(self)))
        now = format_duration(int(self._now_s * 1_000))
        return Deadlocked(f"{why}, {now} after the start; these wait:\n  {waiting}")


def run(main: Coroutine[Any, Any, T], *, within: str | float = HORIZON) -> T:
    """Run ``main`` to its end on a fresh ``VirtualTimeLoop``, as ``asyncio.run`` does on a real one.

    Args:
        main: what to run.
        within: virtual time (``"30d"`` or seconds) that may pass in all, beside what ``InProcessNode.advance`` and its
            like wait for on purpose.

    Raises:
        Deadlocked: ``main`` waits for what never comes.
    """
    within_s = parse_duration(within) / 1_000
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(within_s)) as runner:
        return runner.run(main)


def allow(seconds: float) -> None:
    """The running loop is waited on for so long on purpose."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualTimeLoop):
        loop.allow(seconds)


class _JumpingSelector(selectors.SelectSelector):
    """Passes virtual time instead of waiting. What is ready at once (a signal) is still reported."""

    def __init__(self, pass_time: Callable[[float | None], None], count_step: Callable[[], None]) -> None:
        super().__init__()
        self._pass_time = pass_time
        self._count_step = count_step

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            self._count_step()
            return []
        ready = super().select(0)
        if not ready:
            self._pass_time(timeout)
        return ready


class _Task(asyncio.Task[T]):
    """A task whose hash is its number, so that the order of a set of tasks does not depend on memory addresses."""

    def __init__(self, coro: Coroutine[Any, Any, T], *, loop: VirtualTimeLoop, **options: Any) -> None:
        self._number = loop.next_task_number()  # first: being made, a task is put into a set
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


def _make_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    assert isinstance(loop, VirtualTimeLoop)
    return _Task(coro, loop=loop, **options)


def _place(task: asyncio.Task[Any]) -> str:
    frames: Iterable[Any] = task.get_stack(limit=1)
    where = [f"{frame.f_code.co_filename}:{frame.f_lineno}" for frame in frames]
    name = getattr(task.get_coro(), "__qualname__", "task")
    return f"{name} at {where[0] if where else 'its start'}"
