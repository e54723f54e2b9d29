"""Decides when the SDK tries a call again, and how long it waits. The clients carry it out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hookline.client.replies import surely_refused
from hookline.client.requests import Request
from hookline.clock import Clock
from hookline.errors import DeadlineExceeded, HooklineError, InvalidConfig

RETRIES = 3
FIRST_WAIT_S = 0.1
WAIT_S_MAX = 5.0
POLL_S_MIN, POLL_S_MAX = 0.05, 1.0


class Waited(Protocol):
    """A job, as far as waiting for it goes."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def state(self) -> str:
        """Its state."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """Up to ``retries`` more tries of a call; no single wait is longer than ``timeout_s``."""

    retries: int
    timeout_s: float
    clock: Clock

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise InvalidConfig(f"retries is {self.retries}; it must be 0 or more", field="retries")
        if not 0 < self.timeout_s <= 3_600:
            raise InvalidConfig(f"timeout is {self.timeout_s} s; it must be between 0 and 3600", field="timeout")

    def deadline(self) -> Callable[[], float]:
        """For a try that begins now: what tells the seconds that are left of it."""
        end_ms = self.clock.boot_ms() + self.timeout_s * 1_000
        return lambda: (end_ms - self.clock.boot_ms()) / 1_000

    def wait_s(self, request: Request[Any], error: HooklineError, tries: int) -> float | None:
        """Seconds to wait before the next try, None to give up; ``tries`` were made, the last ended in ``error``.

        A call that was surely not accepted may always be sent again. One that may have been is sent again only if
        that does no harm: with the same id or key, or because it changes nothing. Full jitter (Brooker, "Exponential
        Backoff and Jitter", 2015) on the SDK's own waits; on top of a Retry-After, which is never cut short.
        """
        if tries > self.retries or not error.retryable or not (request.is_repeatable or surely_refused(error)):
            return None
        backoff = self.clock.random() * min(FIRST_WAIT_S * 2.0 ** min(tries - 1, 30), WAIT_S_MAX)
        if error.retry_after_s is None:
            return min(backoff, self.timeout_s)
        if error.retry_after_s > self.timeout_s:
            return None
        return error.retry_after_s + min(backoff, 1.0)


def poll_s(polls: int) -> float:
    """Seconds between the polls of a job that is waited for: 50 ms growing to one second."""
    return min(POLL_S_MIN * 1.5 ** min(polls, 20), POLL_S_MAX)


def check_wait(job: Waited, wait_s: float, left_s: float) -> float:
    """How long to sleep before the next poll, if the ``left_s`` seconds of the caller's patience are not over.

    Raises:
        DeadlineExceeded: they are; the job itself goes on.
    """
    if left_s <= 0:
        raise DeadlineExceeded(f"Job {job.id} is still {job.state}; it goes on, only the waiting for it ends here.")
    return min(wait_s, left_s)
