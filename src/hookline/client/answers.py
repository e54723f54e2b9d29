"""The service's answers as Python values, as the SDK returns them. Pure.

The fields are those of ``protocol.http``, which says what travels; a test compares them. Here times are aware
``datetime`` values, a payload is decoded, and what an answer lacks is None or empty. Unknown fields are ignored: a
newer service may have more.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field, to_builtins

from hookline.protocol import http, http_logs, http_tenants
from hookline.protocol.api_keys import KeyScope
from hookline.protocol.http import Guarantee, Labels, OutcomeLabel, StateLabel
from hookline.protocol.modes import DEFAULT_MODE, Mode

if TYPE_CHECKING:
    from hookline.client.fields import ScheduledJob
else:
    ScheduledJob = dict[str, Any]  # what a service knows more of is kept


class Answered(Struct, frozen=True):
    """The methods of all answers."""

    def as_dict(self) -> dict[str, Any]:
        """Its JSON form, which ``json.dumps`` takes: times as RFC 3339 text, bytes as base64, as the API has them."""
        found: dict[str, Any] = to_builtins(self)
        return found


# --- jobs -----------------------------------------------------------------------------------------------------


class WaitingFor(Answered, frozen=True):
    """Why a pending job waits: a word and a sentence. ``until`` is when that ends, as far as it is known."""

    reason: str
    detail: str
    until: datetime | None = None


class LastAttempt(Answered, frozen=True):
    """The newest attempt, in short; ``duration_ms`` as in ``Attempt``."""

    number: int
    outcome: OutcomeLabel
    status: int | None
    error: str | None
    started_at: datetime
    duration_ms: int | None


class Attempt(Answered, frozen=True):
    """One attempt in full; the body is text, with what is not UTF-8 replaced, cut at 16 KiB.

    Of an attempt whose node was lost ``started_at`` is when it was claimed, and ``duration_ms`` None.
    """

    number: int
    outcome: OutcomeLabel
    status: int | None
    error: str | None
    started_at: datetime
    duration_ms: int | None
    node: str
    term: int
    response_headers: dict[str, str]
    response_body: str


class AttemptList(Answered, frozen=True):
    """All attempts of a job, oldest first."""

    data: list[Attempt]


class RetryView(Answered, http.RetryView, frozen=True):
    """The retry policy in force: the job's own, that of its destination, or the default."""


class Job(Answered, frozen=True):
    """A job. What it sends is in ``payload``, decoded, or in ``body``, bytes; lists leave both out.

    ``deduplicated``: the call found it, and did not make it. ``payload_removed``: what it sends was deleted.
    ``tenant``: whose it is; None: the default tenant's.
    """

    id: str
    url: str
    method: str
    state: StateLabel
    run_at: datetime
    created_at: datetime
    finished_at: datetime | None
    attempts_made: int
    next_attempt_at: datetime | None
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
    payload: Any = None
    body: bytes | None = field(default=None, name="body_base64")
    deduplicated: bool = False
    redact: list[str] = []
    payload_removed: bool = False
    tenant: str | None = None


class JobPage(Answered, frozen=True):
    """A page of jobs, newest first. ``next_cursor`` None: there is no more.

    ``searched_to``: the search stopped there before the page was full, at jobs of that time; ``next_cursor`` goes on.

    From proxies only: ``incomplete`` names the clusters that could not be reached: theirs are missing; ``moving`` those
    out of which jobs move, since the topology changes: a job on its way may be missing.
    """

    data: list[Job]
    next_cursor: str | None
    incomplete: list[str] = []
    moving: list[str] = []
    searched_to: datetime | None = None


class BatchJob(Answered, frozen=True):
    """The short form of a job in the answer to a batch."""

    id: str
    url: str
    method: str
    state: StateLabel
    run_at: datetime
    guarantee: Guarantee
    deduplicated: bool = False


class BatchResult(Answered, frozen=True):
    """The result of one item: 201 or 200 with ``job``, else ``error``."""

    status: int
    job: BatchJob | None = None
    error: dict[str, Any] | None = None


class BatchResponse(Answered, frozen=True):
    """In the order of the request."""

    results: list[BatchResult]


class BriefJob(Answered, frozen=True):
    """The id and the state of a job that ``create_jobs`` made, or found, with ``minimal=True``."""

    id: str
    state: StateLabel
    deduplicated: bool = False


class BriefResult(Answered, frozen=True):
    """The result of one item with ``minimal=True``: 201 or 200 with ``job``, else ``error``."""

    status: int
    job: BriefJob | None = None
    error: dict[str, Any] | None = None


class BriefResponse(Answered, frozen=True):
    """In the order of the request."""

    results: list[BriefResult]


class BulkResponse(Answered, http.BulkResponse, frozen=True):
    """How many jobs matched and how many were changed; ``more``: it stopped before the end, call again.

    Both from proxies only: ``incomplete`` names the clusters that could not be reached, where nothing was changed;
    ``unclear`` those that took the call and did not answer, where jobs may have been changed; ``moving`` those out of
    which jobs move: one on its way may have been passed over.
    """


