"""An asyncio event loop that never sleeps: when everyone waits, it moves its clock to the next timer.

An hour passes in milliseconds, and the same program takes the same steps every time: timers fire in their order,
and sets of tasks (as ``asyncio.TaskGroup`` holds them) are walked in the order in which the tasks were made. It is for
code that waits for timers and other tasks. Threads and sockets are not waited for.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlocked(Exception):
    """Everyone waits for something that nothing is going to do, and no timer is set."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at 0 and stands still while anything can run."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._tasks_made = 0
        super().__init__(_JumpingSelector(self._pass_time))
        self.set_task_factory(_make_task)

    def time(self) -> float:
        return self._now_s

    def next_task_number(self) -> int:
        """Counts the tasks of this loop."""
        self._tasks_made += 1
        return self._tasks_made

    def _pass_time(self, seconds: float | None) -> None:
        if seconds is None:
            waiting = "\n  ".join(sorted(_place(task) for task in asyncio.all_tasks(self)))
            raise Deadlocked(f"nothing can run and no timer is set, at {self._now_s:.3f} s; these wait:\n  {waiting}")
        self._now_s += seconds


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end on a fresh ``VirtualTimeLoop``, as ``asyncio.run`` does on a real one.

    Raises:
        Deadlocked: ``main`` waits for what never comes.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


class _JumpingSelector(selectors.SelectSelector):
    """Passes virtual time instead of waiting. What is ready at once (a signal) is still reported."""

    def __init__(self, pass_time: Callable[[float | None], None]) -> None:
        super().__init__()
        self._pass_time = pass_time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
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
