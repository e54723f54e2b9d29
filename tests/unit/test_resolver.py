"""One lookup per host at a time, never more than the slots, nobody waits longer than the timeout."""

import asyncio
import errno
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from hookline.clock import SystemClock
from hookline.errors import ResolveFailed
from hookline.node.attempts.resolver import FAILURE_TTL_MS, Resolver, SystemLookup, system_lookup

SHORT_S = 0.02


class ManualClock(SystemClock):
    """Time moves when the test says so."""

    now_ms = 0.0

    def boot_ms(self) -> float:
        return self.now_ms


class ScriptedLookup:
    """Answers from a table; a host in ``held`` waits until it is let go."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str] | Exception] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.calls: Counter[str] = Counter()
        self.running = 0
        self.running_max = 0

    def hold(self, host: str) -> asyncio.Event:
        self.held[host] = asyncio.Event()
        return self.held[host]

    async def __call__(self, host: str, port: int) -> list[str]:
        self.calls[host] += 1
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        try:
            if host in self.held:
                await self.held[host].wait()
            answer = self.answers.get(host, ["192.0.2.1"])
        finally:
            self.running -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def lookup() -> ScriptedLookup:
    return ScriptedLookup()


@pytest.fixture
async def resolver(lookup: ScriptedLookup, clock: ManualClock) -> AsyncIterator[Resolver]:
    async with Resolver(lookup, clock, cache_max=3) as resolver:
        yield resolver


async def failure(resolver: Resolver, host: str) -> str:
    with pytest.raises(ResolveFailed) as failed:
        await resolver.resolve(host, 80)
    assert host in failed.value.detail
    assert failed.value.retryable
    return failed.value.reason


async def test_gives_all_addresses_in_order(resolver: Resolver, lookup: ScriptedLookup) -> None:
    lookup.answers["a.com"] = ["2001:db8::1", "192.0.2.9", "192.0.2.1"]
    assert await resolver.resolve("a.com", 443) == ("2001:db8::1", "192.0.2.9", "192.0.2.1")


async def test_remembers_for_the_ttl_whatever_the_port(
    resolver: Resolver, lookup: ScriptedLookup, clock: ManualClock
) -> None:
    await resolver.resolve("a.com", 80)
    clock.now_ms = 29_999
    await resolver.resolve("a.com", 443)
    assert lookup.calls["a.com"] == 1
    clock.now_ms = 30_000
    lookup.answers["a.com"] = ["192.0.2.2"]
    assert await resolver.resolve("a.com", 80) == ("192.0.2.2",)
    assert lookup.calls["a.com"] == 2


async def test_fresh_answers_without_a_lookup_or_not_at_all(
    resolver: Resolver, lookup: ScriptedLookup, clock: ManualClock
) -> None:
    lookup.answers["gone.com"] = []
    assert resolver.fresh("a.com") is None
    await resolver.resolve("a.com", 80)
    assert await failure(resolver, "gone.com") == "nxdomain"
    assert resolver.fresh("a.com") == ("192.0.2.1",)
    assert resolver.fresh("gone.com") is None
    clock.now_ms = 30_000
    assert resolver.fresh("a.com") is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([], "nxdomain"),
        (ResolveFailed(reason="nxdomain"), "nxdomain"),
        (ResolveFailed(reason="servfail"), "servfail"),
        (ResolveFailed(reason="refused"), "refused"),
        (ResolveFailed(reason="timeout"), "timeout"),
        (ResolveFailed(), "servfail"),
        (OSError("no route"), "servfail"),
        (RuntimeError("cannot schedule new futures after shutdown"), "servfail"),
        (UnicodeError("label too long"), "servfail"),
    ],
)
async def test_failures_have_a_reason_and_are_kept_shortly(
    resolver: Resolver, lookup: ScriptedLookup, clock: ManualClock, answer: list[str] | Exception, reason: str
) -> None:
    lookup.answers["a.com"] = answer
    assert [await failure(resolver, "a.com") for _ in range(3)] == [reason] * 3
    assert lookup.calls["a.com"] == 1
    lookup.answers["a.com"] = ["192.0.2.1"]
    clock.now_ms = FAILURE_TTL_MS
    assert await resolver.resolve("a.com", 80) == ("192.0.2.1",)


@pytest.mark.parametrize(
    "answer", [OSError(errno.EMFILE, ""), RuntimeError("can't start new thread"), ResolveFailed(reason="ours")]
)
async def test_what_this_node_lacks_is_no_failure_of_the_host_and_not_remembered(
    resolver: Resolver, lookup: ScriptedLookup, answer: Exception
) -> None:
    lookup.answers["a.com"] = answer
    assert await failure(resolver, "a.com") == "ours"
    lookup.answers["a.com"] = ["192.0.2.1"]
    assert await resolver.resolve("a.com", 80) == ("192.0.2.1",)


async def test_one_lookup_for_all_who_ask_at_once(resolver: Resolver, lookup: ScriptedLookup) -> None:
    release = lookup.hold("a.com")
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(resolver.resolve("a.com", 80)) for _ in range(50)]
        await _until(lambda: lookup.running == 1)
        release.set()
    assert {task.result() for task in asked} == {("192.0.2.1",)}
    assert lookup.calls["a.com"] == 1


async def test_a_caller_who_gives_up_does_not_stop_the_others(resolver: Resolver, lookup: ScriptedLookup) -> None:
    release = lookup.hold("a.com")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(resolver.resolve("a.com", 80))
        second = group.create_task(resolver.resolve("a.com", 80))
        await _until(lambda: lookup.running == 1)
        first.cancel()
        await _until(first.cancelled)
        release.set()
    assert second.result() == ("192.0.2.1",)
    assert lookup.calls["a.com"] == 1


async def test_failing_together_still_means_an_exception_each(resolver: Resolver, lookup: ScriptedLookup) -> None:
    lookup.answers["a.com"] = []
    failed = await asyncio.gather(*(resolver.resolve("a.com", 80) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(error, ResolveFailed) for error in failed)
    assert len({id(error) for error in failed}) == 3


async def test_a_slow_lookup_goes_on_and_its_late_answer_is_used(lookup: ScriptedLookup, clock: ManualClock) -> None:
    async with Resolver(lookup, clock, timeout_s=SHORT_S) as resolver:
        release = lookup.hold("slow.com")
        assert await failure(resolver, "slow.com") == "timeout"
        assert await failure(resolver, "slow.com") == "timeout"
        assert (lookup.calls["slow.com"], lookup.running) == (1, 1)
        release.set()
        await _until(lambda: resolver.fresh("slow.com") is not None)
        assert await resolver.resolve("slow.com", 80) == ("192.0.2.1",)


async def test_stuck_lookups_never_exceed_the_slots_and_free_them(lookup: ScriptedLookup, clock: ManualClock) -> None:
    async with Resolver(lookup, clock, timeout_s=SHORT_S, concurrency=2) as resolver:
        releases = [lookup.hold(f"slow{n}.com") for n in range(5)]
        reasons = await asyncio.gather(*(failure(resolver, f"slow{n}.com") for n in range(5)))
        assert reasons == ["timeout"] * 5
        assert await failure(resolver, "fast.com") == "timeout"
        assert (lookup.running_max, lookup.calls.total()) == (2, 2)
        for release in releases:
            release.set()
        assert await resolver.resolve("other.com", 80) == ("192.0.2.1",)  # slots go in order: fast.com's turn is over
        assert await resolver.resolve("fast.com", 80) == ("192.0.2.1",)  # and waiting in vain is not held against it


async def test_the_cache_is_bounded_and_drops_the_oldest(resolver: Resolver, lookup: ScriptedLookup) -> None:
    for host in ("a.com", "b.com", "c.com", "d.com"):
        await resolver.resolve(host, 80)
    assert [resolver.fresh(host) is not None for host in ("a.com", "b.com", "c.com", "d.com")] == [
        False,
        True,
        True,
        True,
    ]


async def test_a_renewed_answer_is_the_newest(resolver: Resolver, clock: ManualClock) -> None:
    for host in ("a.com", "b.com", "c.com"):
        await resolver.resolve(host, 80)
    clock.now_ms = 30_000
    await resolver.resolve("b.com", 80)
    await resolver.resolve("d.com", 80)  # a.com makes room
    await resolver.resolve("e.com", 80)  # c.com makes room
    assert resolver.fresh("b.com") is not None


async def test_leaving_stops_what_is_stuck_and_lets_its_waiters_go(lookup: ScriptedLookup, clock: ManualClock) -> None:
    lookup.hold("slow.com")
    async with asyncio.TaskGroup() as group, Resolver(lookup, clock) as resolver:
        waiter = group.create_task(failure(resolver, "slow.com"))
        await _until(lambda: lookup.running == 1)
    assert waiter.result() == "timeout"
    assert lookup.running == 0


async def test_an_error_of_the_block_comes_out_as_it_is(lookup: ScriptedLookup, clock: ManualClock) -> None:
    with pytest.raises(KeyError):
        async with Resolver(lookup, clock):
            raise KeyError


async def test_a_fault_of_ours_in_a_lookup_is_not_hidden(lookup: ScriptedLookup, clock: ManualClock) -> None:
    lookup.answers["a.com"] = TypeError("bug")
    with pytest.RaisesGroup(TypeError):
        async with Resolver(lookup, clock) as resolver:
            await resolver.resolve("a.com", 80)


# --- the machine's own resolver -----------------------------------------------------------------------------


@pytest.fixture
def system() -> Iterator[SystemLookup]:
    lookup = system_lookup(threads=2)
    yield lookup
    lookup.close()


async def test_system_lookup_knows_localhost(system: SystemLookup) -> None:
    addresses = await system("localhost", 80)
    assert set(addresses) <= {"127.0.0.1", "::1"}
    assert len(addresses) == len(set(addresses)) > 0


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (socket.EAI_NONAME, "nxdomain"),
        (socket.EAI_NODATA, "nxdomain"),
        (socket.EAI_AGAIN, "servfail"),
        (socket.EAI_FAIL, "refused"),
        (socket.EAI_MEMORY, "servfail"),
    ],
)
async def test_system_lookup_says_why(
    system: SystemLookup, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "no")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(ResolveFailed) as failed:
        await system("a.com", 80)
    assert failed.value.reason == reason


async def test_system_lookup_has_threads_of_its_own(system: SystemLookup, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []

    def answer(*_: object, **__: object) -> list[object]:
        names.append(threading.current_thread().name)
        return [
            (0, 0, 0, "", ("192.0.2.1", 80)),
            (0, 0, 0, "", ("2001:db8::1", 80, 0, 0)),
            (0, 0, 0, "", ("192.0.2.1", 80)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    assert await system("a.com", 80) == ["192.0.2.1", "2001:db8::1"]
    assert names[0].startswith("hookline-dns")


async def test_a_stuck_thread_holds_up_neither_its_caller_nor_other_hosts(
    system: SystemLookup, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    release = threading.Event()

    def answer(host: str, *_: object, **__: object) -> list[object]:
        if host == "slow.com":
            release.wait(60)
        return [(0, 0, 0, "", ("192.0.2.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    async with Resolver(system, clock, timeout_s=0.2, concurrency=2) as resolver:
        assert await failure(resolver, "slow.com") == "timeout"
        assert await resolver.resolve("fast.com", 80) == ("192.0.2.1",)
        release.set()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (it only lets the loop turn; the code under test has no event for this)
            await asyncio.sleep(0)
