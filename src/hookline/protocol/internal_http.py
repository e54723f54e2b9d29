"""The bodies that proxies and nodes exchange beside the API: docs/reference/internal-http.md. Pure."""

from typing import Literal

from msgspec import Struct

from hookline.protocol.jobs import DEFAULT_TENANT

MESSAGEPACK = b"application/msgpack"


class GatheredCreate(Struct, frozen=True, array_like=True):
    """One ``POST /jobs`` that travels with others. ``headers`` are its own, as they would be if it travelled alone."""

    body: bytes
    headers: list[tuple[bytes, bytes]]


class GatheredAnswer(Struct, frozen=True, array_like=True):
    """The answer to one of them; headers that all answers of the node carry are left out."""

    status: int
    body: bytes
    content_type: bytes
    headers: tuple[tuple[bytes, bytes], ...]


class AbsenceRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A proxy asks the former home of an id or a key of that tenant: is it there?"""

    id: str | None = None
    key: str | None = None
    kind: Literal["job", "schedule"] = "job"
    tenant: str = DEFAULT_TENANT


class Absence(Struct, frozen=True, omit_defaults=True):
    """``absent``: it is not, and nothing under this epoch will make it be. Else ``id`` is what is there."""

    absent: bool
    id: str | None = None


class DestinationsPage(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Settings of destinations on their way to a cluster that is new in the topology of ``epoch``.

    ``data``: (tenant, name, settings as they are stored, with secrets still sealed). ``next``: where the next page
    begins, of the cluster that gave this one; None: there is no more. ``tenants``: in the first page, all that is set
    for tenants, (tenant, settings as they are stored).
    """

    epoch: int
    data: list[tuple[str, str, bytes]]
    next: str | None = None
    tenants: list[tuple[str, bytes]] = []


class Arrived(Struct, frozen=True, array_like=True):
    """A batch was kept.

    Attributes:
        counted: the number of the newest batch of its source that counts here.
        delivers: this cluster makes attempts, now or within a second: the next batch leaves room for them.
    """

    counted: int
    delivers: bool = False


class MovedPair(Struct, frozen=True):
    """The way from the cluster that answers to the cluster ``to``; ``None``: that is still being counted."""

    to: str
    jobs_moved: int
    jobs_left: int | None
    schedules_moved: int
    schedules_left: int | None


class ClusterMoves(Struct, frozen=True):
    """How far a cluster is with what has to move out of it, by the topology of ``epoch``.

    Attributes:
        cluster: its name.
        digest: of that topology.
        is_done: nothing is left.
        has_left: it is not in the topology any more, and begins nothing.
        longest_freeze_ms: for how long something counted nowhere.
        jobs_per_s: at which jobs moved lately.
        waits_for: why the rest does not move now, in words.
    """

    cluster: str
    epoch: int
    digest: str
    is_done: bool
    has_left: bool
    longest_freeze_ms: int
    jobs_per_s: float
    waits_for: str
    pairs: list[MovedPair]


class PlannedPair(Struct, frozen=True):
    """The way that would lead from the cluster that answers to ``to``; ``bytes``: of the jobs' payloads."""

    to: str
    jobs: int
    schedules: int
    bytes: int


class ClusterPlan(Struct, frozen=True):
    """The ways out of a cluster by a topology that is not in force, beside all there is.

    ``forgotten``: finished jobs with ids that clients chose, which go with the cluster when it is taken out.
    """

    cluster: str
    pending: int
    schedules: int
    pairs: list[PlannedPair]
    forgotten: int = 0
