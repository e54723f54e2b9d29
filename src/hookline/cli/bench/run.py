"""One benchmark: the receiver is started, jobs are created and received, what is missing is looked at."""

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import msgspec

from hookline.cli.bench.figures import BenchLog, Figures, Missing
from hookline.cli.bench.load import LoadPlan, LoadRun
from hookline.cli.bench.receiver import CaughtRequest
from hookline.cli.bench.view import BenchProgress
from hookline.cli.service import Service
from hookline.client.answers import Job
from hookline.client.awaiting import AsyncClient
from hookline.errors import HooklineError, InvalidConfig, JobNotFound

_FIRST_S = 10.0  # for the job that shows that the receiver can be reached
_LOOK_S = 0.25
_LOOKED_AT_ONCE = 32  # missing jobs
_arrivals = msgspec.json.Decoder(list[CaughtRequest]).decode


@dataclass(frozen=True)
class BenchResult:
    """The result, what it was made of, and when the first job was to be created (seconds since 1970)."""

    figures: Figures
    seen: BenchLog
    began_at: float


class _ReceiverOutput(asyncio.Protocol):
    """Takes what the receiver writes.

    Attributes:
        ready: where it listens; empty: it ended before that.
        is_over: it has ended.
    """

    def __init__(self, arrived: Callable[[bytes], None]) -> None:
        self._arrived = arrived
        self._rest = b""
        self.ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.is_over = False

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self.ready.done():
                self._arrived(line)
            else:
                self.ready.set_result(line.decode().removeprefix("ready "))

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_over = True
        if not self.ready.done():
            self.ready.set_result("")


