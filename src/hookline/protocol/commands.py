"""The commands that a log entry carries, and what applying each answers. All state changes are one of these.

They are array-like MessagePack with a numeric tag: small on the wire, and a field may be added at the end with a
default. Never reorder, retype or reuse a tag: entries of earlier releases are read again.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from hookline.protocol.jobs import Work
from hookline.protocol.modes import Mode


class Command(msgspec.Struct, frozen=True, array_like=True):
    """The root of all commands."""


class BeginTerm(Command, frozen=True, array_like=True, tag=1):
    """A new leader begins; open claims are lost whose owner is proven dead.

    Those are the owners in ``dead``, and earlier processes on the data directory of ``owner``, the new leader's. All
    other claims stay open until their report comes, or until ``ExpireClaims``.
    """

    owner: str
    dead: tuple[str, ...] = ()


class CreateJob(Command, frozen=True, array_like=True, tag=2):
    """Accept a job. ``fingerprint`` tells an equal repeat from another body under the same id or key."""

    id: str
    due_ms: int
    work: Work
    fingerprint: bytes = b""
    key: str | None = None
    key_expires_ms: int = 0
    id_is_chosen: bool = False


class ClaimJobs(Command, frozen=True, array_like=True, tag=3):
    """Attempts are about to be made at these jobs; ``due_ms`` guards against a job that moved meanwhile.

    None begins after ``begun_by_ms``, so a claim ends as much later as its job's attempts may take. ``owner``: the
    process that makes them, see ``protocol.owners``.
    """

    claims: tuple[tuple[int, int], ...]  # (seq, due_ms)
    begun_by_ms: int
    owner: str


class RecordOutcome(Command, frozen=True, array_like=True, tag=4):
    """One attempt ended. ``retry_at_ms`` None: the job is finished as ``state``.

    ``is_free``: it ended for a reason of the node's own, so it does not count against the job's attempts.
    """

    seq: int
    attempt: int
    outcome: int
    state: int
    retry_at_ms: int | None
    status: int | None
    error: str | None
    started_ms: int
    duration_ms: int
    response_headers: tuple[tuple[str, str], ...] = ()
    response_body: bytes = b""
    node: str = ""
    term: int = 0  # of the claim
    is_free: bool = False


class CancelJobs(Command, frozen=True, array_like=True, tag=5):
    """Cancel the jobs that are pending or running."""

    seqs: tuple[int, ...]


class UpdateJob(Command, frozen=True, array_like=True, tag=6):
    """Replace the work and due time of a pending job, if it is still at ``revision``."""

    seq: int
    revision: int
    due_ms: int
    work: Work


class RedriveJobs(Command, frozen=True, array_like=True, tag=7):
    """Make finished jobs pending again with a fresh budget ("redrive")."""

    seqs: tuple[int, ...]
    due_ms: int


KEEP_TICK = -1
"""As ``PutSchedule.next_tick_ms``: as it is when the command is applied, so that a tick in between is not undone."""


class PutSchedule(Command, frozen=True, array_like=True, tag=8):
    """Create (``revision`` 0) or replace (at ``revision``) a schedule; next_tick_ms None: it has no more ticks.

    ``work``: of each job that it makes.
    """

    id: str
    revision: int
    spec: bytes
    work: Work
    next_tick_ms: int | None
    skip_overlap: bool
    paused: bool = False


class DeleteSchedule(Command, frozen=True, array_like=True, tag=9):
    """Remove a schedule; jobs it made stay."""

    tenant: str
    id: str


NO_TICK = -1
"""As ``RecordTicks.expected_ms``: the schedule has no more ticks, as it seemed to a clock that was ahead."""


class RecordTicks(Command, frozen=True, array_like=True, tag=10):
    """A schedule came due: make its jobs and move on, if it still waits for ``expected_ms``."""

    schedule: int
    revision: int
    expected_ms: int
    ticks: tuple[tuple[int, int, str], ...]  # (instant_ms, run_at_ms, job id)
    skipped: int
    next_tick_ms: int | None


class RunSchedule(Command, frozen=True, array_like=True, tag=11):
    """Make one job of a schedule now, beside its ticks."""

    tenant: str
    id: str
    job_id: str
    due_ms: int


class PutDestination(Command, frozen=True, array_like=True, tag=12):
    """Replace the settings of a destination."""

    tenant: str
    name: str
    settings: bytes


class PurgeFinished(Command, frozen=True, array_like=True, tag=13):
    """Forget up to ``limit`` jobs that finished before ``before_ms``, or beyond the newest ``keep`` of them.

    ``dead_before_ms``: the same for the dead ones, which wait for a person; None: as the others.
    """

    before_ms: int
    keep: int
    limit: int
    dead_before_ms: int | None = None


class PurgeKeys(Command, frozen=True, array_like=True, tag=14):
    """Forget up to ``limit`` idempotency keys that expired before ``before_ms``."""

    before_ms: int
    limit: int


class ExpireClaims(Command, frozen=True, array_like=True, tag=15):
    """Claims whose deadline has passed are lost, but those of this term that ``owner``, the leader's process, has."""

    owner: str


