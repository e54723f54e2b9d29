"""One row a call: everything that is true of it, for nodes, proxies, the SDK and the API's description. Pure data.

Who answers a call binds its handler by the row's name. Prose, examples and errors are in ``http_api/operations.py``.
"""

from typing import Literal
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from hookline.protocol.api_keys import KeyScope
from hookline.protocol.limits import ENTRY_BYTES_MAX, GATHERED_BYTES_MAX, KIB, REQUEST_BYTES_MAX, TOPOLOGY_BYTES_MAX

Server = Literal["node", "proxy", "worker"]
BOTH: tuple[Server, ...] = ("node", "proxy")
Scope = KeyScope | Literal["open", "internal"]
Keyless = Literal["open", "here", "closed"]
Repeatable = Literal["always", "named", "dry_run", "never"]
AnsweredBy = Literal["self", "leader", "any"]
EpochCheck = Literal["no", "if_given", "required"]
Audited = Literal["no", "always", "changes"]
AtProxy = Literal["self", "topology", "any", "one", "home", "new_home", "all", "nothing"]

_EMPTY = KIB  # of a call that takes no body, where clients send "{}" or white space all the same
_SETTINGS = 64 * KIB

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, section 9.2.1


class Call(Struct, frozen=True):
    """One method on one path.

    Attributes:
        name: its ``operationId``, by which handlers are bound to it.
        method: ``GET`` answers ``HEAD`` too.
        path: with at most one parameter, in braces; ``{host}`` takes all that is left of the path.
        scope: what a caller must be allowed: to read, to write, to take back what was accepted (``cancel``), or what
            operators do (``admin``). ``open``: anybody may ask, as load balancers do. ``internal``: proxies, nodes and
            workers may, by a proof, and operators with ``admin``; see ``http_api/inner_door.py``.
        at_proxy: how a proxy answers. By itself; by the topology it knows; by asking any cluster, the one that is
            meant, the home of the id in the path, the home of something new, or all clusters.
        servers: who has the call.
        repeatable: may it be sent again when an earlier try may have been accepted? ``named``: if an id or key names
            what is created, which SDK and proxies see to. ``dry_run``: only if it changes nothing.
        gone_code: with this code a repeated call has done what it should, if an earlier try may have been accepted:
            what it was to delete is not there.
        answered_by: the leader; any node, if the caller says ``consistency=local``; or each node for itself, even one
            that is overloaded or leads nobody.
        checks_epoch: is the topology that the caller routed by compared with the cluster's? ``required``: the caller
            must say which it was.
        keyless: who may make an internal call where nobody is asked for a key: whoever reaches the node; whoever
            does from ``here``, at a node that only its own machine reaches; or nobody without a proof (``closed``).
        audited: does it leave a row in the audit log? ``changes``: only if it changed something, as what our
            processes repeat all the time.
        of_service: it is about the service, not about what a tenant has: only keys of the default tenant open it.
        body_bytes_max: 0: the body is not looked at.
        carries_job: a node takes less than ``body_bytes_max``, by the payload that its operator allows.
    """

    name: str
    method: str
    path: str
    scope: Scope
    at_proxy: AtProxy = "nothing"
    servers: tuple[Server, ...] = BOTH
    repeatable: Repeatable = "always"
    gone_code: str = ""
    answered_by: AnsweredBy = "leader"
    checks_epoch: EpochCheck = "if_given"
    keyless: Keyless = "open"
    audited: Audited = "no"
    of_service: bool = False
    body_bytes_max: int = 0
    carries_job: bool = False

    @property
    def needed_scope(self) -> KeyScope | None:
        """The scope that the caller's key has to have, if it proves nothing; None: the call asks for no key."""
        if self.scope == "internal":
            return "admin"
        return None if self.scope == "open" else self.scope

    @property
    def is_safe(self) -> bool:
        """It changes nothing."""
        return self.method in SAFE_METHODS

    def may_repeat(self, *, is_named: bool = False, is_dry_run: bool = False) -> bool:
        """May this one be sent again when an earlier try may have been accepted?"""
        match self.repeatable:
            case "named":
                return is_named
            case "dry_run":
                return is_dry_run
            case _:
                return self.repeatable == "always"

    def path_of(self, value: str) -> str:
        """The path with its parameter filled in. Raises UnicodeEncodeError for a value that is not text."""
        before, _, rest = self.path.partition("{")
        return before + quote(value, safe="") + rest.partition("}")[2]


