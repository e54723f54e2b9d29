"""The bodies that travel between clients and nodes, as types: the SDK, the API and /openapi.json all use these.

Requests forbid unknown fields. Times are RFC 3339 text, durations ``"1h30m"`` or seconds.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from hookline.protocol.limits import BULK_LIMIT_MAX
from hookline.protocol.modes import DEFAULT_MODE, Mode, RunnerKind
from hookline.protocol.receiver_access import ReceiverAuth, ReceiverTls

Duration = str | int | float
Labels = dict[str, str] | list[str]
RetryWord = int | str  # 429, "5xx", "connection", "timeout"
Guarantee = Literal["at_least_once", "at_most_once"]
StateLabel = Literal["pending", "running", "succeeded", "dead", "cancelled", "unknown"]
OutcomeLabel = Literal["success", "retryable_failure", "permanent_failure", "unknown"]


class RetryRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Waits between attempts: exponential with full jitter, or an explicit ``schedule`` of waits; null: the default.

    ``on`` lists all that is tried again, ``not_on`` what is not: statuses (429), classes ("5xx"), "connection" and
    "timeout"; a status comes before its class.
    """

    max_attempts: int | None = None
    initial: Duration | None = None
    factor: float | None = None
    max: Duration | None = None
    schedule: list[Duration] | None = None
    budget: Duration | None = None
    on: list[RetryWord] | None = None
    not_on: list[RetryWord] | None = None


