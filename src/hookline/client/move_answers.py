"""The service's answers about changes of the topology, as the SDK returns them. Pure; see ``answers``."""

from typing import Any

from msgspec import field

from hookline.client.answers import Answered
from hookline.protocol import http_moves
from hookline.protocol.http_moves import MoveState


class PairStatus(Answered, http_moves.PairStatus, frozen=True):
    """Jobs and schedules on their way from one cluster to another. ``counting``: what is left is not known yet."""


class TopologyStatus(Answered, frozen=True):
    """How far the change that is under way is; ``stable``: there is none.

    ``longest_freeze_ms``: for how long anything that moved counted nowhere. ``jobs_per_s``: how fast they moved in the
    last seconds; ``seconds_left`` by that, None while nobody knows. ``waits_for``: what holds it up; each text names
    its cluster. ``unreachable``: clusters that do not say how far they are. ``can_be_switched_off``: clusters that this
    proxy has seen going and that have handed everything over.
    """

    epoch: int
    state: MoveState
    pairs: list[PairStatus] = field(default_factory=list)
    longest_freeze_ms: int = 0
    jobs_per_s: float = 0
    seconds_left: int | None = None
    waits_for: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)
    can_be_switched_off: list[str] = field(default_factory=list)


class PairPlan(Answered, http_moves.PairPlan, frozen=True):
    """A pair of clusters, and what a change would move from the one to the other.

    ``share``: of all ids and keys that clients choose. ``jobs``: those that are not finished, and what else moves of a
    cluster that leaves; ``bytes`` of their payloads. All three are None when the first cluster does not say.
    """


class ClusterShare(Answered, http_moves.ClusterShare, frozen=True):
    """The share of ids and keys whose home a cluster is, and what it has now; None: it does not say."""


class PlanProblem(Answered, http_moves.PlanProblem, frozen=True):
    """A reason why the document would be refused, as the error would say it."""


class TopologyPlan(Answered, frozen=True):
    """The effects of a document that is not in force.

    ``seconds`` is how long the slowest cluster takes at ``jobs_per_s``; ``is_measured``: so many moved lately, else it
    is assumed. ``unreachable``: clusters whose jobs are not counted.
    """

    epoch: int
    share: float
    pairs: list[PairPlan]
    clusters: list[ClusterShare]
    jobs: int
    schedules: int
    bytes: int
    seconds: int
    jobs_per_s: float
    is_measured: bool
    problems: list[PlanProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)


class ClusterLoad(Answered, http_moves.ClusterLoad, frozen=True):
    """The work of a cluster, and the weight it should have.

    Measured in the ``seconds`` of the answer: attempts and creates a second, and the mean lag of due jobs. Of the end:
    slots in use, jobs pending. ``load`` is attempts a second, or creates where more come than are attempted.
    """


class TopologyBalance(Answered, frozen=True):
    """Weights by which clusters would do the same work; ``proposal`` is the whole document, None: leave it as it is.

    ``share``: of ids and keys that would move by it. ``notes``: why, or why not.
    """

    epoch: int
    seconds: float
    clusters: list[ClusterLoad]
    share: float = 0
    proposal: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
