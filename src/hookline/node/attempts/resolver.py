"""Turns host names into addresses without ever blocking the loop, or letting slow names hold up the others.

``asyncio``'s own ``getaddrinfo`` shares the loop's default pool of a few threads: a handful of slow names stop every
other lookup and every other user of that pool. Here lookups have threads of their own, at most one lookup runs per
host, and a caller waits two seconds at most while a stuck lookup keeps only its own thread.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, NamedTuple, Self

from hookline.clock import Clock
from hookline.errors import ResolveFailed
from hookline.lack import is_lack, lacks_descriptors

LookupFault = Literal["nxdomain", "timeout", "servfail", "refused", "ours"]
Lookup = Callable[[str, int], Awaitable[list[str]]]

LOOKUPS_MAX: Final = 32
FAILURE_TTL_MS: Final = 1_500  # long enough to spare the name server a storm, short enough not to delay a repair

# glibc says EAI_AGAIN both for SERVFAIL and for a server that does not answer, EAI_FAIL when the server refuses.
_REASONS: Final[dict[int, LookupFault]] = {
    socket.EAI_NONAME: "nxdomain",
    socket.EAI_NODATA: "nxdomain",
    socket.EAI_AGAIN: "servfail",
    socket.EAI_FAIL: "refused",
}


class _Answer(NamedTuple):
    """The result of a lookup; a failure is kept as data, so that each caller raises an exception of its own."""

    addresses: tuple[str, ...]
    reason: LookupFault | None
    expires_ms: float


_NO_ANSWER: Final = _Answer((), "timeout", 0)
_OUR_LACK: Final = _Answer((), "ours", 0)


class Resolver:
    """A small cache in front of ``lookup``, with one lookup at a time per host. Works inside ``async with``.

    Args:
        lookup: gives the addresses of (host, port), or raises ``ResolveFailed`` or ``OSError``.
        clock: for the age of answers.
        timeout_s: how long a caller waits.
        cache_ttl_s: how long addresses are used again; failures are kept for ``FAILURE_TTL_MS``.
        cache_max: hosts remembered; the oldest answer makes room.
        concurrency: lookups that run at the same time; those waiting longer than ``timeout_s`` for their turn fail.
    """

    def __init__(
        self,
        lookup: Lookup,
        clock: Clock,
        *,
        timeout_s: float = 2.0,
        cache_ttl_s: float = 30,
        cache_max: int = 4096,
        concurrency: int = LOOKUPS_MAX,
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._timeout_s = timeout_s
        self._ttl_ms = cache_ttl_s * 1000
        self._cache_max = cache_max
        self._slots = asyncio.Semaphore(concurrency)
        self._answers: dict[str, _Answer] = {}
        # A lookup outlives the caller who started it: its thread cannot be stopped, its late answer is used.
        self._tasks = asyncio.TaskGroup()
        self._flights: dict[str, asyncio.Task[_Answer]] = {}

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for flight in self._flights.values():
            flight.cancel()
        await self._tasks.__aexit__(None, None, None)  # an error of the block is not the group's to wrap

    def fresh(self, host: str) -> tuple[str, ...] | None:
        """The host's addresses if they were looked up within the last ``cache_ttl_s``; never waits, never raises."""
        answer = self._fresh_answer(host)
        return None if answer is None or answer.reason else answer.addresses

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """All addresses of the host, in the order in which the system prefers them.

        Raises:
            ResolveFailed: there are none, or they did not come in time.
        """
        answer = self._fresh_answer(host) or await self._wait_for(host, port)
        if answer.reason == "ours":
            raise ResolveFailed(f"this node lacks descriptors or threads to resolve {host}", reason=answer.reason)
        if answer.reason is not None:
            raise ResolveFailed(f"{host} could not be resolved: {answer.reason}", reason=answer.reason)
        return answer.addresses

    def _fresh_answer(self, host: str) -> _Answer | None:
        answer = self._answers.get(host)
        return answer if answer is not None and self._clock.boot_ms() < answer.expires_ms else None

    async def _wait_for(self, host: str, port: int) -> _Answer:
        flight = self._flights.get(host)
        if flight is None:
            flight = self._flights[host] = self._tasks.create_task(self._fly(host, port))
            flight.add_done_callback(lambda _: self._flights.pop(host, None))
        done, _ = await asyncio.wait((flight,), timeout=self._timeout_s)
        return flight.result() if done and not flight.cancelled() else _NO_ANSWER

    async def _fly(self, host: str, port: int) -> _Answer:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._slots.acquire()
        except TimeoutError:  # all slots are stuck: nothing was learnt about this host, so nothing is remembered
            return _NO_ANSWER
        try:
            addresses = tuple(await self._lookup(host, port))
            return self._remember(host, addresses, None if addresses else "nxdomain")
        except ResolveFailed as error:
            return _OUR_LACK if error.reason == "ours" else self._remember(host, (), _known(error.reason))
        except (OSError, ValueError, RuntimeError) as error:
            # Also when no thread can be started or a codec refuses the name: only this host fails, never the node.
            return _OUR_LACK if is_lack(error) else self._remember(host, (), "servfail")
        finally:
            self._slots.release()

    def _remember(self, host: str, addresses: tuple[str, ...], reason: LookupFault | None) -> _Answer:
        ttl_ms = self._ttl_ms if reason is None else FAILURE_TTL_MS
        answer = _Answer(addresses, reason, self._clock.boot_ms() + ttl_ms)
        self._answers.pop(host, None)  # so that it is put at the end: the first is always the oldest
        if len(self._answers) >= self._cache_max:
            del self._answers[next(iter(self._answers))]
        self._answers[host] = answer
        return answer


class SystemLookup:
    """``getaddrinfo`` in threads of its own: as many as the resolver runs lookups, so none waits in the pool."""

    def __init__(self, threads: int = LOOKUPS_MAX) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="hookline-dns")

    async def __call__(self, host: str, port: int) -> list[str]:
        """The addresses of the host.

        Raises:
            ResolveFailed: the system found none; its reason says why.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, _addresses_of, host, port)

    def close(self) -> None:
        """Stop taking lookups; those that run end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def system_lookup(threads: int = LOOKUPS_MAX) -> SystemLookup:
    """The machine's own resolver, for ``Resolver``; the caller closes it."""
    return SystemLookup(threads)


def _addresses_of(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror as error:
        reason = "ours" if lacks_descriptors() else _REASONS.get(error.errno or 0, "servfail")
        raise ResolveFailed(f"{host} could not be resolved: {reason}", reason=reason) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _known(reason: str) -> LookupFault:
    match reason:
        case "nxdomain" | "timeout" | "refused":
            return reason
        case _:
            return "servfail"