class JobChanges(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Changes of a job: all fields optional, ``UNSET`` stays as it is; ``secret`` None takes it away."""

    url: str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    headers: dict[str, str] | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET
    body_base64: str | UnsetType = UNSET
    run_at: str | UnsetType = UNSET
    delay: Duration | UnsetType = UNSET
    timeout: Duration | UnsetType = UNSET
    retry: RetryRequest | UnsetType = UNSET
    guarantee: Guarantee | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
    secret: str | UnsetType | None = UNSET
    redact: list[str] | UnsetType = UNSET


class JobRequest(JobChanges, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One HTTP call to make. Only ``url`` is needed."""

    id: str | UnsetType = UNSET


class Problem(Struct, frozen=True, omit_defaults=True):
    """An error (RFC 9457). ``code`` is stable; docs/reference/errors.md lists them all."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    retryable: bool = False
    field: str | None = None
    retry_after: int | None = None


class WaitingFor(Struct, frozen=True, omit_defaults=True):
    """The reason why a pending job waits. ``until``: when the wait ends, as far as Hookline knows."""

    reason: Literal["time", "retry", "paused", "breaker", "rate", "share", "slots", "clock", "key"]
    detail: str
    until: str | None = None


class LastAttempt(Struct, frozen=True):
    """The newest attempt, in short. ``started_at`` and ``duration_ms`` as in ``Attempt``."""

    number: int
    outcome: OutcomeLabel
    status: int | None
    error: str | None
    started_at: str
    duration_ms: int | None


class Attempt(Struct, frozen=True):
    """One attempt in full; the body is text, with what is not UTF-8 replaced, cut at 16 KiB.

    Of one whose node was lost, ``started_at`` is when it was claimed: nothing was sent before that. How long it took
    nobody knows then: ``duration_ms`` is null.
    """

    number: int
    outcome: OutcomeLabel
    status: int | None
    error: str | None
    started_at: str
    duration_ms: int | None
    node: str
    term: int
    response_headers: dict[str, str]
    response_body: str


class RetryView(Struct, frozen=True):
    """The retry policy in force: the job's own, that of its destination, or the default."""

    max_attempts: int
    initial: str
    factor: float
    max: str
    schedule: list[str]
    budget: str | None
    on: list[RetryWord]
    not_on: list[RetryWord]


class Job(Struct, frozen=True):
    """A job as users see it. ``payload_removed``: it was deleted, so it is not shown and not sent again.

    ``tenant``: whose it is; not there: the default tenant's.
    """

    id: str
    url: str
    method: str
    state: StateLabel
    run_at: str
    created_at: str
    finished_at: str | None
    attempts_made: int
    next_attempt_at: str | None
    waiting_for: WaitingFor | None
    last_attempt: LastAttempt | None
    labels: Labels
    guarantee: Guarantee
    priority: int
    destination: str
    headers: dict[str, str]
    timeout: str
    retry: RetryView
    signed: bool
    schedule: str | None
    payload: Raw | UnsetType = UNSET
    body_base64: str | UnsetType = UNSET
    deduplicated: bool | UnsetType = UNSET
    redact: list[str] = []
    payload_removed: bool = False
    tenant: str | UnsetType = UNSET


class JobPage(Struct, frozen=True, omit_defaults=True):
    """A page of jobs, newest first. ``next_cursor`` null: there is no more.

    A search looks at so many jobs and no more for one page. One that stopped before the page was full, or even before
    anything was found, says in ``searched_to`` of which time the jobs are that it came to; ``next_cursor`` goes on.

    From proxies only: ``incomplete`` names the clusters that could not be reached: theirs are missing; ``moving`` those
    out of which jobs move, since the topology changes or has changed since the first page: a job on its way may be
    missing. ``cursors`` only come to proxies.
    """

    data: list[Job]
    next_cursor: str | None
    incomplete: list[str] = []
    moving: list[str] = []
    cursors: list[str] | UnsetType = UNSET
    searched_to: str | None = None


class AttemptList(Struct, frozen=True):
    """All attempts of a job, oldest first."""

    data: list[Attempt]


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 1,000 jobs; each is accepted or refused on its own."""

    jobs: list[Raw]


class BatchResult(Struct, frozen=True, omit_defaults=True):
    """The result of one item: 201 or 200 with ``job``, else ``error``."""

    status: int
    job: "BatchJob | None" = None
    error: dict[str, Any] | None = None


class BatchJob(Struct, frozen=True, omit_defaults=True):
    """The short form of a job in the answer to a batch."""

    id: str
    url: str
    method: str
    state: StateLabel
    run_at: str
    guarantee: Guarantee
    deduplicated: bool = False


class BatchResponse(Struct, frozen=True):
    """In the order of the request."""

    results: list[BatchResult]


class BriefJob(Struct, frozen=True, omit_defaults=True):
    """All of a job that a create answers if the request says ``Prefer: return=minimal``."""

    id: str
    state: StateLabel
    deduplicated: bool = False


class BriefResult(Struct, frozen=True, omit_defaults=True):
    """The result of one item as ``Prefer: return=minimal`` has it: 201 or 200 with ``job``, else ``error``."""

    status: int
    job: BriefJob | None = None
    error: dict[str, Any] | None = None


class BriefResponse(Struct, frozen=True):
    """The answer to a batch as ``Prefer: return=minimal`` has it, in the order of the request."""

    results: list[BriefResult]


class Filter(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Chooses jobs; all conditions must hold.

    ``status``: of the last attempt's answer, such as 503, or ``"5xx"``. ``error``: what that attempt's error contains.
    """

    state: StateLabel | None = None
    label: str | None = None
    destination: str | None = None
    created_after: str | None = None
    created_before: str | None = None
    schedule: str | None = None
    status: int | str | None = None
    error: str | None = None


FILTERS = Filter.__struct_fields__
"""Their names: of the query parameters of a list, too."""


class BulkRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Retry or cancel by filter; ``dry_run`` only counts. ``overrides`` go with retry."""

    filter: Filter = msgspec.field(default_factory=Filter)
    dry_run: bool = False
    limit: int = BULK_LIMIT_MAX
    overrides: JobChanges | None = None


class BulkResponse(Struct, frozen=True, omit_defaults=True):
    """How many jobs matched and how many were changed; ``more``: it stopped before the end, call again.

    Both from proxies only: ``incomplete`` names the clusters that could not be reached, where nothing was changed;
    ``unclear`` those that took the call and did not answer, where jobs may have been changed; ``moving`` those out of
    which jobs move: one on its way may have been passed over.
    """

    matched: int
    changed: int
    dry_run: bool
    more: bool
    sample: list[str]
    incomplete: list[str] = []
    unclear: list[str] = []
    moving: list[str] = []


class CatchUp(Struct, frozen=True, forbid_unknown_fields=True):
    """Decides about missed ticks that are not older than ``window``."""

    policy: Literal["skip", "coalesce", "all"] = "coalesce"
    window: Duration = "24h"


class ScheduleRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A cron expression with a time zone, and the job it makes at each tick."""

    cron: str
    job: Raw
    id: str | UnsetType = UNSET
    timezone: str = "UTC"
    catch_up: CatchUp = msgspec.field(default_factory=CatchUp)
    overlap: Literal["allow", "skip"] = "allow"
    jitter: Duration = 0
    start_at: str | None = None
    end_at: str | None = None
    paused: bool = False


class ScheduleChanges(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The fields of a schedule that can be changed; ``job`` is replaced as a whole, but a secret it does not name."""

    cron: str | UnsetType = UNSET
    job: Raw | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
    catch_up: CatchUp | UnsetType = UNSET
    overlap: Literal["allow", "skip"] | UnsetType = UNSET
    jitter: Duration | UnsetType = UNSET
    start_at: str | UnsetType | None = UNSET
    end_at: str | UnsetType | None = UNSET


class Schedule(Struct, frozen=True):
    """A schedule as users see it; ``job`` is what each tick makes. ``tenant`` as in ``Job``."""

    id: str
    cron: str
    timezone: str
    catch_up: CatchUp
    overlap: Literal["allow", "skip"]
    jitter: str
    start_at: str | None
    end_at: str | None
    paused: bool
    created_at: str
    next_tick_at: str | None
    last_tick_at: str | None
    last_job_id: str | None
    jobs_made: int
    ticks_skipped: int
    job: dict[str, Raw]  # its payload as it was written
    deduplicated: bool | UnsetType = UNSET
    tenant: str | UnsetType = UNSET


class SchedulePage(Struct, frozen=True, omit_defaults=True):
    """A page of schedules by id; ``incomplete`` and ``moving`` as in ``JobPage``."""

    data: list[Schedule]
    next_cursor: str | None
    incomplete: list[str] = []
    moving: list[str] = []
    cursors: list[str] | UnsetType = UNSET


class Preview(Struct, frozen=True):
    """The next ticks, RFC 3339 with the zone's offset."""

    ticks: list[str]


TickOutcome = Literal["made", "caught_up", "skipped", "unknown"]


class PastTick(Struct, frozen=True):
    """A tick that is over, with the zone's offset, and its job.

    ``caught_up``: it was made more than a minute late. ``skipped``: it has no job, by the schedule's rules, as the
    schedule was paused, or as the job was deleted. ``unknown``: its job may be kept no longer, or be elsewhere.
    """

    at: str
    outcome: TickOutcome
    job: str | None
    state: StateLabel | None
    made_at: str | None


class PastTicks(Struct, frozen=True):
    """A page of ticks, oldest first."""

    data: list[PastTick]
    next_cursor: str | None


class Rate(Struct, frozen=True, forbid_unknown_fields=True):
    """At most ``limit`` attempts start in each ``per``, wherever it begins; up to ``limit`` may start at once.

    A new leader, and a node that was restarted, knows of no earlier starts.
    """

    limit: int
    per: Duration = "1s"


class DestinationRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Settings of a destination; ``UNSET`` stays as it is, null returns to the default."""

    concurrency: int | UnsetType | None = UNSET
    rate: Rate | UnsetType | None = UNSET
    paused: bool | UnsetType = UNSET
    secrets: list[str] | UnsetType | None = UNSET
    retry: RetryRequest | UnsetType | None = UNSET
    auth: ReceiverAuth | UnsetType | None = UNSET
    tls: ReceiverTls | UnsetType | None = UNSET


class ShownAuth(Struct, frozen=True, omit_defaults=True):
    """The ``Authorization`` that requests to a destination carry, without what is secret."""

    type: Literal["bearer", "basic", "oauth2"]
    username: str | UnsetType = UNSET
    token_url: str | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    scope: str | UnsetType = UNSET


class ShownTls(Struct, frozen=True):
    """TLS towards a destination: is an authority of its own trusted, and which certificate is shown until when?"""

    own_ca: bool
    certificate: str | None
    expires_at: str | None


class Breaker(Struct, frozen=True):
    """The breaker of a destination; ``until`` is when it next lets an attempt through."""

    state: Literal["closed", "open", "half_open"]
    until: str | None


class RecentAttempts(Struct, frozen=True):
    """The attempts of the last ``seconds``, as far as this leader made them.

    ``durations`` counts them by how long they took: by the milliseconds that they took at most, in steps of a fifth.
    """

    seconds: int
    attempts: int
    succeeded: int
    p50_ms: int
    p99_ms: int
    durations: dict[str, int]


class Destination(Struct, frozen=True, omit_defaults=True):
    """A destination as users see it; of its secrets only the number is ever shown.

    ``retry``: for jobs that do not say it themselves; not there: the default. ``incomplete`` as in ``JobPage``,
    ``tenant`` as in ``Job``. ``recent``: not there: no attempt was made in the last minutes.
    """

    host: str
    concurrency: int | None
    rate: Rate | None
    paused: bool
    breaker: Breaker
    running: int
    waiting: int
    secrets: int
    retry: RetryRequest | None = None
    auth: ShownAuth | None = None
    tls: ShownTls | None = None
    incomplete: list[str] = []
    tenant: str | UnsetType = UNSET
    recent: RecentAttempts | UnsetType = UNSET


class DestinationPage(Struct, frozen=True, omit_defaults=True):
    """All destinations that jobs or settings name; ``incomplete`` as in ``JobPage``."""

    data: list[Destination]
    next_cursor: str | None
    incomplete: list[str] = []
    cursors: list[str] | UnsetType = UNSET


class NodeView(Struct, frozen=True):
    """One node of a cluster. ``halted``: why it waits for a person; None: it does not."""

    name: str
    url: str
    role: Literal["leader", "follower", "halted"]
    applied: int
    durable: int
    version: str
    halted: str | None = None
    clock_offset_ms: int | None = None


class ClockView(Struct, frozen=True):
    """A machine's clock: is it the time, and if not, why and what to do.

    ``offset_ms`` is how far it is ahead of the majority of the cluster's clocks, if others are known.
    """

    trusted: bool
    offset_ms: int | None = None
    detail: str | None = None


class ClockWord(Struct, frozen=True, forbid_unknown_fields=True):
    """An operator's word that the clock of this node's machine is right."""

    trust: bool


class RunnerView(Struct, frozen=True):
    """A process that makes attempts. ``slots``: those it has in the present mode; ``running``: its open claims."""

    name: str
    kind: RunnerKind
    slots: int
    running: int


class ClusterFigures(Struct, frozen=True):
    """Counts of a cluster, by its leader.

    ``jobs``: by state, now. ``attempts`` by outcome, and ``lag_counts``, how many requests left how late, only grow,
    and begin anew with each leader; a lag of ``lag_bounds_ms[n]`` at most is counted at that place, a longer one at the
    last. ``slots_used`` of ``slots_max`` run now.
    """

    jobs: dict[str, int]
    attempts: dict[str, int]
    slots_used: int
    slots_max: int
    lag_bounds_ms: list[int]
    lag_counts: list[int]


class ClusterChange(Struct, frozen=True, forbid_unknown_fields=True):
    """A change of a cluster's settings."""

    mode: Mode


class Cluster(Struct, frozen=True):
    """A cluster and its nodes. ``clock`` is that of the node that answers, ``clock_offset_ms`` as it sees the others.

    A clock's offset is how far it is ahead of the majority of the cluster's clocks. ``id`` was made once for the
    cluster, ``generation`` counts how often its log was begun; ``kept_aside`` are the files of states that the asked
    node has replaced and kept. ``mode`` says which of ``runners`` make attempts. Only a leader knows
    them, and the ``figures``, which are null while none can be asked.
    ``can_be_switched_off``: the cluster was taken out of the topology, and has handed everything over.
    """

    name: str
    shard: int
    term: int
    leader: str | None
    nodes: list[NodeView]
    clock: ClockView | None = None
    id: str | None = None
    generation: int = 0
    kept_aside: list[str] = []
    mode: Mode = DEFAULT_MODE
    runners: list[RunnerView] = []
    can_be_switched_off: bool = False
    figures: ClusterFigures | None = None


class ClusterList(Struct, frozen=True):
    """All clusters that a proxy reaches; ``incomplete`` names those it cannot, ``reasons`` says why."""

    data: list[Cluster]
    incomplete: list[str] = []
    reasons: dict[str, str] = {}


class TopologyApplied(Struct, frozen=True):
    """For each cluster "ok", or why it does not have the topology yet; it learns it when it can be reached.

    ``notes``: what the proxy added to the document, and what to do next.
    """

    epoch: int
    clusters: dict[str, str]
    notes: list[str] = []


class Route(Struct, frozen=True, omit_defaults=True):
    """The home of an id or a key, and how it was found; ``hash`` is None when the id's hint decided."""

    rule: Literal["hint", "modulo", "ring", "previous"]
    hash: int | None
    cluster: str
    shard: int
    steps: list[str]
    id: str | None = None
    key: str | None = None


class Usage(Struct, frozen=True):
    """One limit and how much of it is used."""

    used: int
    limit: int


class NodeState(Struct, frozen=True, omit_defaults=True):
    """A node as a proxy sees it; ``detail``: why it is not used though it answers."""

    url: str
    state: Literal["unknown", "up", "down"]
    detail: str | None = None


class ClusterHealth(Struct, frozen=True):
    """A cluster as a proxy sees it: ``breaker`` lets calls through unless it is open; ``leader`` is a node's url."""

    name: str
    state: Literal["unknown", "up", "down"]
    breaker: Literal["closed", "open", "half_open"]
    leader: str | None
    nodes: list[NodeState]


class Probe(Struct, frozen=True):
    """The answer to a probe. ``detail`` says why it is unavailable."""

    status: Literal["ok", "unavailable"]
    detail: str | None = None


class Health(Struct, frozen=True):
    """Is this node or proxy fit to take requests? ``epoch`` is that of the topology it knows; 0: none.

    ``topology`` is the digest of that document; another one with the same epoch has another digest.
    ``term`` is the newest that a node has seen, ``usage`` how much of its limits is used. Also of nodes: ``clock``;
    ``cluster`` and ``shard``, whose node it is; ``cluster_id``, whose state it has; ``kept_aside`` as in ``Cluster``;
    and ``decided_by``, the shard of the cluster that decided for its topology. ``clusters`` are a proxy's.
    ``moved`` is the epoch of the newest topology by which everything moved out of the node's cluster that had to;
    ``can_be_switched_off`` as in ``Cluster``. ``detail`` says what to do; also while the status is ok, when a clock is
    wrong. ``degraded``: it takes requests, and holds jobs whose secret it has no key for. ``asks_for_keys``:
    a node has a root key, so each call needs a key.
    """

    status: Literal["ok", "degraded", "unavailable"]
    role: Literal["leader", "follower", "halted", "proxy"]
    usage: dict[str, Usage] = {}
    detail: str | None = None
    epoch: int = 0
    term: int = 0
    clusters: list[ClusterHealth] | UnsetType = UNSET
    clock: ClockView | UnsetType = UNSET
    cluster_id: str | None = None
    kept_aside: list[str] = []
    topology: str | None = None
    decided_by: int | None = None
    cluster: str | None = None
    shard: int | None = None
    moved: int = 0
    can_be_switched_off: bool = False
    asks_for_keys: bool = False