class BenchRun:
    """Runs one benchmark.

    Args:
        service: to be measured.
        plan: of the load.
        listen: host and port of the receiver.
        receiver_url: as nodes see it; None: as it listens.
        receiver_s: for how long it keeps each request.
        delay_s: from creation to due.
        patience_s: for the next arrival in the end.
    """

    def __init__(
        self,
        service: Service,
        plan: LoadPlan,
        *,
        listen: tuple[str, int],
        receiver_url: str | None,
        receiver_s: float,
        delay_s: float,
        patience_s: float,
    ) -> None:
        self._service = service
        self._plan = plan
        self._listen = listen
        self._receiver_url = receiver_url
        self._receiver_s = receiver_s
        self._patience_s = patience_s
        self._seen = BenchLog(delay_s)
        self._load: LoadRun | None = None  # while jobs are created
        self._over = asyncio.Event()  # nobody waits for arrivals any more
        self._receiver: _ReceiverOutput | None = None
        self._on_arrivals: Callable[[], None] = lambda: None

    async def run(self) -> BenchResult:
        """Do it. Raises InvalidConfig if nothing arrives, and HooklineError if Hookline does not answer."""
        place = self._service.place()
        client = AsyncClient(
            place.url,
            api_key=place.key,
            tenant=self._service.tenant,
            timeout=self._service.timeout,
            ca_file=place.ca_file,
            cert=place.cert,
        )
        async with client, self._receiving() as receiver:
            url = self._receiver_url or f"http://{receiver}/"
            await self._try(client, url)
            load = self._load = LoadRun(client, url, self._plan, self._seen)
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGINT, self._stop)
            progress = BenchProgress(self._plan.calls)
            with progress.live:
                self._on_arrivals = lambda: progress.show(load.made, self._seen)
                await load.run()
                self._load = None
                await self._wait()
            loop.remove_signal_handler(signal.SIGINT)
            missing = await self._missing(client)
            return BenchResult(self._seen.figures(load.began_at, self._plan.rate, missing), self._seen, load.began_at)

    def _stop(self) -> None:
        """Create no more; the second time, or when all are created, wait for no more. All there is is told."""
        if self._load is not None:
            self._load.stop()
            self._load = None
        else:
            self._over.set()

    @asynccontextmanager
    async def _receiving(self) -> AsyncIterator[str]:
        """Runs the receiver; its HOST:PORT."""
        host, port = self._listen
        program = [sys.executable, "-m", "hookline.cli.bench.receiver", host, str(port), str(self._receiver_s)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(  # noqa: S603, ASYNC220  # our own program; nothing else runs yet
            program, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        assert process.stdin is not None
        assert process.stderr is not None
        loop = asyncio.get_running_loop()
        lines = self._receiver = _ReceiverOutput(self._arrived)
        transport, _ = await loop.connect_read_pipe(lambda: lines, process.stdout)
        try:
            if not (place := await lines.ready):
                said = process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise InvalidConfig(f"the receiver cannot listen at {host}:{port}: {said}", field="listen")
            yield place
        finally:
            process.stdin.close()
            process.wait()
            process.stderr.close()
            transport.close()

    def _arrived(self, line: bytes) -> None:
        for job_id, at, due in _arrivals(line):
            self._seen.arrived(job_id, at, due)
        self._on_arrivals()

    async def _try(self, client: AsyncClient, url: str) -> None:
        """Have one job delivered, which is not counted. Raises InvalidConfig when it does not arrive."""
        job = await client.create_job(url, payload="a first job, which is not counted", retry={"max_attempts": 1})
        until = time.monotonic() + _FIRST_S + self._receiver_s
        while job.id not in self._seen.first:
            now = await client.get_job(job.id)
            if now.state == "dead" or time.monotonic() > until:
                raise InvalidConfig(_why(now, url), field="receiver_url")
            await asyncio.sleep(_LOOK_S)
        self._seen.forget()

    async def _wait(self) -> None:
        """Until all have arrived, or none has for as long as the patience, after the last was due."""
        seen = self._seen
        count, until = -1, 0.0
        due = time.monotonic() + seen.delay_s
        while not self._over.is_set() and any(job_id not in seen.first for job_id in seen.wanted):
            if self._receiver is not None and self._receiver.is_over:
                raise InvalidConfig("the receiver ended before the benchmark: nobody knows what would have arrived")
            if count != len(seen.first):
                count, until = len(seen.first), max(due, time.monotonic()) + self._patience_s
            if time.monotonic() > until:
                break
            await asyncio.sleep(_LOOK_S)
        # Those that came last are answered, else they would be sent again to whoever listens there next; and a
        # duplicate would follow.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), _LOOK_S + self._receiver_s)

    async def _missing(self, client: AsyncClient) -> Missing:
        """Ask Hookline for the fate of those that have not arrived."""
        ids = self._seen.missing()
        found: Counter[str] = Counter()
        for start in range(0, len(ids), _LOOKED_AT_ONCE):
            found.update(
                await asyncio.gather(*(self._fate(client, one) for one in ids[start : start + _LOOKED_AT_ONCE]))
            )
            if found["unknown"]:  # it does not answer: the others are not known either
                break
        return Missing(found["unfinished"], found["lost"], len(ids) - found["unfinished"] - found["lost"])

    async def _fate(self, client: AsyncClient, job_id: str) -> str:
        try:
            job = await client.get_job(job_id)
        except JobNotFound:
            return "lost"
        except HooklineError:
            return "unknown"
        # It may have arrived while others were looked at.
        is_open = job.state in ("pending", "running") or job_id in self._seen.first
        return "unfinished" if is_open else "lost"


def _why(job: Job, url: str) -> str:
    told = f"a first job to {url} did not arrive"
    attempt = job.last_attempt
    if attempt is not None and attempt.error:
        told += f": {attempt.error}"
    elif job.waiting_for is not None:
        told += f": it waits, {job.waiting_for.detail}"
    return (
        f"{told}. Nodes must be able to reach the receiver: see --listen and --receiver-url; for a receiver in a"
        " private network start them with --allow-destinations or, on a laptop, --allow-private-destinations"
    )
