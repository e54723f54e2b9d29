"""Runs the demo. Exit code 0 only if every job is accounted for; nothing is left behind."""

import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hookline.cli.demo.plan import JOBS, SCHEDULE_ID, JobKind, post_all
from hookline.cli.demo.report import count, kinds_of, problems, summary
from hookline.cli.demo.stack import running_node, running_receiver
from hookline.cli.output import print_error, rich_stdout
from hookline.cli.receiver import Received
from hookline.client.answers import Job
from hookline.client.blocking import Client
from hookline.client.requests import FINISHED
from hookline.clock import Clock, SystemClock
from hookline.errors import HooklineError
from hookline.protocol.signatures import generate_secret

_DELIVERY_S = 25
_MINUTE_MS = 60_000
_WORTH_WAITING_MS = 8_000  # for a real tick of the schedule; most runs show none
_TICK_MS = 500  # after the minute, by when its job is there


class Progressing:
    """Live bars on a terminal, now and then a plain line elsewhere."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._console = console
        self.bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._posted = self.bars.add_task("accepted", total=JOBS)
        self._finished = self.bars.add_task("finished", total=JOBS)
        self._told = -1

    def show(self, posted: int, finished: int) -> None:
        """Bring it up to date."""
        # A real tick of the schedule adds a job that was not posted.
        self.bars.update(self._posted, completed=posted)
        self.bars.update(self._finished, completed=finished, total=max(JOBS, finished))
        step = finished * 4 // JOBS
        if not self._console.is_terminal and step > self._told:
            self._told = step
            self._console.print(f"accepted {posted}, finished {finished} of {max(JOBS, finished)}")


def run(console: Console, folder: Path) -> int:
    """The demo, with its files in this folder. Returns the exit code."""
    clock = SystemClock()
    secret = generate_secret(clock.token(32))
    with ExitStack() as stack:
        receiver_url, received = stack.enter_context(running_receiver(secret))
        node_url = stack.enter_context(running_node(folder))
        client = stack.enter_context(Client(node_url))
        console.print(f"node      {node_url}\nreceiver  {receiver_url}  (verifies every signature)")
        client.put_destination(receiver_url, secrets=[secret])
        made: dict[str, JobKind] = {}
        jobs = _deliver(client, receiver_url, made, Progressing(console), clock)
        following = client.preview_schedule("* * * * *", count=3)
        console.print("next ticks of the schedule: " + ", ".join(f"{tick:%H:%M}" for tick in following) + " UTC")
        return _report(console, jobs, list(received), made)


def _deliver(
    client: Client, receiver_url: str, made: dict[str, JobKind], progress: Progressing, clock: Clock
) -> list[Job]:
    """Post everything, then follow the jobs until all are finished or time is up."""
    with progress.bars:
        post_all(client, receiver_url, lambda job_id, kind: _note(made, job_id, kind, progress))
        deadline_ms = clock.boot_ms() + _DELIVERY_S * 1_000
        following_ms = (clock.wall_ms() // _MINUTE_MS + 1) * _MINUTE_MS
        if following_ms - clock.wall_ms() < _WORTH_WAITING_MS:  # a real tick is near enough to be shown
            while clock.wall_ms() < following_ms + _TICK_MS and clock.boot_ms() < deadline_ms:
                progress.show(len(made), _finished(list(client.list_jobs())))
                time.sleep(0.1)
        client.pause_schedule(SCHEDULE_ID)  # from here on no job is added
        while True:
            jobs = list(client.list_jobs())
            progress.show(len(made), _finished(jobs))
            if _finished(jobs) == len(jobs) or clock.boot_ms() > deadline_ms:
                return jobs
            time.sleep(0.1)


def _finished(jobs: list[Job]) -> int:
    return sum(job.state in FINISHED for job in jobs)


def _note(made: dict[str, JobKind], job_id: str, kind: JobKind, progress: Progressing) -> None:
    made[job_id] = kind
    progress.show(len(made), 0)


def _report(console: Console, jobs: list[Job], received: list[Received], made: dict[str, JobKind]) -> int:
    kinds = kinds_of(jobs, made)
    console.print(summary(count(jobs, received, kinds)))
    wrong = problems(jobs, received, made, kinds)
    for line in wrong[:20]:
        console.print(f"✗ {line}", style="red", soft_wrap=True)
    if wrong:
        console.print(f"{len(wrong)} things are not as promised.", style="bold red")
        return 1
    console.print(
        f"✓ all {len(kinds)} jobs accounted for; every signature verified; none early, none twice", style="green"
    )
    return 0


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C does, so that nothing is left behind."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main() -> int:
    """The demo in a folder of its own, which goes away with it."""
    try:
        with _ended_by_sigterm(), tempfile.TemporaryDirectory(prefix="hookline-demo-") as folder:
            return run(rich_stdout(), Path(folder))
    except HooklineError as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
