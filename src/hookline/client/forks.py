"""Knowing that this process is a child that ``fork()`` made: what its parent had open is not for it to use."""

import os

Process = tuple[int, int]

_generation = 0


def process() -> Process:
    """Another value in every process: the forks that led to it, as Python saw them, and its number.

    The number alone may come again once a parent is gone; the count alone misses a fork that a library made in C.
    """
    return _generation, os.getpid()


def _begin_child() -> None:
    global _generation  # noqa: PLW0603  # belongs to the process, as its number does
    _generation += 1


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork()
    os.register_at_fork(after_in_child=_begin_child)