class SetTopology(Command, frozen=True, array_like=True, tag=17):
    """Keep the JSON of a topology, unless this one or a newer one is kept already; then nothing changes.

    ``decided_by``: the shard of the cluster that took it first; None: that was not written down. Of two with the same
    epoch the one decided by the smaller shard is kept. ``begins_move``: other things move by it than before, or to
    other clusters, so what has moved is counted anew.
    """

    epoch: int
    document: bytes
    decided_by: int | None = None
    begins_move: bool = False


class ImportDestinations(Command, frozen=True, array_like=True, tag=20):
    """Take settings of destinations from the fleet this cluster is new in, until it has that topology.

    ``settings``: (tenant, name, settings), as in ``PutDestination``. ``is_last``: with these it has all that belong to
    ``epoch``. ``tenants``: (tenant, settings), as in ``PutTenant``.
    """

    epoch: int
    settings: tuple[tuple[str, str, bytes], ...]
    is_last: bool
    tenants: tuple[tuple[str, bytes], ...] = ()


class BeginLog(Command, frozen=True, array_like=True, tag=18):
    """The first command of a log: whose it is.

    ``cluster_id``: 32 hex digits, made once. ``generation``: 1 for a new cluster; one more each time that somebody
    decides to begin the log anew on a kept state, so that what the old log had beyond it is told apart.
    """

    cluster_id: str
    generation: int
    cluster: str
    shard: int


class DeleteJob(Command, frozen=True, array_like=True, tag=21):
    """Forget a job that is not running: its spec, attempts and labels, and the idempotency key that names it."""

    seq: int


class DeletePayload(Command, frozen=True, array_like=True, tag=22):
    """Take what it sent and what was answered from a finished job that is still at ``revision``.

    ``spec``: what is left of it, see ``without_payload``.
    """

    seq: int
    revision: int
    spec: bytes


class LoseClaims(Command, frozen=True, array_like=True, tag=23):
    """These claims are lost, (seq, attempt): a part of the process that made the attempts is proven dead."""

    claims: tuple[tuple[int, int], ...]


class SetMode(Command, frozen=True, array_like=True, tag=24):
    """Choose the runners that make the cluster's attempts from now on; those under way go on."""

    mode: Mode


class PutApiKeys(Command, frozen=True, array_like=True, tag=30):
    """Keep these API keys, (id, record as stored), each unless the one that is kept outranks it: ``api_keys``."""

    keys: tuple[tuple[str, bytes], ...]


class TouchApiKeys(Command, frozen=True, array_like=True, tag=31):
    """Note about when API keys were used last, (id, time)."""

    uses: tuple[tuple[str, int], ...]


AuditOutcome = Literal["done", "unchanged", "refused"]


class AuditNote(msgspec.Struct, frozen=True, array_like=True):
    """Tells who asks for a change, as the node that takes it knows, for the audit log.

    Attributes:
        id: of the request: what it changes in several entries is one row.
        action: the call's name.
        target: what it is about: a key's id, a destination, a cluster.
        actor: id of the API key, ``root``, or empty where nobody is asked for one.
        actor_name: the key's name.
        tenant: for whom it acts.
        address: where the caller is.
        via: the proxies and nodes that passed it on, the first one first; what they say of the caller is not proven.
        summary: what changes, without any secret.
        trace: the id by which the caller's own logs know the request.
    """

    id: str
    action: str
    target: str = ""
    actor: str = ""
    actor_name: str = ""
    tenant: str = ""
    address: str = ""
    via: str = ""
    summary: str = ""
    trace: str = ""


class NoteAudit(Command, frozen=True, array_like=True, tag=50):
    """Keep a row of the audit log about the commands right before this one; the first of them says what came of it.

    Attributes:
        of: how many commands those are; 0: ``outcome`` says it.
        outcome: ``done``, ``unchanged`` or ``refused``.
        code: of the error, if it was refused.
        only_changes: no row if nothing changed.
    """

    note: AuditNote
    of: int
    outcome: AuditOutcome = "done"
    code: str = ""
    only_changes: bool = False


