"""Decides whether and when a job is tried again after an attempt. Pure."""

from typing import NamedTuple

from hookline.protocol.claims import Trouble
from hookline.protocol.jobs import JobSpec, Outcome, RetryPolicy, State

_NAMES: dict[int | Trouble, str] = {"connection": "a failed connection", "timeout": "a time-out"}


def is_retried(policy: RetryPolicy, what: int | Trouble) -> bool:
    """Whether a failure with this status, or for want of an answer, may be tried again; a status beats its class."""
    words = (what,) if isinstance(what, str) else (str(what), f"{what // 100}xx")
    for word in words:
        if word in policy.not_retried:
            return False
        if word in policy.retried:
            return True
    return False


def wait_ms(policy: RetryPolicy, tries: int, chance: float) -> int:
    """How long to wait after ``tries`` tries: the listed wait, or full jitter up to the exponential bound.

    Source of full jitter: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    if policy.schedule_ms:
        return policy.schedule_ms[min(tries, len(policy.schedule_ms)) - 1]
    bound = float(policy.max_ms)
    if tries < 64:
        bound = min(bound, policy.initial_ms * (policy.factor_milli / 1_000) ** (tries - 1))
    return int(bound * chance)


class Next(NamedTuple):
    """The next state of the job: pending again at ``retry_at_ms``, or finished as ``state``."""

    state: State
    retry_at_ms: int | None
    note: str | None = None


def judge(
    policy: RetryPolicy, outcome: Outcome, status: int | None, trouble: Trouble | None
) -> tuple[Outcome, str | None]:
    """The outcome under this policy, and a word on it if it is the policy that makes a failure permanent."""
    what = trouble if status is None else status
    if outcome is not Outcome.RETRYABLE_FAILURE or what is None or is_retried(policy, what):
        return outcome, None
    return Outcome.PERMANENT_FAILURE, f"{_NAMES.get(what, f'HTTP {what}')} is not tried again under the retry policy"


def decide(
    spec: JobSpec,
    outcome: Outcome,
    *,
    policy: RetryPolicy,
    sent: bool,
    tries: int,
    budget_from_ms: int,
    now_ms: int,
    retry_after_ms: int | None,
    chance: float,
) -> Next:
    """Decide what follows an attempt.

    Args:
        spec: the job.
        outcome: of the attempt, under its policy.
        policy: the one in force for it.
        sent: the request left, or may have; an at-most-once job is then never tried again.
        tries: attempts since the job was accepted or redriven, this one included.
        budget_from_ms: where the retry budget counts from.
        now_ms: the wall clock.
        retry_after_ms: what the receiver asked for.
        chance: in [0, 1), for jitter.
    """
    if outcome is Outcome.SUCCESS:
        return Next(State.SUCCEEDED, None)
    if outcome is Outcome.PERMANENT_FAILURE:
        return Next(State.DEAD, None)
    if spec.at_most_once and sent:
        state = State.UNKNOWN if outcome is Outcome.UNKNOWN else State.DEAD
        return Next(state, None, "an at-most-once job is not sent a second time")
    if tries >= policy.max_attempts:
        return Next(State.DEAD, None, f"all {policy.max_attempts} attempts are used up")
    at_ms = now_ms + max(wait_ms(policy, tries, chance), retry_after_ms or 0)
    if policy.budget_ms is not None and at_ms > budget_from_ms + policy.budget_ms:
        return Next(State.DEAD, None, "the retry budget is used up")
    return Next(State.PENDING, at_ms)