def _read(name: str, path: str, at_proxy: AtProxy) -> Call:
    """A call that reads the cluster's state."""
    return Call(name, "GET", path, "read", at_proxy, answered_by="any")


def _own(name: str, path: str, scope: Scope, at_proxy: AtProxy = "self", servers: tuple[Server, ...] = BOTH) -> Call:
    """A call about the process itself."""
    return Call(name, "GET", path, scope, at_proxy, servers, answered_by="self", checks_epoch="no", of_service=True)


def _job(name: str, method: str, path: str, at_proxy: AtProxy, repeatable: Repeatable) -> Call:
    """A call whose body is a job, or a part of one."""
    limit = REQUEST_BYTES_MAX
    return Call(name, method, path, "write", at_proxy, repeatable=repeatable, body_bytes_max=limit, carries_job=True)


def _bulk(name: str, path: str, scope: Scope, repeatable: Repeatable) -> Call:
    """A call that changes many jobs."""
    call = _job(name, "POST", path, "all", repeatable)
    return replace(call, scope=scope, audited="always")


def _admin(
    name: str,
    method: str,
    path: str,
    at_proxy: AtProxy,
    *,
    repeatable: Repeatable = "always",
    gone_code: str = "",
    of_service: bool = False,
    body_bytes_max: int = 0,
) -> Call:
    """A call by which an operator changes something for all."""
    return Call(
        name,
        method,
        path,
        "admin",
        at_proxy,
        repeatable=repeatable,
        gone_code=gone_code,
        audited="always",
        of_service=of_service,
        body_bytes_max=body_bytes_max,
    )


def _act(name: str, path: str, scope: Scope, repeatable: Repeatable) -> Call:
    """A call without a body that does something with one job or schedule."""
    return Call(name, "POST", path, scope, "home", repeatable=repeatable, body_bytes_max=_EMPTY)


def _fleet(name: str, method: str, path: str, scope: Scope, at_proxy: AtProxy, body_bytes_max: int = 0) -> Call:
    """A call that only proxies have."""
    repeatable: Repeatable = "never" if method in ("POST", "PATCH") else "always"
    audited: Audited = "always" if scope == "admin" else "no"
    return Call(
        *(name, method, path, scope, at_proxy, ("proxy",)),
        repeatable=repeatable,
        audited=audited,
        of_service=True,
        body_bytes_max=body_bytes_max,
    )


def _internal(
    name: str,
    method: str,
    path: str,
    *,
    answered_by: AnsweredBy = "leader",
    checks_epoch: EpochCheck = "no",
    keyless: Keyless = "open",
    audited: Audited = "no",
    body_bytes_max: int = 0,
) -> Call:
    """A call that proxies and nodes make: docs/reference/internal-http.md."""
    return Call(
        name,
        method,
        f"/internal/{path}",
        "internal",
        servers=("node",),
        answered_by=answered_by,
        checks_epoch=checks_epoch,
        keyless=keyless,
        audited=audited,
        body_bytes_max=body_bytes_max,
    )


