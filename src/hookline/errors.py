"""Every error Hookline can answer with, defined once.

The tree (the class docstring is the title shown to users; it says what to do)::

    HooklineError
    ├── InvalidRequest            400  the caller must change the request
    │   ├── InvalidUrl · InvalidHeader · InvalidTime · InvalidCron · InvalidTimezone
    │   ├── InvalidId · InvalidCursor · InvalidJson · UnknownField · InvalidSecret · InvalidTopology
    │   ├── TlsRequired
    ├── Unauthorized              401  ClockDiffers
    ├── Forbidden                 403  HostNotAllowed is a 403, too
    ├── NotFound                  404  JobNotFound · ScheduleNotFound · DestinationNotFound · ClusterNotFound ·
    │                                  KeyNotFound · TenantNotFound · RouteNotFound
    ├── MethodNotAllowed          405
    ├── Conflict                  409  JobNotPending · JobNotRetryable · JobFinished · JobRunning ·
    │                                  JobNotFinished · PayloadRemoved · ScheduleExists
    │                                  EpochUnknown · EpochTaken · ChangeOpen · MoveOpen ·
    │                                  NothingMoves · NotDecider · SettingsNeeded ·
    │                                  SecretKeyDiffers · TooManyKeys · TooManyTenants
    ├── PayloadTooLarge           413  (BatchTooLarge)
    ├── UnsupportedMedia          415
    ├── RangeNotSatisfiable       416
    ├── Misdirected               421  WrongCluster
    ├── IdempotencyMismatch       422
    ├── TooManyRequests           429  QueueFull · TenantLimit · TooManyBadKeys
    ├── Internal                  500  the fault is ours
    └── Unavailable               503  NotLeader · Overloaded · ShuttingDown · NotEnoughSpace · SnapshotUnavailable
                                       ClusterUnavailable · AllClustersUnavailable
                                       (these surely did not accept the request)

``InvalidUsage``, ``Interrupted``, ``BackupDamaged`` and ``BackupOfOtherRelease`` are said by the command line alone.

``ResolveFailed`` stays inside a node: it is the reason of a failed attempt.

Errors that stop a node instead of answering a request: ``NodeFault`` (DataDirectoryInUse, NodeNameInUse,
StateDamaged, RestoreBrokenOff, DiskFault, UnknownCommand, LogFault (Fenced, Compacted, EntryDamaged), InvalidConfig,
SecretKeyMissing, ForeignState, Halted).
"""

from collections.abc import Iterator
from typing import ClassVar


class HooklineError(Exception):
    """Something went wrong in Hookline."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str | None = None,
        *,
        field: str | None = None,
        retry_after_s: int | None = None,
        **figures: object,
    ) -> None:
        self.detail = detail or self.title()
        self.field = field
        self.retry_after_s = retry_after_s
        self.figures = figures
        super().__init__(self.detail)

    @classmethod
    def title(cls) -> str:
        """The first line of the class docstring: the same for every instance."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]

    def to_problem(self) -> dict[str, object]:
        """The RFC 9457 document for this error, ready for JSON."""
        problem: dict[str, object] = {
            "type": f"https://hookline.dev/errors/{self.code}",
            "title": self.title(),
            "status": self.http_status,
            "code": self.code,
            "detail": self.detail,
            "retryable": self.retryable,
        }
        if self.field is not None:
            problem["field"] = self.field
        if self.retry_after_s is not None:
            problem["retry_after"] = self.retry_after_s
        return problem | self.figures


# --- 400: the request has to change -------------------------------------------------------------------------


class InvalidRequest(HooklineError):
    """The request is not valid; correct the named field and send it again."""

    code = "invalid_request"
    http_status = 400


class TlsRequired(InvalidRequest):
    """This address speaks TLS; let it begin with https://."""

    code = "tls_required"


class InvalidJson(InvalidRequest):
    """The body is not the JSON this call expects; send one UTF-8 JSON document."""

    code = "invalid_json"


class UnknownField(InvalidRequest):
    """The body has a field this call does not know, or one that is read-only; remove it."""

    code = "unknown_field"


class InvalidUrl(InvalidRequest):
    """The url cannot be called; use http:// or https:// with a plain host name or address."""

    code = "invalid_url"


class ForbiddenDestination(InvalidUrl):
    """This node may not call that url; the detail says why, and which of its settings allows it."""

    code = "forbidden_destination"


class InvalidHeader(InvalidRequest):
    """A header cannot be sent; remove it or change its name or value."""

    code = "invalid_header"


class InvalidTime(InvalidRequest):
    """A time or duration cannot be read; use RFC 3339 with a zone, or "1h30m" or seconds."""

    code = "invalid_time"


