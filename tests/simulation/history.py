"""Notes what was seen from outside during a run: the clients' calls, the receivers' journal, the node's ups and downs.

Everything is stamped from one counter, so that "before" and "after" are exact even within one millisecond.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hookline.client.replies import surely_refused
from hookline.errors import HooklineError, by_code
from hookline.protocol.codec import Entry

NEVER = 2**62
_BY_CODE = by_code()
_CLIENT_ERRORS = range(400, 500)


@dataclass(slots=True)
class Call:
    """A client's call, by however many tries. ``unknown``: it may or may not have been accepted. ``fail``: surely not.

    Attributes:
        tries: the code of each try's error; empty for one that was answered.
        answer: the reply; of a list the pages that came.
        tenant: of the client.
    """

    number: int
    kind: str
    target: str | None
    arguments: dict[str, Any]
    began: int
    began_ms: int
    ended: int = NEVER
    outcome: str = "unknown"
    tries: list[str] = field(default_factory=list)
    error: HooklineError | None = None
    answer: Any = None
    tenant: str = ""

    @property
    def code(self) -> str | None:
        """Of the error that it ended in."""
        return None if self.error is None else self.error.code

    @property
    def is_ok(self) -> bool:
        return self.outcome == "ok"

    @property
    def acknowledged(self) -> list[str]:
        """The jobs whose creation it acknowledged."""
        if not self.is_ok or self.kind not in ("create", "run_schedule", "batch"):
            return []
        if self.kind == "batch":
            return [result.job.id for result in self.answer.results if result.job is not None]
        return [self.answer.id]

    @property
    def may_have_worked(self) -> bool:
        return self.outcome != "fail"

    def may_act_after(self, at: int) -> bool:
        """It had not ended then; or nobody learned what came of it, and a paused node may have held it back."""
        return self.outcome == "unknown" or self.ended > at


def is_refusal(code: str) -> bool:
    """A try that was told this was surely not accepted."""
    error = _BY_CODE.get(code, HooklineError)()
    return bool(code) and (surely_refused(error) or error.http_status in _CLIENT_ERRORS)


@dataclass(slots=True)
class Arrival:
    """A request at a receiver, written before it is answered."""

    at: int
    time_ms: int
    job: str
    attempt: int
    term: int
    url: str
    body: bytes
    true_s: float  # since the run began, whatever wall clocks say
    process: str = ""  # which one sent it, where there are several
    result: str | None = None  # what the node was told, if it was told
    retry_after_s: int = 0
    answered_ms: int = 0

    @property
    def is_from_elsewhere(self) -> bool:
        """A worker or an attempt process sent it."""
        return self.process.startswith("w") or "~" in self.process


@dataclass(slots=True)
class Serving:
    """A stretch in which the node served and its wall clock ran evenly, by that clock."""

    from_at: int
    from_ms: int
    sure_after_ms: int  # for how long it may not have looked at what is due
    until_at: int = NEVER
    until_ms: int = NEVER


@dataclass(slots=True)
class Journal:
    """The lines of a run, in order; ``now_s`` stamps them."""

    now_s: Callable[[], float]
    lines: list[str] = field(default_factory=list)

    def note(self, text: str) -> int:
        """Write a line; returns its stamp."""
        stamp = len(self.lines) + 1
        self.lines.append(f"{stamp:6} {self.now_s():12.4f} {text}")
        return stamp


@dataclass(slots=True)
class History:
    """Holds what befell one cluster, or the clients before several. There is one journal for all.

    Attributes:
        name: stands before its lines, where there are several.
    """

    journal: Journal
    name: str = ""
    calls: list[Call] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    serving: list[Serving] = field(default_factory=list)
    entries: list[tuple[int, Entry]] = field(default_factory=list)  # what the log holds, and when it was written
    overruled: dict[int, int] = field(default_factory=dict)  # terms of an odd one out, and from which entry on
    steps_back: list[tuple[int, int]] = field(default_factory=list)  # (when, by how much the wall clock went back)
    complaints: list[str] = field(default_factory=list)  # what should never be logged

    def now_s(self) -> float:
        """Since the run began."""
        return self.journal.now_s()

    def note(self, text: str) -> int:
        """Write a line into the journal; returns its stamp."""
        return self.journal.note(self.name + text)

    def about(self, job: str, *kinds: str) -> list[Call]:
        """The calls of these kinds that named a job and may have had an effect."""
        return [call for call in self.calls if call.target == job and call.kind in kinds and call.may_have_worked]
