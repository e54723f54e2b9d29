"""The options that say what a job is, shared by the commands that make, change and retry jobs and schedules."""

from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Group, Parameter

from hookline.cli import inputs
from hookline.cli.parameters import Flag, Texts


@Parameter(name="*", group=Group("Retries"))
@dataclass(frozen=True, kw_only=True)
class RetryOptions:
    """When to try again, and after what.

    Attributes:
        retry_max: How many attempts at most.
        retry_initial: Wait after the first failure; the waits grow from there, with full jitter.
        retry_factor: How much longer each wait is than the one before.
        retry_max_wait: The longest wait.
        retry_schedule: The waits themselves, such as 1s,10s,5m, instead of growing ones.
        retry_budget: Stop retrying after this much time in all.
        retry_on: All that is tried again, such as 404,5xx,connection,timeout.
        retry_not_on: What is not tried again, such as 401,3xx.
    """

    retry_max: int | None = None
    retry_initial: str | None = None
    retry_factor: float | None = None
    retry_max_wait: str | None = None
    retry_schedule: str | None = None
    retry_budget: str | None = None
    retry_on: str | None = None
    retry_not_on: str | None = None

    def fields(self) -> dict[str, Any]:
        """The SDK's ``retry``; empty if nothing was given."""
        waits = {"initial": self.retry_initial, "max": self.retry_max_wait, "budget": self.retry_budget}
        schedule = None if self.retry_schedule is None else inputs.comma_list(self.retry_schedule)
        return inputs.given(
            max_attempts=self.retry_max,
            factor=self.retry_factor,
            schedule=None if schedule is None else [inputs.duration_or_seconds(wait) for wait in schedule],
            on=None if self.retry_on is None else inputs.comma_list(self.retry_on),
            not_on=None if self.retry_not_on is None else inputs.comma_list(self.retry_not_on),
            **{name: None if wait is None else inputs.duration_or_seconds(wait) for name, wait in waits.items()},
        )


NO_RETRY_OPTIONS = RetryOptions()


@Parameter(name="*", group=Group("The job"))
@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """The content of the job.

    Attributes:
        method: HTTP method, POST if not given.
        data: JSON to send: the text itself, @FILE, or - for stdin.
        body: Other bytes to send: the text itself, @FILE, or - for stdin.
        header: A header as name:value; may be repeated.
        redact: What is never shown: payload, response_body or a header (Authorization is not, anyway); may be repeated.
        timeout: How long one attempt may take, such as 10s.
        at_most_once: Never send a second request, even if it is not known what became of the first.
        priority: From -100 to 100; higher goes first at the same destination.
        label: name or name=value; may be repeated.
        secret: Sign with this whsec_ or whsk_ secret.
    """

    method: Annotated[str | None, Parameter(name=["--method", "-X"])] = None
    data: Annotated[str | None, Parameter(name=["--data", "-d"], allow_leading_hyphen=True)] = None
    body: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None
    header: Annotated[Texts, Parameter(name=["--header", "-H"], allow_leading_hyphen=True)] = None
    redact: Texts = None
    timeout: str | None = None
    retry: RetryOptions = NO_RETRY_OPTIONS
    at_most_once: Flag = False
    priority: Annotated[int | None, Parameter(allow_leading_hyphen=True)] = None
    label: Annotated[Texts, Parameter(name=["--label", "-l"], allow_leading_hyphen=True)] = None
    secret: Annotated[str | None, Parameter(env_var="HOOKLINE_JOB_SECRET")] = None

    def fields(self) -> Any:
        """The SDK's fields."""
        return inputs.given(
            method=self.method,
            payload=None if self.data is None else inputs.json_payload(self.data),
            body=None if self.body is None else inputs.read_source(self.body),
            headers=None if self.header is None else inputs.headers(self.header),
            redact=self.redact,
            timeout=None if self.timeout is None else inputs.duration_or_seconds(self.timeout),
            retry=self.retry.fields() or None,
            guarantee="at_most_once" if self.at_most_once else None,
            priority=self.priority,
            labels=None if self.label is None else inputs.labels(self.label),
            secret=self.secret,
        )


NO_JOB_OPTIONS = JobOptions()
