"""Asks a node or a proxy what ``hookline top`` shows, through the SDK's calls, in a thread of its own."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from hookline.cli.logs import job_with_attempts
from hookline.cli.top.figures import RateWindow, TopFacts, facts_of
from hookline.cli.top.views import TopView
from hookline.client import requests
from hookline.client.answers import (
    Attempt,
    Cluster,
    ClusterList,
    DestinationPage,
    Health,
    Job,
    JobPage,
)
from hookline.clock import Clock
from hookline.errors import DeadlineExceeded, Forbidden, HooklineError, Unavailable

if TYPE_CHECKING:
    from hookline.cli.calls import Calls

_DESTINATIONS: Final = 1_000
_JOBS: Final = 50
_FAILED: Final = ("retryable_failure", "permanent_failure", "unknown")


class TopLook(NamedTuple):
    """The result of one look.

    Attributes:
        facts: None: nothing was found yet.
        view: the one that the rest is of.
        jobs: of a destination: those that failed last, the newest first.
        job: of a job's view, with its attempts.
        wrong: why the newest look found nothing; what is shown is older then.
        at_s: when something was last found.
    """

    facts: TopFacts | None
    view: TopView
    jobs: list[Job]
    job: tuple[Job, list[Attempt]] | None
    wrong: str
    at_s: float


class Looker:
    """Makes one look after the other.

    Args:
        calls: to the service.
        clock: this machine's.
    """

    def __init__(self, calls: "Calls", clock: Clock) -> None:
        self._calls = calls
        self._clock = clock
        self._window = RateWindow()

    def look(self, view: TopView, before: TopLook | None) -> TopLook:
        """One look; when the service does not answer, it is the one ``before`` with the reason."""
        now_s = self._clock.wall_ms() / 1_000
        try:
            facts = self._facts(now_s)
            jobs = self._failed_jobs(view.name) if view.kind == "destination" else []
            job = job_with_attempts(self._calls, view.name) if view.kind == "job" else None
            return TopLook(facts, view, jobs, job, "", now_s)
        except HooklineError as error:
            if before is None:
                return TopLook(None, view, [], None, error.detail, now_s)
            return before._replace(wrong=error.detail)

    def _facts(self, now_s: float) -> TopFacts:
        """All that there is to see: where nobody leads, that is health and clusters."""
        health = self._calls.send(requests.health().giving(Health))
        clusters = self._clusters(is_proxy=health.role == "proxy")
        self._window.take(clusters, now_s)
        page = requests.list_destinations(limit=_DESTINATIONS, cursor=None).giving(DestinationPage)
        try:
            destinations = self._calls.send(page).data
        except (Unavailable, DeadlineExceeded):
            destinations = []
        return facts_of(self._window, health, clusters, destinations)

    def _clusters(self, *, is_proxy: bool) -> ClusterList:
        """None, for the key of a tenant that may not see them."""
        try:
            if is_proxy:
                return self._calls.send(requests.clusters().giving(ClusterList))
            return ClusterList([self._calls.send(requests.cluster(None).giving(Cluster))])
        except Forbidden:
            return ClusterList([])

    def _failed_jobs(self, host: str) -> list[Job]:
        found = []
        for state in ("dead", "pending"):
            filters = {"destination": host, "state": state}
            found += self._calls.send(requests.list_jobs(filters, limit=_JOBS, cursor=None).giving(JobPage)).data
        failed = [job for job in found if job.last_attempt is not None and job.last_attempt.outcome in _FAILED]
        return sorted(failed, key=lambda job: job.last_attempt.started_at if job.last_attempt else job.created_at)[::-1]


class Lookout:
    """Looks again and again in a thread, so that keys are answered while a call takes long.

    Args:
        looker: makes the looks.
        interval_s: between two.

    Attributes:
        news: becomes readable when there is something new; a file descriptor.
    """

    def __init__(self, looker: Looker, interval_s: float) -> None:
        self._looker = looker
        self._interval_s = interval_s
        self._wanted = threading.Event()
        self._ended = False
        self._lock = threading.Lock()
        self._view = TopView("overview")
        self._seen: TopLook | None = None
        self.is_paused = False
        self.news, self._bell = os.pipe()
        self._thread = threading.Thread(target=self._run, name="top", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def want(self, view: TopView, *, is_paused: bool) -> None:
        """Look at that from now on, and at once if it is something else; a paused one looks at nothing twice."""
        with self._lock:
            is_other, self._view = view != self._view, view
            is_over = self.is_paused and not is_paused
            self.is_paused = is_paused
        if is_other or is_over:
            self._wanted.set()

    def seen(self) -> TopLook | None:
        """The newest; None: there is none yet."""
        return self._seen

    def close(self) -> None:
        """Stop looking. A call that is under way is left alone."""
        self._ended = True
        self._wanted.set()

    def _run(self) -> None:
        while not self._ended:
            self._wanted.clear()  # before the look: what is wanted meanwhile is looked at next
            with self._lock:
                view = self._view
            if not self.is_paused or self._seen is None or self._seen.view != view:
                self._seen = self._looker.look(view, self._seen)
                with suppress(OSError):
                    os.write(self._bell, b".")
            self._wanted.wait(self._interval_s)


def looked_twice(looker: Looker, wait: Callable[[], None]) -> TopLook:
    """Two looks, since rates are what happened in between."""
    view = TopView("overview")
    first = looker.look(view, None)
    if first.facts is None:
        return first
    wait()
    return looker.look(view, first)