class InvalidCron(InvalidRequest):
    """The cron expression cannot be read; use five fields such as "*/5 * * * *"."""

    code = "invalid_cron"


class InvalidTimezone(InvalidRequest):
    """The time zone is not known; use an IANA name such as "Europe/Berlin"."""

    code = "invalid_timezone"


class InvalidId(InvalidRequest):
    """The id is not valid; use 1 to 128 of the characters A-Z a-z 0-9 _ : - (no dot)."""

    code = "invalid_id"


class InvalidCursor(InvalidRequest):
    """The cursor is not one this service gave out; start again without a cursor."""

    code = "invalid_cursor"


class InvalidTopology(InvalidRequest):
    """The topology is not valid; correct the named field."""

    code = "invalid_topology"


class InvalidSecret(InvalidRequest):
    """The signing secret cannot be used; give whsec_ with 24 to 64 bytes in base64, or whsk_ with an ed25519 key."""

    code = "invalid_secret"


# --- 401, 403 -----------------------------------------------------------------------------------------------


class Unauthorized(HooklineError):
    """The call needs a valid API key; send one as Authorization: Bearer KEY."""

    code = "unauthorized"
    http_status = 401


class ClockDiffers(Unauthorized):
    """The clocks of two machines of this service are too far apart; set the wrong one right (NTP)."""

    code = "clock_differs"


class Forbidden(HooklineError):
    """The API key does not have the scope that this call needs, or is another tenant's; use another key."""

    code = "forbidden"
    http_status = 403


# --- 404, 405, 409 ------------------------------------------------------------------------------------------


class NotFound(HooklineError):
    """There is nothing here under that name."""

    code = "not_found"
    http_status = 404


class JobNotFound(NotFound):
    """There is no job with that id; it may have been purged after its retention time."""

    code = "job_not_found"


class ScheduleNotFound(NotFound):
    """There is no schedule with that id."""

    code = "schedule_not_found"


class DestinationNotFound(NotFound):
    """No job or setting names that destination yet."""

    code = "destination_not_found"


class ClusterNotFound(NotFound):
    """The topology has no cluster of that name; GET /clusters lists them."""

    code = "cluster_not_found"


class KeyNotFound(NotFound):
    """No API key has this id, or it was revoked."""

    code = "key_not_found"


class TenantNotFound(NotFound):
    """No tenant has that name: there are no settings, jobs or keys of it."""

    code = "tenant_not_found"


class RouteNotFound(NotFound):
    """There is no such call; /docs lists them all."""

    code = "route_not_found"


class MethodNotAllowed(HooklineError):
    """This path does not take that method; the Allow header lists those it takes."""

    code = "method_not_allowed"
    http_status = 405


class Conflict(HooklineError):
    """The request does not fit the present state."""

    code = "conflict"
    http_status = 409


class JobNotPending(Conflict):
    """Only a pending job can be changed or run now; this one is running or finished."""

    code = "job_not_pending"


class JobNotRetryable(Conflict):
    """Only a finished job can be retried; this one is still pending or running."""

    code = "job_not_retryable"


class JobRunning(Conflict):
    """A running job cannot be deleted; cancel it first, then delete it."""

    code = "job_running"


class JobNotFinished(Conflict):
    """Only a finished job can lose its payload; cancel this one first, or delete it as a whole."""

    code = "job_not_finished"


class PayloadRemoved(Conflict):
    """The payload of the job was deleted, so it cannot be sent again; create a new job."""

    code = "payload_removed"


class JobFinished(Conflict):
    """The job has already finished; there is nothing left to cancel."""

    code = "job_finished"


class ScheduleExists(Conflict):
    """A schedule with that id exists and differs; change it with PATCH."""

    code = "schedule_exists"


class EpochUnknown(Conflict):
    """The call carries a newer epoch than this cluster has seen; give it that topology, then repeat the call."""

    code = "epoch_unknown"


class EpochTaken(Conflict):
    """Another topology has that epoch already; fetch it, and apply yours with the next epoch."""

    code = "epoch_taken"


class ChangeOpen(Conflict):
    """A change of the topology is open; end it or take it back before the next one, or force it."""

    code = "change_open"


class MoveOpen(Conflict):
    """Jobs still have to move before the change can end; wait for it, or take it back."""

    code = "move_open"


class NothingMoves(Conflict):
    """No change of the topology is under way."""

    code = "nothing_moves"


class NotDecider(Conflict):
    """This cluster does not decide about the next topology; apply it through a proxy, which knows who does."""

    code = "not_decider"


class SettingsNeeded(Conflict):
    """This cluster joins the fleet, or was away; it takes the topology only after the settings of destinations."""

    code = "settings_needed"


