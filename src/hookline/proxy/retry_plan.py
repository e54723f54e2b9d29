"""Decides the next step after each try of a call on one cluster. Pure: callers report what happened and when.

Two rules carry promise 5: once a try may have reached a node, the call is never said to be "surely not accepted";
and a call that is not repeatable is then not sent again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

PAUSE_MS = 50  # before all nodes are asked again; doubles
PAUSE_MAX_MS = 1_600
ROUNDS_MAX = 4  # over all nodes, of a call that surely was not accepted: with the pauses, 350 ms
_WORTH_MS = 5  # less time than this is none


@dataclass(slots=True)
class Budget:
    """How many tries a request has left, over all clusters."""

    left: int


@dataclass(frozen=True, slots=True)
class Send:
    """Send the call to this node and wait that long."""

    url: str
    timeout_ms: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait that long, then ask for the next step."""

    ms: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Make no more tries. ``may_be_accepted``: a node may have taken the call."""

    may_be_accepted: bool


Step = Send | Pause | GiveUp


@dataclass(slots=True)
class RetryPlan:
    """The tries of one call on one cluster. Ask ``next``, do it, say how it ended; times of one clock.

    Attributes:
        nodes: their urls, in the order to ask them.
        is_repeatable: sending the call twice has the effect of sending it once.
        deadline_ms: when the caller stops waiting.
        try_timeout_ms: so that a silent node does not eat all the time of a repeatable call.
        budget: shared by all clusters of a request.
        rounds_max: over all nodes, of a call that surely was not accepted.
        is_ambiguous: a try may have been accepted.
    """

    nodes: Sequence[str]
    is_repeatable: bool
    deadline_ms: float
    try_timeout_ms: float
    budget: Budget
    rounds_max: int = ROUNDS_MAX
    is_ambiguous: bool = False
    _position: int = 0
    _rounds: int = 0

    def next(self, now_ms: float) -> Step:
        """The next step."""
        remaining_ms = self.deadline_ms - now_ms
        if remaining_ms < _WORTH_MS or self.budget.left <= 0 or (self.is_ambiguous and not self.is_repeatable):
            return GiveUp(self.is_ambiguous)
        if self._position >= len(self.nodes):
            return self._next_round(remaining_ms)
        self.budget.left -= 1
        timeout_ms = min(remaining_ms, self.try_timeout_ms) if self.is_repeatable else remaining_ms
        return Send(self.nodes[self._position], timeout_ms)

    def not_accepted(self) -> None:
        """That try surely was not accepted: go on with the next node."""
        self._position += 1

    def ambiguous(self) -> None:
        """That try may have been accepted."""
        self.is_ambiguous = True
        self._position += 1

    def _next_round(self, remaining_ms: float) -> Step:
        self._rounds += 1
        if self._rounds >= self.rounds_max and not self.is_ambiguous:
            return GiveUp(may_be_accepted=False)
        self._position = 0
        pause_ms = min(PAUSE_MS << min(self._rounds - 1, 20), PAUSE_MAX_MS)
        return Pause(min(pause_ms, remaining_ms))