_ROWS = (
    # Why a PATCH is not sent again, and a DELETE is: docs/decisions/0022-one-table-of-calls.md.
    _job("createJob", "POST", "/jobs", "new_home", "named"),
    Call("createBatch", "POST", "/jobs/batch", "write", "new_home", BOTH, "named", body_bytes_max=REQUEST_BYTES_MAX),
    _read("listJobs", "/jobs", "all"),
    _read("getJob", "/jobs/{id}", "home"),
    _read("listAttempts", "/jobs/{id}/attempts", "home"),
    _job("updateJob", "PATCH", "/jobs/{id}", "home", "never"),
    _act("cancelJob", "/jobs/{id}/cancel", "cancel", "always"),
    _job("retryJob", "POST", "/jobs/{id}/retry", "home", "never"),
    _act("runJob", "/jobs/{id}/run", "write", "never"),
    Call("deleteJob", "DELETE", "/jobs/{id}", "cancel", "home", gone_code="job_not_found", body_bytes_max=_EMPTY),
    Call("deletePayload", "DELETE", "/jobs/{id}/payload", "cancel", "home", body_bytes_max=_EMPTY),
    _bulk("retryJobs", "/jobs/retry", "write", "dry_run"),
    _bulk("cancelJobs", "/jobs/cancel", "cancel", "always"),
    _job("createSchedule", "POST", "/schedules", "new_home", "named"),
    _read("listSchedules", "/schedules", "all"),
    _read("previewSchedule", "/schedules/preview", "any"),
    _read("getSchedule", "/schedules/{id}", "home"),
    _read("listTicks", "/schedules/{id}/ticks", "home"),
    _job("updateSchedule", "PATCH", "/schedules/{id}", "home", "never"),
    Call("deleteSchedule", "DELETE", "/schedules/{id}", "cancel", "home", gone_code="schedule_not_found"),
    _act("pauseSchedule", "/schedules/{id}/pause", "write", "always"),
    _act("resumeSchedule", "/schedules/{id}/resume", "write", "always"),
    _act("runSchedule", "/schedules/{id}/run", "write", "never"),
    _read("listDestinations", "/destinations", "all"),
    _read("getDestination", "/destinations/{host}", "all"),
    _admin("putDestination", "PUT", "/destinations/{host}", "all", body_bytes_max=_SETTINGS),
    _admin("deleteDestination", "DELETE", "/destinations/{host}", "all", gone_code="destination_not_found"),
    _fleet("listClusters", "GET", "/clusters", "read", "all"),
    _fleet("getOneCluster", "GET", "/clusters/{name}", "read", "one"),
    _fleet("changeOneCluster", "PATCH", "/clusters/{name}", "admin", "one", _SETTINGS),
    _fleet("handOneOver", "POST", "/clusters/{name}/handover", "admin", "one", _EMPTY),
    _fleet("getTopology", "GET", "/topology", "read", "topology"),
    _fleet("putTopology", "PUT", "/topology", "admin", "topology", TOPOLOGY_BYTES_MAX),
    _fleet("getTopologyStatus", "GET", "/topology/status", "read", "all"),
    # It probes what the document names: not for everybody who may read.
    replace(
        _fleet("planTopology", "POST", "/topology/plan", "admin", "all", TOPOLOGY_BYTES_MAX),
        repeatable="always",
        audited="no",
    ),
    replace(_fleet("pauseMove", "POST", "/topology/pause", "admin", "topology", _EMPTY), repeatable="always"),
    replace(_fleet("resumeMove", "POST", "/topology/resume", "admin", "topology", _SETTINGS), repeatable="always"),
    _fleet("abortMove", "POST", "/topology/abort", "admin", "topology", _EMPTY),
    _fleet("balanceTopology", "GET", "/topology/balance", "read", "all"),
    _fleet("getRoute", "GET", "/topology/route", "read", "topology"),
    _own("getCluster", "/cluster", "read", "one"),
    _admin("changeCluster", "PATCH", "/cluster", "one", repeatable="never", of_service=True, body_bytes_max=_SETTINGS),
    _admin("handover", "POST", "/cluster/handover", "one", repeatable="never", of_service=True, body_bytes_max=_EMPTY),
    Call(
        "trustClock",
        "POST",
        "/cluster/clock",
        "admin",
        servers=("node",),
        answered_by="self",
        checks_epoch="no",
        audited="always",
        of_service=True,
        body_bytes_max=_SETTINGS,
    ),
    _admin("createKey", "POST", "/keys", "all", repeatable="never", body_bytes_max=_SETTINGS),
    Call("listKeys", "GET", "/keys", "admin", "all", answered_by="any"),
    Call("getOwnKey", "GET", "/keys/self", "read", "self", answered_by="self", checks_epoch="no"),
    Call("getKey", "GET", "/keys/{id}", "admin", "all", answered_by="any"),
    _admin("rotateKey", "POST", "/keys/{id}/rotate", "all", repeatable="never", body_bytes_max=_SETTINGS),
    _admin("revokeKey", "DELETE", "/keys/{id}", "all", gone_code="key_not_found", body_bytes_max=_EMPTY),
    _own("getLogLevels", "/logs/levels", "admin"),
    Call(
        *("changeLogLevels", "PATCH", "/logs/levels", "admin", "self"),
        repeatable="never",
        answered_by="self",
        checks_epoch="no",
        of_service=True,
        body_bytes_max=_SETTINGS,
    ),
    Call("listAudit", "GET", "/audit", "admin", "all", answered_by="any", of_service=True),
    Call("listTenants", "GET", "/tenants", "admin", "all", answered_by="any", of_service=True),
    Call("getTenant", "GET", "/tenants/{tenant}", "admin", "all", answered_by="any", of_service=True),
    _admin("putTenant", "PUT", "/tenants/{tenant}", "all", of_service=True, body_bytes_max=_SETTINGS),
    _admin("deleteTenant", "DELETE", "/tenants/{tenant}", "all", gone_code="tenant_not_found", of_service=True),
    _own("getHealth", "/health", "open"),
    _own("getLivez", "/livez", "open", servers=(*BOTH, "worker")),
    _own("getReadyz", "/readyz", "open", servers=(*BOTH, "worker")),
    _own("getMetrics", "/metrics", "read", servers=(*BOTH, "worker")),
    _own("getOpenapi", "/openapi.json", "open"),
    _own("getDocs", "/docs", "open"),
    _internal("readClock", "GET", "clock", answered_by="self"),
    _internal("readCluster", "GET", "cluster", answered_by="self"),
    _internal("readPosition", "GET", "position", answered_by="self"),
    _internal("describeSnapshot", "GET", "snapshot", answered_by="self", keyless="here"),
    _internal("readSnapshot", "GET", "snapshot/{name}", answered_by="self", keyless="here"),
    _internal("readTopology", "GET", "topology", answered_by="any"),
    _internal("takeTopology", "PUT", "topology", audited="changes", body_bytes_max=TOPOLOGY_BYTES_MAX),
    _internal("readSettings", "GET", "destinations", answered_by="any", checks_epoch="required"),
    _internal("takeSettings", "PUT", "destinations", audited="changes", body_bytes_max=1024 * KIB),
    _internal("readKeys", "GET", "keys", answered_by="any"),
    _internal("takeKeys", "PUT", "keys", audited="changes", body_bytes_max=1024 * KIB),
    _internal("takeNote", "POST", "audit", body_bytes_max=8 * KIB),
    _internal("createGathered", "POST", "jobs", checks_epoch="if_given", body_bytes_max=2 * GATHERED_BYTES_MAX),
    _internal("takeArrival", "POST", "moves/arrivals", checks_epoch="if_given", body_bytes_max=2 * ENTRY_BYTES_MAX),
    _internal("activateArrival", "POST", "moves/activations", body_bytes_max=64 * KIB),
    _internal("forgetPointer", "POST", "moves/forgotten", body_bytes_max=8 * KIB),
    _internal("readMoves", "GET", "moves"),
    _internal("planMoves", "POST", "moves/plan", body_bytes_max=TOPOLOGY_BYTES_MAX),
    _internal("confirmAbsence", "POST", "absence", checks_epoch="required", body_bytes_max=8 * KIB),
    _internal(
        "exchange", "POST", "exchange", checks_epoch="if_given", keyless="closed", body_bytes_max=2 * ENTRY_BYTES_MAX
    ),
)

CALLS: dict[str, Call] = {call.name: call for call in _ROWS}
"""By name, in the order in which they are described."""


def calls_of(server: Server) -> tuple[Call, ...]:
    """Those that a node or a proxy answers."""
    return tuple(call for call in _ROWS if server in call.servers)
