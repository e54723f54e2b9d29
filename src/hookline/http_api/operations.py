"""Every public call in words: what /openapi.json, /docs and the reference page say of the rows in protocol.calls."""

from typing import Any

from hookline import errors as e
from hookline.http_api.audit_operations import AUDIT
from hookline.http_api.fleet_operations import FLEET
from hookline.http_api.key_operations import KEYS
from hookline.http_api.log_operations import LOGS
from hookline.http_api.operation import BODY, JOB_FIELDS, NO_BODY, PAGE, SHOP, Operation
from hookline.http_api.schedule_operations import SCHEDULES
from hookline.http_api.tenant_operations import TENANTS
from hookline.protocol import http
from hookline.protocol.calls import Server

_JOB_ID = (e.InvalidId, e.JobNotFound)

COMMON_REFUSALS: dict[Server, tuple[type[e.HooklineError], ...]] = {
    "node": (e.InvalidRequest, e.Internal, e.Unavailable, e.Overloaded, e.ShuttingDown, e.DeadlineExceeded),
    "proxy": (
        *(e.InvalidRequest, e.Internal, e.Overloaded, e.DeadlineExceeded),
        *(e.ClusterUnavailable, e.AllClustersUnavailable),
    ),
}
"""Any call may answer these."""

JOB_EXAMPLE = {
    "url": f"{SHOP}/order-paid",
    "payload": {"order": 4711, "paid": True},
    "delay": "10m",
    "retry": {"max_attempts": 8, "initial": "5s", "max": "1h"},
    "labels": {"tenant": "a1"},
}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="createJob",
        tag="Jobs",
        summary="Create a job",
        description=(
            "One HTTP call to make: now, after `delay`, or at `run_at`. The payload is sent on byte for byte as it "
            "came. With an `id` of your own or an `Idempotency-Key` the request can be repeated safely: the same again "
            "answers 200 with `deduplicated`, the same with another body 422."
        ),
        headers=("Idempotency-Key", "Prefer", "traceparent", "tracestate"),
        proxy_headers=("Hookline-Fallback",),
        body=http.JobRequest,
        replies={
            201: ((http.Job, http.BriefJob), "Accepted and durable."),
            200: ((http.Job, http.BriefJob), "It was accepted before."),
        },
        refusals=(*JOB_FIELDS, e.InvalidId, e.IdempotencyMismatch, e.QueueFull, e.TenantLimit, e.Misdirected),
        example=JOB_EXAMPLE,
    ),
    Operation(
        name="createBatch",
        tag="Jobs",
        summary="Create up to 1,000 jobs",
        description=(
            "Each job is accepted or refused on its own; the results are in the order of the request. Give each an "
            "`id` to be able to repeat the whole batch. A bare JSON list of jobs is taken too."
        ),
        headers=("Prefer", "traceparent", "tracestate"),
        body=http.BatchRequest,
        replies={200: ((http.BatchResponse, http.BriefResponse), "The result of each job.")},
        refusals=(*BODY, e.BatchTooLarge, e.QueueFull, e.TenantLimit),
        example={"jobs": [{"id": "order-4711", "url": f"{SHOP}/paid"}, {"id": "order-4712", "url": f"{SHOP}/paid"}]},
    ),
    Operation(
        name="listJobs",
        tag="Jobs",
        summary="List jobs",
        description=(
            "Newest first, without payloads. A page may be short although there is more: go on for as long as "
            "`next_cursor` is not null."
        ),
        query=(*http.FILTERS, "limit", "cursor"),
        replies={200: (http.JobPage, "A page of jobs.")},
        refusals=(*PAGE, e.InvalidTime, e.InvalidUrl, e.InvalidId),
    ),
    Operation(
        name="getJob",
        tag="Jobs",
        summary="Get a job",
        description="With its payload, its last attempt, and why it waits if it does.",
        replies={200: (http.Job, "The job.")},
        refusals=_JOB_ID,
    ),
    Operation(
        name="listAttempts",
        tag="Jobs",
        summary="List the attempts of a job",
        description="Oldest first, with what the receiver answered.",
        replies={200: (http.AttemptList, "All attempts.")},
        refusals=_JOB_ID,
    ),
    Operation(
        name="updateJob",
        tag="Jobs",
        summary="Change a pending job",
        description="Fields that are not given stay. `retry`, `headers` and `labels` are replaced as a whole.",
        body=http.JobChanges,
        replies={200: (http.Job, "The job as it is now.")},
        refusals=(*_JOB_ID, *JOB_FIELDS, e.JobNotPending, e.Conflict, e.QueueFull, e.TenantLimit),
        example={"delay": "1h", "priority": 10},
    ),
    Operation(
        name="cancelJob",
        tag="Jobs",
        summary="Cancel a job",
        description="Pending or running; a running attempt is aborted. Cancelling twice is fine.",
        replies={200: (http.Job, "The cancelled job.")},
        refusals=(*_JOB_ID, *NO_BODY, e.JobFinished),
    ),
    Operation(
        name="retryJob",
        tag="Jobs",
        summary="Retry a finished job",
        description="It is pending again with a fresh budget of attempts. The body may override any of its fields.",
        body=http.JobChanges,
        body_required=False,
        replies={200: (http.Job, "The pending job.")},
        refusals=(*_JOB_ID, *JOB_FIELDS, e.JobNotRetryable, e.PayloadRemoved, e.QueueFull, e.TenantLimit),
        example={"url": f"{SHOP}/order-paid-v2"},
    ),
    Operation(
        name="runJob",
        tag="Jobs",
        summary="Run a pending job now",
        replies={200: (http.Job, "The job, due now.")},
        refusals=(*_JOB_ID, *NO_BODY, e.JobNotPending, e.Conflict),
    ),
    Operation(
        name="deleteJob",
        tag="Jobs",
        summary="Delete a job",
        description=(
            "Pending or finished, with its payload, attempts and labels; a pending one is never sent. Its id and its "
            "idempotency key are free again: the same request makes a new job."
        ),
        replies={204: (None, "It is gone.")},
        refusals=(*_JOB_ID, *NO_BODY, e.JobRunning, e.Conflict),
    ),
    Operation(
        name="deletePayload",
        tag="Jobs",
        summary="Delete the payload of a finished job",
        description=(
            "Its body, the values of its headers, its own secret, and what was answered to its attempts. The job stays "
            "with `payload_removed`, and cannot be retried any more. Deleting it twice is fine."
        ),
        replies={200: (http.Job, "The job without its payload.")},
        refusals=(*_JOB_ID, *NO_BODY, e.JobNotFinished, e.Conflict),
    ),
    Operation(
        name="retryJobs",
        tag="Jobs",
        summary="Retry finished jobs by filter",
        description=(
            "Without a `state` in the filter, the dead ones. `dry_run` only counts. `overrides` change each job "
            "that is retried. `more` says that `limit` was reached: call again."
        ),
        body=http.BulkRequest,
        replies={200: (http.BulkResponse, "What matched and what was changed.")},
        refusals=(*JOB_FIELDS, e.InvalidId, e.QueueFull, e.TenantLimit),
        example={"filter": {"label": "tenant=a1"}, "dry_run": True},
    ),
    Operation(
        name="cancelJobs",
        tag="Jobs",
        summary="Cancel jobs by filter",
        description="Without a `state` in the filter, pending and running ones. `dry_run` only counts.",
        body=http.BulkRequest,
        replies={200: (http.BulkResponse, "What matched and what was changed.")},
        refusals=(*BODY, e.InvalidTime, e.InvalidUrl, e.InvalidId),
        example={"filter": {"destination": "https://shop.example:443"}},
    ),
    *SCHEDULES,
    Operation(
        name="listDestinations",
        tag="Destinations",
        summary="List destinations",
        query=("limit", "cursor"),
        replies={200: (http.DestinationPage, "A page of destinations, by name.")},
        refusals=PAGE,
    ),
    Operation(
        name="getDestination",
        tag="Destinations",
        summary="Get a destination",
        description="Its limits, its breaker, what runs and waits there.",
        replies={200: (http.Destination, "The destination.")},
        refusals=(e.InvalidUrl, e.DestinationNotFound),
    ),
    Operation(
        name="putDestination",
        tag="Destinations",
        summary="Set limits and secrets of a destination",
        description="Fields that are not given stay, null returns to the default. Secrets are never shown again.",
        body=http.DestinationRequest,
        replies={200: (http.Destination, "The destination as it is now.")},
        refusals=(*BODY, e.InvalidUrl, e.InvalidTime, e.InvalidSecret),
        example={"concurrency": 5, "rate": {"limit": 100, "per": "1m"}},
    ),
    Operation(
        name="deleteDestination",
        tag="Destinations",
        summary="Delete the settings of a destination",
        description=(
            "Limits, pause, retries and secrets are the defaults again. Jobs stay; those that a pause held back go. "
            "It is not listed any more, unless unfinished jobs name it. Deleting twice is fine."
        ),
        replies={204: (None, "They are gone.")},
        refusals=(e.InvalidUrl, e.DestinationNotFound),
    ),
    *FLEET,
    Operation(
        name="getCluster",
        tag="Service",
        summary="Get the cluster",
        description="A proxy answers it when it has only one; see /clusters.",
        replies={200: (http.Cluster, "The cluster and its nodes.")},
    ),
    Operation(
        name="changeCluster",
        tag="Service",
        summary="Choose the execution mode",
        description=(
            "Which processes make attempts: `leader`, the leader's; `hybrid`, those of all nodes; `workers`, only "
            "`hookline worker` processes. Attempts under way go on. At a proxy as `GET /cluster`."
        ),
        body=http.ClusterChange,
        replies={200: (http.Cluster, "The cluster as it is now.")},
        refusals=BODY,
        example={"mode": "hybrid"},
    ),
    Operation(
        name="handover",
        tag="Service",
        summary="Hand the lead over",
        description="With one node there is nobody to hand over to, so it answers 409. At a proxy as `GET /cluster`.",
        replies={202: (dict[str, Any], "Another node is about to lead.")},
        refusals=(*NO_BODY, e.Conflict),
    ),
    Operation(
        name="trustClock",
        tag="Service",
        summary="Say that this machine's clock is right",
        description=(
            "After a jump a clock is believed again when it is back, when other nodes' clocks or the kernel agree, or "
            "by this call. Each node answers for itself. 409 when the majority of the cluster's clocks says otherwise."
        ),
        body=http.ClockWord,
        replies={200: (http.ClockView, "It is believed.")},
        refusals=(*NO_BODY, e.Conflict),
        example={"trust": True},
    ),
    *KEYS,
    *AUDIT,
    *LOGS,
    *TENANTS,
    Operation(
        name="getHealth",
        tag="Service",
        summary="Is it fit to take requests?",
        description="A node if it leads or knows who does, a proxy if one of its clusters takes jobs.",
        replies={200: (http.Health, "It is."), 503: (http.Health, "It is not; `detail` says why.")},
    ),
    Operation(
        name="getLivez",
        tag="Service",
        summary="Does the process work?",
        description=(
            "200 whenever it is answered at all: it depends on no leader, no etcd and no cluster. If it is not "
            "answered in time, restart the process."
        ),
        replies={200: (http.Probe, "It does.")},
    ),
    Operation(
        name="getReadyz",
        tag="Service",
        summary="Can it take jobs?",
        description=(
            "A node if it does not stop, and leads or knows who does; a proxy if it does not stop, and one of its "
            "clusters takes jobs. Send requests elsewhere meanwhile; a restart would not help. A full limit is not a "
            "reason: each create is told so, while reads and cancels go on."
        ),
        replies={200: (http.Probe, "It can."), 503: (http.Probe, "It cannot; `detail` says why.")},
    ),
    Operation(
        name="getMetrics",
        tag="Service",
        summary="Metrics for Prometheus",
        replies={200: ("text/plain", "The Prometheus text format.")},
    ),
    Operation(
        name="getOpenapi",
        tag="Service",
        summary="This description",
        replies={200: (dict[str, Any], "OpenAPI 3.1.")},
    ),
    Operation(
        name="getDocs",
        tag="Service",
        summary="This description as a page",
        replies={200: ("text/html", "The page. Each call can be tried on it.")},
    ),
)
