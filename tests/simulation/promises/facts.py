"""Gathers the facts that promises are checked against: what was seen of a cluster, and what its log came to."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hookline.protocol import commands as c
from tests.simulation.history import NEVER, Arrival, Call, History
from tests.simulation.promises.reading import Made, known_since
from tests.simulation.replay import Replay

CHANGES = ("update", "run", "retry")


@dataclass(slots=True)
class Facts:
    """Of one cluster and its clients.

    Attributes:
        is_alone: one node is the whole cluster: nobody else can send for it, and its clock is the only one.
        kind: of trouble.
        slack_ms: how far a wall clock can move between a call and the stamp of its entry.
        jumped_ms: by how much wall clocks were set, in all, where there are several.
        now_ms: the time as nodes knew it at most, at a moment in s since the run began; ``early_ms`` the tolerance.
        deaths: of processes, by name: when they ended.
        state_files: by node.
    """

    history: History
    found: Replay
    shard: int
    slots: int
    is_alone: bool
    kind: str
    slack_ms: int
    jumped_ms: int
    now_ms: Callable[[float], float]
    early_ms: int
    deaths: Mapping[str, int]
    state_files: Mapping[str, Path]
    by_job: dict[str, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    bulk_retries: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        for arrival in self.history.arrivals:
            self.by_job[arrival.job].append(arrival)
        self.bulk_retries = [call for call in self.history.calls if call.kind == "bulk_retry" and call.may_have_worked]

    @property
    def calls(self) -> list[Call]:
        return self.history.calls

    @property
    def known(self) -> dict[str, dict[str, int]]:
        """When each job and schedule was acknowledged first."""
        return known_since(self.calls)

    @property
    def made(self) -> list[Made]:
        """All jobs there are."""
        return [Made(self.history.name, job, row["created_ms"]) for job, row in self.found.jobs.items()]

    def retries(self, job: str) -> list[Call]:
        """The calls that may have let it be delivered once more."""
        return self.history.about(job, "retry") + self.bulk_retries

    def is_moved(self, job: str) -> bool:
        """Someone may have moved its time."""
        return bool(self.history.about(job, *CHANGES)) or bool(self.bulk_retries)

    def is_cancelled(self, job: str) -> bool:
        """Its claim may have been closed by a cancel."""
        return bool(self.history.about(job, "cancel")) or any(call.kind == "bulk_cancel" for call in self.history.calls)

    def begins(self) -> Iterator[tuple[int, int]]:
        """(when, term) of each term."""
        for at, entry in self.history.entries:
            if any(isinstance(command, c.BeginTerm) for command in entry.commands):
                yield at, entry.term


def overlap(call: Call, start: int, end: int) -> bool:
    """The call may have taken effect between the two stamps."""
    return call.began < end and (call.ended if call.outcome == "ok" else NEVER) > start
