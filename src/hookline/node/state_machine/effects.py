"""The effects of an entry on the running leader; followers ignore them, a new leader reads them from the state."""

from dataclasses import dataclass, field
from typing import NamedTuple

from hookline.protocol.commands import CreateJob, Result
from hookline.protocol.jobs import State


class Ended(NamedTuple):
    """A job that nobody tries again, because the node was lost that tried it: it is dead or unknown."""

    seq: int
    attempt: int
    state: State
    error: str


class ChangedDestination(NamedTuple):
    """A destination whose settings changed; ``number`` is the one in its lanes."""

    number: int
    tenant: str
    name: str


@dataclass(slots=True)
class Effects:
    """Filled while an entry is applied, handed out after it is committed."""

    due: list[tuple[int, int, int]] = field(default_factory=list)  # (lane, due_ms, seq) that became pending
    # (seq, lane, created_ms, its command) of new jobs
    created: list[tuple[int, int, int, CreateJob]] = field(default_factory=list)
    aborted: list[int] = field(default_factory=list)  # seqs cancelled while an attempt was under way
    destinations: list[ChangedDestination] = field(default_factory=list)
    tenants: list[str] = field(default_factory=list)  # whose settings changed
    lost: list[tuple[int, int]] = field(default_factory=list)  # claims (seq, attempt) that nobody waits for any more
    ended: list[Ended] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)  # of the entry's commands so far
    schedules_changed: bool = False
    mode_changed: bool = False
    topology_changed: bool = False