class PurgeAudit(Command, frozen=True, array_like=True, tag=51):
    """Forget up to ``limit`` rows of the audit log: those before ``before_ms``, or beyond the newest ``keep``."""

    before_ms: int
    keep: int
    limit: int


class PutTenant(Command, frozen=True, array_like=True, tag=34):
    """Replace the limits and the weight of a tenant; empty: take them back."""

    tenant: str
    settings: bytes


class TakeBatch(Command, frozen=True, array_like=True, tag=60):
    """Keep what another cluster gives up next, inert: ``moves.Batch``. It takes the place of an earlier try."""

    source: str
    number: int
    batch: bytes


JobGuard = tuple[int, int, int, int, int]
"""A job as it was read to be moved: (seq, state, due_ms, revision, attempts)."""
ScheduleGuard = tuple[int, int, int, int | None]
"""A schedule as it was read to be moved: (seq, revision, made and skipped together, next_tick_ms)."""


class GiveAway(Command, frozen=True, array_like=True, tag=61):
    """These jobs and schedules are another cluster's from now on, as far as they are as they were read.

    The point of no return: shard ``shard`` has them, inert, as batch ``number`` of this cluster. ``batch``: the same.
    """

    shard: int
    number: int
    batch: bytes
    jobs: tuple[JobGuard, ...]
    schedules: tuple[ScheduleGuard, ...] = ()


class ActivateBatch(Command, frozen=True, array_like=True, tag=62):
    """Have the jobs and schedules at these positions count, which were kept inert, and all pointers."""

    source: str
    number: int
    jobs: tuple[int, ...]
    schedules: tuple[int, ...]


class EndDeparture(Command, frozen=True, array_like=True, tag=63):
    """The new home has said that batch ``number`` counts there. ``frozen_ms``: how long it counted nowhere."""

    shard: int
    number: int
    frozen_ms: int


class EndMove(Command, frozen=True, array_like=True, tag=64):
    """Nothing is left to move by the topology of that epoch, if ``is_done``.

    ``has_left``: this cluster is not in it any more; nothing is begun here from now on.
    """

    epoch: int
    has_left: bool
    is_done: bool


class PurgeElsewhere(Command, frozen=True, array_like=True, tag=65):
    """Forget up to ``limit`` names of what is elsewhere: those that nobody can ask for after ``before_ms``.

    ``moved``: those of jobs and schedules that moved away, whatever their time.
    """

    before_ms: int
    moved: bool
    limit: int


class ForgetPointer(Command, frozen=True, array_like=True, tag=66):
    """The cluster of shard ``shard`` has said that it has nothing of that name any more: it may be made here."""

    kind: int
    tenant: str
    name: str
    shard: int


AnyCommand = (
    BeginLog
    | BeginTerm
    | CreateJob
    | ClaimJobs
    | RecordOutcome
    | CancelJobs
    | UpdateJob
    | RedriveJobs
    | PutSchedule
    | DeleteSchedule
    | RecordTicks
    | RunSchedule
    | PutDestination
    | PurgeFinished
    | PurgeKeys
    | ExpireClaims
    | SetTopology
    | ImportDestinations
    | DeleteJob
    | DeletePayload
    | LoseClaims
    | SetMode
    | PutApiKeys
    | TouchApiKeys
    | NoteAudit
    | PurgeAudit
    | PutTenant
    | TakeBatch
    | GiveAway
    | ActivateBatch
    | EndDeparture
    | EndMove
    | PurgeElsewhere
    | ForgetPointer
)


class Created(msgspec.Struct, frozen=True, array_like=True):
    """A job exists under ``id``; ``deduplicated`` when it did before."""

    seq: int
    id: str
    deduplicated: bool


class Claimed(msgspec.Struct, frozen=True, array_like=True):
    """The claims that were granted: (seq, attempt number); the others had moved, and are simply not listed."""

    granted: tuple[tuple[int, int], ...]


class Changed(msgspec.Struct, frozen=True, array_like=True):
    """How many rows the command changed."""

    count: int


class Refused(msgspec.Struct, frozen=True, array_like=True):
    """The command changed nothing; ``code`` is an error code of ``errors.py``."""

    code: str


class GivenAway(msgspec.Struct, frozen=True, array_like=True):
    """The positions of the jobs and the schedules that were as they had been read, and went."""

    jobs: tuple[int, ...]
    schedules: tuple[int, ...]


Result = Created | Claimed | Changed | Refused | GivenAway


class Results(list[Result]):
    """The results of commands that were proposed together, in their order.

    Attributes:
        time_ms: the wall clock of their entry, and so the creation time of what the commands made.
    """

    def __init__(self, results: Sequence[Result], time_ms: int) -> None:
        super().__init__(results)
        self.time_ms = time_ms