class SecretKeyDiffers(Conflict):
    """A signing secret of the fleet is sealed with a key this cluster does not have; give its nodes that key."""

    code = "secret_key_differs"


# --- 413, 415, 416, 422, 429 --------------------------------------------------------------------------------


class TooManyKeys(Conflict):
    """There are as many API keys as there may be; revoke some that nobody needs."""

    code = "too_many_keys"


class TooManyTenants(Conflict):
    """There is no room for the settings of another tenant; delete those of tenants that are gone."""

    code = "too_many_tenants"


class PayloadTooLarge(HooklineError):
    """The body is larger than this service takes."""

    code = "payload_too_large"
    http_status = 413


class BatchTooLarge(PayloadTooLarge):
    """The batch has too many jobs; split it."""

    code = "batch_too_large"


class UnsupportedMedia(HooklineError):
    """The body must be plain JSON: no content encoding, no other media type."""

    code = "unsupported_media"
    http_status = 415


class RangeNotSatisfiable(HooklineError):
    """The range begins behind the end of the file; ask for one that is in it."""

    code = "range_not_satisfiable"
    http_status = 416


class HostNotAllowed(HooklineError):
    """A process that listens at a loopback address does not know that Host name; allow it with --allow-hosts."""

    code = "host_not_allowed"
    http_status = 403


class Misdirected(HooklineError):
    """This cluster is not the home of that id or key, or the topology is outdated; send it to its home or a proxy."""

    code = "misdirected"
    http_status = 421


class WrongCluster(Misdirected):
    """The call was meant for another cluster than this one; correct the urls in the topology."""

    code = "wrong_cluster"


class Moved(HooklineError):
    """It is at another cluster, since the topology changed; ``shard`` says at which. A proxy asks there by itself."""

    code = "moved"
    http_status = 421


class ClusterLeft(HooklineError):
    """This cluster was taken out of the topology: nothing new begins here. Use a proxy."""

    code = "cluster_left"
    http_status = 421


class BatchUnknown(HooklineError):
    """A batch that another cluster gave up did not arrive here before; it is to be sent again."""

    code = "batch_unknown"
    http_status = 409


class IdempotencyMismatch(HooklineError):
    """The idempotency key or id was used before with another body; use a new one."""

    code = "idempotency_mismatch"
    http_status = 422


class TooManyRequests(HooklineError):
    """Too many requests; come back after the time in Retry-After."""

    code = "too_many_requests"
    http_status = 429
    retryable = True


class TooManyBadKeys(TooManyRequests):
    """Too many requests without a valid key came from this address; a valid key is served."""

    code = "too_many_bad_keys"


class QueueFull(TooManyRequests):
    """The queue is full; nothing was stored. Come back after the time in Retry-After."""

    code = "queue_full"


class TenantLimit(TooManyRequests):
    """The tenant has reached a limit of its own; nothing was stored. Come back after the time in Retry-After."""

    code = "tenant_limit"


# --- 500, 503 -----------------------------------------------------------------------------------------------


class Internal(HooklineError):
    """The fault is ours and was logged; the request may be sent again with the same id or key."""

    code = "internal"
    http_status = 500
    retryable = True


class Unavailable(HooklineError):
    """The service cannot take this request now; it was not accepted, send it again."""

    code = "unavailable"
    http_status = 503
    retryable = True


class NotLeader(Unavailable):
    """This node does not lead its cluster and no leader is known; the request was not accepted."""

    code = "no_leader"


class Arriving(Unavailable):
    """The job or schedule is on its way here from another cluster; send the request again."""

    code = "arriving"


class Overloaded(Unavailable):
    """The node is too busy to take this request; it was not accepted."""

    code = "overloaded"


class ShuttingDown(Unavailable):
    """The node is shutting down; the request was not accepted."""

    code = "shutting_down"


class ClusterUnavailable(Unavailable):
    """The home cluster of that id or key cannot be reached; the request was not accepted, send it again."""

    code = "cluster_unavailable"


class AllClustersUnavailable(Unavailable):
    """No cluster can take the request now; it was not accepted, send it again."""

    code = "all_clusters_unavailable"


class NotEnoughSpace(Unavailable):
    """The disk has too little room for a copy of the state; make room and try again."""

    code = "not_enough_space"


class SnapshotUnavailable(Unavailable):
    """No node gave a copy of its state that passed the checks; try again when one is up."""

    code = "snapshot_unavailable"


# --- what the SDK adds --------------------------------------------------------------------------------------


class ConnectionFailed(HooklineError):
    """The service could not be reached; check the address and that it is running."""

    code = "connection_failed"
    http_status = 503
    retryable = True


