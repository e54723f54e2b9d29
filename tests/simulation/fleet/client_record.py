"""What the clients of a simulated world were told, as far as the checker needs it. Stamps come from the history."""

from dataclasses import dataclass, field
from typing import Literal

from hookline.client.replies import surely_refused
from hookline.errors import HooklineError, by_code
from tests.simulation.history import NEVER

Verdict = Literal["made", "refused", "unclear"]
"""Of one try: it was acknowledged, it surely was not accepted, or neither is known."""

_CLIENT_ERRORS = range(400, 500)
_SAID = frozenset(
    {
        "all_clusters_unavailable",
        "cluster_unavailable",
        "connection_failed",
        "deadline_exceeded",
        "idempotency_mismatch",
        "job_finished",
        "queue_full",
        "schedule_exists",
    }
)
"""The codes that clients of a proxy may meet here. All others are between proxies and nodes, or mistakes."""


def verdict_of(error: HooklineError) -> Verdict:
    """What an error says about whether the call was accepted."""
    if surely_refused(error) or error.http_status in _CLIENT_ERRORS:
        return "refused"
    return "unclear"


def error_of(code: str) -> HooklineError:
    """The error of that code, as a batch names it."""
    return by_code().get(code, HooklineError)()


@dataclass(slots=True)
class Creation:
    """One thing that was to be created, by however many tries.

    Attributes:
        marker: what is created once, whoever asks for it: equal requests have the same one.
        may_double: the client allowed that another cluster than the home takes it.
        acknowledged: the ids that were answered, and when.
    """

    kind: Literal["job", "schedule"]
    marker: str
    id: str | None
    key: str | None
    label: str | None
    began: int
    may_double: bool = False
    verdicts: list[Verdict] = field(default_factory=list)
    acknowledged: list[tuple[str, int]] = field(default_factory=list)


@dataclass(slots=True)
class Reading:
    """A job or schedule was read, or cancelled. ``code``: of the error; empty when it was answered."""

    what: Literal["read", "cancel", "schedule"]
    id: str
    began: int
    ended: int = NEVER
    code: str = ""
    url: str = ""
    state: str = ""


@dataclass(slots=True)
class Cancelling:
    """All jobs with a label were cancelled, by an answer that left nothing out."""

    label: str
    began: int
    ended: int


@dataclass(slots=True)
class Page:
    """One page of a list: (created_at, id) of its jobs."""

    jobs: list[tuple[str, str]]
    incomplete: list[str]
    has_more: bool


@dataclass(slots=True)
class Listing:
    """A walk through all pages, as far as it got."""

    began: int
    pages: list[Page] = field(default_factory=list)


@dataclass(slots=True)
class ClientRecord:
    """All of a run."""

    creations: list[Creation] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    cancellings: list[Cancelling] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    paused: int | None = None  # since when a destination is, for good
    wrong: list[str] = field(default_factory=list)  # what a client saw at once

    def acknowledged(self, kind: Literal["job", "schedule"] = "job") -> dict[str, tuple[int, str]]:
        """By id: when it was acknowledged first, and its marker."""
        found: dict[str, tuple[int, str]] = {}
        for creation in self.creations:
            for one, stamp in creation.acknowledged:
                if creation.kind == kind and (one not in found or stamp < found[one][0]):
                    found[one] = (stamp, creation.marker)
        return found

    def said(self, code: str, what: str) -> None:
        """A client was told that."""
        if code and code not in _SAID:
            self.wrong.append(f"{what} was told {code}")
