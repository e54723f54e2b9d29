"""Tells whether a failed request may have taken effect: it may once its commands were handed to the log."""

from contextvars import ContextVar


class Fate:
    """Of one request. ``is_open``: it may have been accepted, or not."""

    __slots__ = ("is_open",)

    def __init__(self) -> None:
        self.is_open = False


_current: ContextVar[Fate | None] = ContextVar("fate", default=None)


def begin() -> Fate:
    """A request begins; tasks that it starts share its fate."""
    fate = Fate()
    _current.set(fate)
    return fate


def is_open_now() -> None:
    """The request of this task has been handed to the log; say it before its answer is awaited."""
    fate = _current.get()
    if fate is not None:
        fate.is_open = True