class DeadlineExceeded(HooklineError):
    """No answer came in time; the request may or may not have been accepted. Repeat it with the same id or key."""

    code = "deadline_exceeded"
    http_status = 504
    retryable = True


class ForeignAnswer(HooklineError):
    """Something other than Hookline answered; check the address, and what stands in between."""

    code = "foreign_answer"
    http_status = 502


class ClientClosed(HooklineError):
    """This client is closed; make a new one, or close it only after the last call."""

    code = "client_closed"


class ExtraMissing(HooklineError):
    """A part of Hookline that this needs is not installed; install it as the detail says."""

    code = "extra_missing"


class InvalidSignature(HooklineError):
    """The webhook's signature does not verify; do not trust this request."""

    code = "invalid_signature"
    http_status = 401


# --- inside a node: never an answer of the API, only the reason of a failed attempt ---------------------------


class ResolveFailed(HooklineError):
    """The host name of the destination could not be resolved; the attempt is retried by the job's policy."""

    code = "resolve_failed"
    http_status = 502
    retryable = True

    @property
    def reason(self) -> str:
        """``nxdomain``, ``timeout``, ``servfail``, ``refused`` or ``ours``: this node lacked what a lookup needs."""
        return str(self.figures.get("reason", "servfail"))


# --- errors that stop a node --------------------------------------------------------------------------------


class NodeFault(HooklineError):
    """The node cannot go on."""

    code = "node_fault"


class InvalidUsage(HooklineError):
    """The command was called wrongly; add --help to see how it is used."""

    code = "invalid_usage"
    http_status = 400


class Interrupted(HooklineError):
    """The command was interrupted before it was done; look before you repeat it."""

    code = "interrupted"


class BackupDamaged(HooklineError):
    """The backup is damaged or not whole; copy it again from where it was made, or restore another one."""

    code = "backup_damaged"


class BackupOfOtherRelease(HooklineError):
    """The backup was made by another release of Hookline; restore it with that release."""

    code = "backup_of_other_release"


class InvalidConfig(NodeFault):
    """A setting is not valid; correct it and start again."""

    code = "invalid_config"


class SecretKeyMissing(NodeFault):
    """A stored secret or payload was sealed with a key this node does not have; add that key and start again."""

    code = "secret_key_missing"


class DataDirectoryInUse(NodeFault):
    """Another process holds the data directory; stop it or choose another directory."""

    code = "data_directory_in_use"


class NodeNameInUse(NodeFault):
    """Another node of the cluster runs under this name; choose another name, or stop that node."""

    code = "node_name_in_use"


class StateDamaged(NodeFault):
    """The database in the data directory is damaged; restore a backup or reinstall from a peer."""

    code = "state_damaged"


class StateDiffers(StateDamaged):
    """This node's state is the odd one out; it is kept aside, and another one is installed from a peer."""

    code = "state_differs"


class ForeignState(NodeFault):
    """The state is another cluster's, or of another time of this one; give the node its own directory and etcd."""

    code = "foreign_state"


class Halted(NodeFault):
    """The node waits for a person: it cannot tell by itself which state is right. Nothing is accepted or sent."""

    code = "halted"


class RestoreBrokenOff(NodeFault):
    """A restore into the data directory was broken off; run it again."""

    code = "restore_broken_off"


class DiskFault(NodeFault):
    """The disk of the data directory is full, read-only or failing; mend it and start again."""

    code = "disk_fault"


class UnknownCommand(NodeFault):
    """The log holds a command or version this release does not know; upgrade me."""

    code = "unknown_command"


class LogFault(NodeFault):
    """The replicated log did not take or give an entry."""

    code = "log_fault"
    is_outage: ClassVar[bool] = False  # what it is kept in does not answer; whoever holds the connection tells that


class Fenced(LogFault):
    """A newer term owns the log; this leader steps down."""

    code = "fenced"


class Compacted(LogFault):
    """The entries asked for were truncated; install a snapshot."""

    code = "compacted"


class EntryDamaged(LogFault):
    """An entry's checksum does not match its bytes."""

    code = "entry_damaged"


class EntryTooLarge(LogFault):
    """The entry is larger than the log takes."""

    code = "entry_too_large"


def all_errors(root: type[HooklineError] = HooklineError) -> Iterator[type[HooklineError]]:
    """Every error class of this module, parents before children, in the order they are defined.

    Classes that other modules derive never leave the process.
    """
    yield root
    for child in root.__subclasses__():
        if child.__module__ == __name__:
            yield from all_errors(child)


def by_code() -> dict[str, type[HooklineError]]:
    """The classes by their ``code``, for the SDK to raise what the service answered."""
    return {error.code: error for error in all_errors()}


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The exceptions themselves, out of groups within groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error
