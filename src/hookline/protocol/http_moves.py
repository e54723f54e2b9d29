"""The shapes of changes of the topology, as users see them: what a change would move, and how far it is."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

MoveState = Literal["stable", "moving", "paused", "aborting"]


class PairStatus(Struct, frozen=True, rename={"source": "from", "target": "to"}):
    """Jobs and schedules on their way from one cluster to another. ``counting``: what is left is not known yet."""

    source: str
    target: str
    jobs_moved: int
    jobs_left: int
    schedules_moved: int
    schedules_left: int
    counting: bool = False


class TopologyStatus(Struct, frozen=True):
    """How far the change that is under way is; ``stable``: there is none.

    ``longest_freeze_ms``: for how long anything that moved counted nowhere. ``jobs_per_s``: how fast they moved in the
    last seconds; ``seconds_left`` by that, None while nobody knows. ``waits_for``: what holds it up; each text names
    its cluster. ``unreachable``: clusters that do not say how far they are. ``can_be_switched_off``: clusters that this
    proxy has seen going and that have handed everything over.
    """

    epoch: int
    state: MoveState
    pairs: list[PairStatus] = []
    longest_freeze_ms: int = 0
    jobs_per_s: float = 0
    seconds_left: int | None = None
    waits_for: list[str] = []
    unreachable: list[str] = []
    can_be_switched_off: list[str] = []


class MovePace(Struct, frozen=True, forbid_unknown_fields=True):
    """``rate``: jobs a second out of each cluster at most; null: as many as deliveries leave room for."""

    rate: int | UnsetType | None = UNSET


class PairPlan(Struct, frozen=True, rename={"source": "from", "target": "to"}):
    """A pair of clusters, and what a change would move from the one to the other.

    ``share``: of all ids and keys that clients choose. ``jobs``: those that are not finished, and what else moves of a
    cluster that leaves; ``bytes`` of their payloads. All three are None when the first cluster does not say.
    """

    source: str
    target: str
    share: float
    jobs: int | None
    schedules: int | None
    bytes: int | None


class ClusterShare(Struct, frozen=True):
    """The share of ids and keys whose home a cluster is, and what it has now; None: it does not say."""

    name: str
    share_before: float
    share_after: float
    pending: int | None
    schedules: int | None


class PlanProblem(Struct, frozen=True):
    """A reason why the document would be refused, as the error would say it."""

    code: str
    detail: str


class TopologyPlan(Struct, frozen=True):
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
    problems: list[PlanProblem] = []
    notes: list[str] = []
    unreachable: list[str] = []


class ClusterLoad(Struct, frozen=True):
    """The work of a cluster, and the weight it should have.

    Measured in the ``seconds`` of the answer: attempts and creates a second, and the mean lag of due jobs. Of the end:
    slots in use, jobs pending. ``load`` is attempts a second, or creates where more come than are attempted.
    """

    name: str
    weight: int
    weight_proposed: int
    load: float
    load_expected: float
    attempts_per_s: float
    creates_per_s: float
    lag_ms: float
    slots_used: int
    slots_max: int
    pending: int


class TopologyBalance(Struct, frozen=True):
    """Weights by which clusters would do the same work; ``proposal`` is the whole document, None: leave it as it is.

    ``share``: of ids and keys that would move by it. ``notes``: why, or why not.
    """

    epoch: int
    seconds: float
    clusters: list[ClusterLoad]
    share: float = 0
    proposal: dict[str, Any] | None = None
    notes: list[str] = []
