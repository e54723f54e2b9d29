"""Repeats what a request was routed by when the topology changes meanwhile."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from hookline.errors import ClusterUnavailable, HooklineError

ROUTES_MAX = 3  # of one request

T = TypeVar("T")


class StaleRoute(HooklineError):
    """The route was found by a topology that is outdated; the call was not accepted. Route again by the newer one."""

    code = "stale_route"


async def rerouted(work: Callable[[], Awaitable[T]], stale: tuple[type[Exception], ...] = (StaleRoute,)) -> T:
    """Do ``work`` and return its result; do it again, with a new route, when it raises one of ``stale``.

    Raises:
        ClusterUnavailable: the topology changed again and again; nothing was accepted.
    """
    for _ in range(ROUTES_MAX):
        try:
            return await work()
        except stale:
            continue
    raise ClusterUnavailable("the topology is changing; the request was not accepted", retry_after_s=1)