# --- schedules ------------------------------------------------------------------------------------------------


class CatchUp(Answered, http.CatchUp, frozen=True, forbid_unknown_fields=False):
    """Decides about missed ticks that are not older than ``window``. Can be given, too."""


class Schedule(Answered, frozen=True):
    """A schedule; ``job`` has the fields of what each tick makes, as the API has them, and can be given again."""

    id: str
    cron: str
    timezone: str
    catch_up: CatchUp
    overlap: Literal["allow", "skip"]
    jitter: str
    start_at: datetime | None
    end_at: datetime | None
    paused: bool
    created_at: datetime
    next_tick_at: datetime | None
    last_tick_at: datetime | None
    last_job_id: str | None
    jobs_made: int
    ticks_skipped: int
    job: ScheduledJob
    deduplicated: bool = False
    tenant: str | None = None


class SchedulePage(Answered, frozen=True):
    """A page of schedules by id; ``incomplete`` and ``moving`` as in ``JobPage``."""

    data: list[Schedule]
    next_cursor: str | None
    incomplete: list[str] = []
    moving: list[str] = []


class PastTick(Answered, frozen=True):
    """A tick that is over, with the zone's offset, and its job.

    ``caught_up``: it was made more than a minute late. ``skipped``: it has no job, by the schedule's rules, as the
    schedule was paused, or as the job was deleted. ``unknown``: its job may be kept no longer, or be elsewhere.
    """

    at: datetime
    outcome: http.TickOutcome
    job: str | None
    state: StateLabel | None
    made_at: datetime | None


class PastTicks(Answered, frozen=True):
    """A page of ticks, oldest first."""

    data: list[PastTick]
    next_cursor: str | None


class Preview(Answered, frozen=True):
    """The next ticks, with the zone's offset."""

    ticks: list[datetime]


# --- destinations ---------------------------------------------------------------------------------------------


class Rate(Answered, http.Rate, frozen=True, forbid_unknown_fields=False):
    """At most ``limit`` attempts start in each ``per``, wherever it begins. Can be given, too."""


class RetryRequest(Answered, http.RetryRequest, frozen=True, forbid_unknown_fields=False, omit_defaults=True):
    """When to try again; None: the default. Can be given, too; ``RetryFields`` says what the fields mean."""


class Breaker(Answered, frozen=True):
    """The breaker of a destination; ``until`` is when it next lets an attempt through."""

    state: Literal["closed", "open", "half_open"]
    until: datetime | None


class ShownAuth(Answered, frozen=True):
    """The ``Authorization`` that requests to a destination carry, without what is secret."""

    type: Literal["bearer", "basic", "oauth2"]
    username: str | None = None
    token_url: str | None = None
    client_id: str | None = None
    scope: str | None = None


class ShownTls(Answered, frozen=True):
    """TLS towards a destination: is an authority of its own trusted, and which certificate is shown until when?"""

    own_ca: bool
    certificate: str | None
    expires_at: datetime | None


class RecentAttempts(Answered, http.RecentAttempts, frozen=True):
    """The attempts of the last ``seconds``; ``durations`` counts them by the milliseconds that they took at most."""


class Destination(Answered, frozen=True):
    """A destination; of its secrets only the number is ever shown.

    ``retry``: for jobs that do not say it themselves; None: the default. ``incomplete`` as in ``JobPage``. ``recent``:
    None: no attempt was made in the last minutes.
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
    tenant: str | None = None
    recent: RecentAttempts | None = None


class DestinationPage(Answered, frozen=True):
    """All destinations that jobs or settings name; ``incomplete`` as in ``JobPage``."""

    data: list[Destination]
    next_cursor: str | None
    incomplete: list[str] = []


# --- keys -----------------------------------------------------------------------------------------------------


class KeyView(Answered, frozen=True):
    """An API key without its text. ``previous_until``: until then a text from before the rotation holds, too."""

    id: str
    name: str
    scopes: list[KeyScope]
    tenant: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None  # true to the hour
    rotated_at: datetime | None
    previous_until: datetime | None


class OwnKey(Answered, frozen=True):
    """The caller as the service sees it. ``id`` is "root" with a root key, None where nobody is asked for a key.

    ``tenant``: whose key it is; ``acts_for``: whose jobs this client sees. An operator may act for any tenant.
    """

    id: str | None
    name: str | None
    scopes: list[KeyScope]
    tenant: str
    acts_for: str
    is_operator: bool
    expires_at: datetime | None


class NewKey(Answered, frozen=True):
    """An API key with its text, ``key``, which is shown this once. ``incomplete``: clusters that get it later."""

    id: str
    key: str
    name: str
    scopes: list[KeyScope]
    tenant: str
    created_at: datetime
    expires_at: datetime | None
    previous_until: datetime | None
    incomplete: list[str] = []

    def __repr__(self) -> str:
        return f"NewKey(id={self.id!r}, key='***', name={self.name!r}, scopes={self.scopes!r})"


class KeyPage(Answered, frozen=True):
    """A page of keys; ``incomplete`` as in ``JobPage``."""

    data: list[KeyView]
    next_cursor: str | None
    incomplete: list[str] = []


class AuditView(Answered, frozen=True):
    """A row of the audit log. ``changed``: how many things; ``via``: the proxies and nodes that passed it on."""

    id: str
    at: datetime
    cluster: str
    action: str
    target: str
    actor: str
    actor_name: str
    tenant: str
    address: str
    via: str
    summary: str
    outcome: Literal["done", "unchanged", "refused"]
    code: str
    changed: int
    trace: str


class AuditPage(Answered, frozen=True):
    """A page of the audit log; ``incomplete`` as in ``JobPage``."""

    data: list[AuditView]
    next_cursor: str | None
    incomplete: list[str] = []


# --- tenants --------------------------------------------------------------------------------------------------


class TenantUse(Answered, http_tenants.TenantUse, frozen=True):
    """Counts a tenant's jobs that are pending or running, the bytes of their payloads, and those that run."""


