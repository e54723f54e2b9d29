"""Parts that tests of a node share: a clock they move, small jobs and entries, a commit they hold back."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hookline.node.replicated_log.interface import ReplicatedLog
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.protocol import commands as c
from hookline.protocol.codec import VERSION, Entry
from hookline.protocol.jobs import DEFAULT_TENANT, JobSpec, RetryPolicy, Work, work_of
from hookline.testing.clock import SimulatedClock

T0 = 1_800_000_000_000  # a wall clock in ms
OWNER = "n1/here/1"  # a process that claims
NEXT_OWNER = "n1/here/2"  # the next one on its data directory
OTHER_OWNER = "n2/there/1"


class ManualClock(SimulatedClock):
    """Both clocks stand until the test moves them; randomness is a fixed sequence."""

    def __init__(self) -> None:
        self.now_s = 5.0
        super().__init__(lambda: self.now_s, seed=7, start_ms=T0 - 5_000)

    def advance(self, ms: int) -> None:
        """Time passes: on both clocks."""
        self.now_s += ms / 1_000


def job_spec(
    url: str = "https://a.example/hook",
    destination: str = "https://a.example:443",
    *,
    body: bytes = b"{}",
    headers: tuple[tuple[str, str], ...] = (),
    is_json: bool = True,
    timeout_ms: int = 30_000,
    retry: RetryPolicy | None = None,
    at_most_once: bool = False,
    priority: int = 0,
    labels: tuple[str, ...] = (),
    sealed_secret: bytes | None = None,
    traceparent: str | None = None,
    tracestate: str = "",
) -> JobSpec:
    """A plain job."""
    return JobSpec(
        url=url,
        destination=destination,
        method="POST",
        headers=headers,
        body=body,
        is_json=is_json,
        timeout_ms=timeout_ms,
        retry=retry or RetryPolicy(),
        at_most_once=at_most_once,
        priority=priority,
        labels=labels,
        sealed_secret=sealed_secret,
        traceparent=traceparent,
        tracestate=tracestate,
    )


def create(
    job_id: str,
    spec: JobSpec | None = None,
    *,
    due_ms: int = T0,
    key: str | None = None,
    key_expires_ms: int = 0,
    fingerprint: bytes = b"",
    chosen: bool = False,
    tenant: str = DEFAULT_TENANT,
) -> c.CreateJob:
    """The command that accepts a job."""
    spec = spec or job_spec()
    return c.CreateJob(
        id=job_id,
        due_ms=due_ms,
        work=work_of(spec, tenant),
        fingerprint=fingerprint,
        key=key,
        key_expires_ms=key_expires_ms,
        id_is_chosen=chosen,
    )


def work(tenant: str = DEFAULT_TENANT, **spec: Any) -> Work:
    """The work of a plain job."""
    return work_of(job_spec(**spec), tenant)


def outcome(
    seq: int, attempt: int, *, state: int = 2, kind: int = 0, retry_at_ms: int | None = None, body: bytes = b""
) -> c.RecordOutcome:
    """The command that closes a claim; a success unless said otherwise."""
    return c.RecordOutcome(
        seq=seq,
        attempt=attempt,
        outcome=kind,
        state=state,
        retry_at_ms=retry_at_ms,
        status=200,
        error=None,
        started_ms=T0,
        duration_ms=5,
        response_body=body,
        node="n1",
        term=1,
    )


def entry(
    index: int, commands: Sequence[c.AnyCommand] = (), *, term: int = 1, time_ms: int = T0, before: bytes = b""
) -> Entry:
    """A log entry; its nonce follows from the index."""
    return Entry(VERSION, term, index, time_ms, index.to_bytes(8, "big"), before, tuple(commands))


def apply(machine: StateMachine, *commands: c.AnyCommand, term: int = 1, time_ms: int = T0) -> list[c.Result]:
    """Apply one entry and commit it."""
    results, _ = machine.apply(entry(machine.applied + 1, commands, term=term, time_ms=time_ms, before=machine.digest))
    machine.commit()
    return results


async def fill(log: ReplicatedLog, count: int, *, term: int) -> None:
    """Put entries with one job each into an empty log: what a leader of that term would have written."""
    with TemporaryDirectory() as directory:
        database = open_state(Path(directory) / "state.db", durable=False)
        machine = StateMachine(database)
        for index in range(1, count + 1):
            logged = entry(index, [create(f"j{index}")], term=term, before=machine.digest)
            await log.append(logged)
            machine.apply(logged)
            machine.commit()
        database.close()


@dataclass
class GatedCommit:
    """Holds each commit back until the test lets it through; ``waiting`` counts those held."""

    open: bool = False
    waiting: int = 0
    fails_with: BaseException | None = None
    _gate: asyncio.Event = field(default_factory=asyncio.Event)
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, commit: Callable[[], None]) -> None:
        if not self.open:
            self.waiting += 1
            self._reached.set()
            try:
                await self._gate.wait()
            finally:
                self.waiting -= 1
            self._gate.clear()
        if self.fails_with is not None:
            raise self.fails_with
        commit()

    async def reached(self) -> None:
        """Until a commit is held back."""
        await self._reached.wait()
        self._reached.clear()

    def let_through(self) -> None:
        """Let the commit that waits (or the next one) happen."""
        self._gate.set()

    def stay_open(self) -> None:
        """From now on commits happen at once."""
        self.open = True
        self._gate.set()


async def settle(rounds: int = 20) -> None:
    """Let the loop run what is ready: no time passes."""
    for _ in range(rounds):
        await asyncio.sleep(0)