class Tenant(Answered, frozen=True):
    """A tenant: its limits in each cluster (None: none), its weight, and what it has in all of them together."""

    name: str
    pending_jobs: int | None
    pending_bytes: int | None
    creates_per_second: int | None
    weight: int
    used: TenantUse
    incomplete: list[str] = []


class TenantPage(Answered, frozen=True):
    """A page of tenants; ``incomplete`` as in ``JobPage``."""

    data: list[Tenant]
    next_cursor: str | None
    incomplete: list[str] = []


# --- clusters -------------------------------------------------------------------------------------------------


class NodeView(Answered, http.NodeView, frozen=True):
    """One node of a cluster. ``halted``: why it waits for a person; None: it does not."""


class LogLevels(Answered, http_logs.LogLevels, frozen=True):
    """From which level on each area of a process's log is written: debug, info, warning or error."""


class ClockView(Answered, http.ClockView, frozen=True):
    """A machine's clock: is it the time, and if not, why and what to do.

    ``offset_ms`` is how far it is ahead of the majority of the cluster's clocks, if others are known.
    """


class RunnerView(Answered, http.RunnerView, frozen=True):
    """A process that makes attempts. ``slots``: those it has in the present mode; ``running``: its open claims."""


class ClusterFigures(Answered, http.ClusterFigures, frozen=True):
    """Counts of a cluster, by its leader: those of attempts and lags only grow, and begin anew with each leader."""


class Cluster(Answered, frozen=True):
    """A cluster and its nodes. ``clock`` is that of the node that answers; ``mode`` says which of ``runners`` attempt.

    ``id`` was made once for the cluster, ``generation`` counts how often its log was begun; ``kept_aside`` are the
    files of states that the asked node has replaced and kept. ``can_be_switched_off``: it was taken out of the
    topology, and has handed everything over.
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


class ClusterList(Answered, frozen=True):
    """All clusters that a proxy reaches; ``incomplete`` names those it cannot, ``reasons`` says why."""

    data: list[Cluster]
    incomplete: list[str] = []
    reasons: dict[str, str] = {}


class TopologyApplied(Answered, http.TopologyApplied, frozen=True):
    """For each cluster "ok", or why it does not have the topology yet; it learns it when it can be reached."""


class Route(Answered, http.Route, frozen=True):
    """The home of an id or a key, and how it was found; ``hash`` is None when the id's hint decided."""


class Usage(Answered, http.Usage, frozen=True):
    """One limit and how much of it is used."""


class NodeState(Answered, http.NodeState, frozen=True):
    """A node as a proxy sees it; ``detail``: why it is not used though it answers."""


class ClusterHealth(Answered, frozen=True):
    """A cluster as a proxy sees it: ``breaker`` lets calls through unless it is open; ``leader`` is a node's url."""

    name: str
    state: Literal["unknown", "up", "down"]
    breaker: Literal["closed", "open", "half_open"]
    leader: str | None
    nodes: list[NodeState]


class Health(Answered, frozen=True):
    """Is this node or proxy fit to take requests? ``detail`` says what to do; ``degraded``: it is, but holds jobs back.

    ``usage`` is how much of its limits is used; ``clusters`` are a proxy's, ``clock`` and the rest a node's.
    """

    status: Literal["ok", "degraded", "unavailable"]
    role: Literal["leader", "follower", "halted", "proxy"]
    usage: dict[str, Usage] = {}
    detail: str | None = None
    epoch: int = 0
    term: int = 0
    clusters: list[ClusterHealth] = []
    clock: ClockView | None = None
    cluster_id: str | None = None
    kept_aside: list[str] = []
    topology: str | None = None
    decided_by: int | None = None
    cluster: str | None = None
    shard: int | None = None
    moved: int = 0
    can_be_switched_off: bool = False
    asks_for_keys: bool = False
