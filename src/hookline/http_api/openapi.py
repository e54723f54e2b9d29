"""The OpenAPI 3.1 document, made from the types of ``protocol.http``, the table of calls and what is said of them."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec

from hookline import errors as e
from hookline.http_api.operation import Operation
from hookline.http_api.operations import COMMON_REFUSALS, OPERATIONS
from hookline.protocol import http, limits, topology
from hookline.protocol.calls import Server
from hookline.protocol.jobs import METHODS, STATE_BY_LABEL
from hookline.protocol.tenants import TENANT_CHARS_MAX
from hookline.version import __version__

_REF = "#/components/schemas/{name}"
_ID = {
    "type": "string",
    "minLength": 1,
    "maxLength": limits.ID_CHARS_MAX,
    "pattern": "^[A-Za-z0-9_:-]+$",
}
_TENANT = {"type": "string", "minLength": 1, "maxLength": TENANT_CHARS_MAX, "pattern": "^[A-Za-z0-9._-]+$"}
_KEY = {"type": "string", "minLength": 1, "maxLength": limits.KEY_CHARS_MAX, "pattern": "^[ -~]+$"}
_TIME = {"type": "string", "format": "date-time", "examples": ["2026-11-24T14:00:00+01:00"]}
_DURATION = {"description": '"1h30m" (w d h m s ms) or a number of seconds.', "examples": ["1h30m", 90]}
_COUNT = {"type": "integer", "minimum": 1, "maximum": limits.PREVIEW_TICKS_MAX, "default": 10}
_LIMIT = {"type": "integer", "minimum": 1, "maximum": limits.PAGE_MAX, "default": limits.PAGE_DEFAULT}


def _parameter(where: str, schema: dict[str, Any], description: str, *, required: bool = False) -> dict[str, Any]:
    return {"in": where, "required": required, "schema": schema, "description": description}


PARAMETERS: dict[str, dict[str, Any]] = {
    "id": _parameter("path", _ID, "The id.", required=True),
    "host": _parameter(
        "path",
        {"type": "string", "pattern": "^[^\\u0000-\\u0020]+$", "examples": ["https://shop.example:443"]},
        "`scheme://host:port`, percent-encoded, or `host[:port]` for https.",
        required=True,
    ),
    "state": _parameter("query", {"type": "string", "enum": list(STATE_BY_LABEL)}, "Only jobs in this state."),
    "label": _parameter(
        "query",
        {"type": "string", "minLength": 1, "maxLength": 257, "examples": ["tenant=a1"]},
        "Only jobs with this label: `name=value`, or `name` for any value.",
    ),
    "action": _parameter(
        "query", {"type": "string", "minLength": 1, "examples": ["createKey"]}, "Only rows about this call; its name."
    ),
    "actor": _parameter("query", {"type": "string", "minLength": 1}, "Only rows of this API key; its id, or `root`."),
    "after": _parameter("query", _TIME, "Only rows written after this time."),
    "destination": _parameter("query", {"type": "string", "minLength": 1}, "Only jobs to this destination."),
    "created_after": _parameter("query", _TIME, "Only jobs accepted after this time."),
    "created_before": _parameter("query", _TIME, "Only jobs accepted before this time."),
    "schedule": _parameter("query", _ID, "Only jobs that this schedule made; its id."),
    "status": _parameter(
        "query",
        {"type": "string", "pattern": "^([1-9][0-9][0-9]|[1-9]xx)$", "examples": ["503", "5xx"]},
        "Only jobs whose last attempt was answered so: a status, or a class of them.",
    ),
    "error": _parameter(
        "query",
        {"type": "string", "minLength": 1, "maxLength": limits.ERROR_CHARS_MAX, "examples": ["timed out"]},
        "Only jobs whose last attempt's error contains this text, in upper or lower case.",
    ),
    "limit": _parameter("query", _LIMIT, "How many at most."),
    "cursor": _parameter("query", {"type": "string", "minLength": 1}, "`next_cursor` of the page before."),
    "cron": _parameter(
        "query",
        {"type": "string", "minLength": 1, "maxLength": limits.CRON_BYTES_MAX, "examples": ["*/5 * * * *"]},
        "The expression.",
        required=True,
    ),
    "timezone": _parameter("query", {"type": "string", "minLength": 1, "default": "UTC"}, "An IANA name."),
    "count": _parameter(
        "query",
        {"type": "integer", "minimum": 1, "maximum": limits.PREVIEW_TICKS_MAX, "default": 10},
        "How many ticks.",
    ),
    "from": _parameter("query", _TIME, "The first tick is not before this time; now, unless given."),
    "ticks_from": {"name": "from"}
    | _parameter("query", _TIME, "The first tick is not before this time; when the schedule was made, unless given."),
    "ticks_limit": {"name": "limit"}
    | _parameter(
        "query",
        {"type": "integer", "minimum": 1, "maximum": limits.PREVIEW_TICKS_MAX, "default": 100},
        "How many at most.",
    ),
    "Idempotency-Key": _parameter(
        "header",
        _KEY,
        "Any text of yours that names this request; remembered for 24 hours unless configured otherwise.",
    ),
    "Prefer": _parameter(
        "header",
        {"type": "string", "examples": ["return=minimal"]},
        "`return=minimal`: ids and states will do as the answer (RFC 7240). It costs less.",
    ),
    "traceparent": _parameter("header", {"type": "string"}, "W3C Trace Context; stored, and sent with the webhook."),
    "tracestate": _parameter("header", {"type": "string"}, "Beside `traceparent`; likewise."),
    "Hookline-Fallback": _parameter(
        "header",
        {"type": "string", "enum": ["allow"]},
        "When the home of the id or key surely did not accept it, another cluster may. The same sent again when the "
        "home is back is created there a second time.",
    ),
    "Hookline-Tenant": _parameter(
        "header",
        _TENANT,
        "For whom to act, with an operator's key: one of the default tenant with the scope `admin`, or the root key.",
    ),
    "name": _parameter("path", {"type": "string", "examples": ["c0"]}, "The cluster's name.", required=True),
    "tenant": _parameter("path", _TENANT, "The tenant's name; `default` is the operators' own.", required=True),
    "route_id": {"name": "id"} | _parameter("query", _ID, "Of a job or a schedule, known or not."),
    "force": _parameter("query", {"type": "boolean", "default": False}, "Take what the rules for a change refuse."),
    "balance_seconds": {"name": "seconds"}
    | _parameter(
        "query",
        {"type": "integer", "minimum": 1, "maximum": 20, "default": 5},
        "For how long the load is measured; the answer comes after that.",
    ),
    "route_key": {"name": "key"} | _parameter("query", _KEY, "An idempotency key."),
}

# What a type alone does not say. Types first, then their fields.
_HEADERS = {
    "maxProperties": limits.HEADERS_MAX,
    "propertyNames": {"pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"},
    "additionalProperties": {"type": "string", "pattern": "^([!-~]([\\t -~]*[!-~])?)?$"},
}
_JOB_FIELDS: dict[str, dict[str, Any]] = {
    "url": {
        "format": "uri",
        "maxLength": limits.URL_BYTES_MAX,
        "examples": ["https://shop.example/hooks/order-paid"],
        "description": "http or https, a public host.",
    },
    "method": {"enum": sorted(METHODS), "default": "POST"},
    "headers": _HEADERS,
    "payload": {"description": "Any JSON; sent on byte for byte as it came."},
    "body_base64": {"contentEncoding": "base64", "description": "Raw bytes to send, instead of `payload`."},
    "run_at": _TIME,
    "delay": _DURATION,
    "timeout": {
        **_DURATION,
        "default": "30s",
        "description": "For one attempt; 100 ms to `--attempt-max`.",
    },
    "guarantee": {"default": "at_least_once"},
    "priority": {"minimum": limits.PRIORITY_MIN, "maximum": limits.PRIORITY_MAX, "default": 0},
    "redact": {
        "description": "Shown as `***`: headers of this job, beside those that carry credentials by their name; "
        "`payload`; `response_body`, which is not kept then."
    },
    "labels": {"description": f"Up to {limits.LABELS_MAX}, pairs or a list of texts; jobs can be listed by them."},
    "secret": {
        "pattern": "^(whsec_|whsk_)[A-Za-z0-9+/]+=*$",
        "description": "Signs this job (Standard Webhooks). Stored encrypted, never shown. `null` takes it away.",
    },
}
_MAYBE_PROBLEM = {"anyOf": [{"type": "null"}, {"$ref": _REF.format(name="Problem")}]}
_RETRY_WORDS: dict[str, Any] = {"maxItems": limits.RETRY_SCHEDULE_MAX, "examples": [[404, "5xx", "connection"]]}
REFINEMENTS: dict[str, dict[str, dict[str, Any]]] = {
    "JobRequest": _JOB_FIELDS | {"id": _ID},
    "JobChanges": _JOB_FIELDS,
    "Filter": {
        "status": {"examples": [503, "5xx"], "description": "Of the answer to the last attempt, or a class of them."},
    },
    "RetryRequest": {
        "max_attempts": {"minimum": 1, "maximum": limits.ATTEMPTS_MAX, "default": 25},
        "factor": {"minimum": 1, "maximum": 100, "default": 3},
        "schedule": {"maxItems": limits.RETRY_SCHEDULE_MAX},
        "on": _RETRY_WORDS
        | {"description": "All that is tried again. Not given: connection, timeout, 4xx but 410, and 5xx."},
        "not_on": _RETRY_WORDS | {"description": "What is not tried again. A status comes before its class."},
    },
    "ScheduleRequest": {
        "id": _ID,
        "cron": {"maxLength": limits.CRON_BYTES_MAX, "examples": ["0 3 * * *"]},
        "timezone": {"examples": ["Europe/Berlin"]},
        "job": {"$ref": _REF.format(name="JobRequest"), "description": "Without `id`, `run_at` and `delay`."},
    },
    "ScheduleChanges": {
        "cron": {"maxLength": limits.CRON_BYTES_MAX},
        "job": {"$ref": _REF.format(name="JobRequest"), "description": "Without `id`, `run_at` and `delay`."},
    },
    "BatchRequest": {
        "jobs": {"maxItems": limits.BATCH_JOBS_MAX, "items": {"$ref": _REF.format(name="JobRequest")}},
    },
    "BatchResult": {"error": _MAYBE_PROBLEM},
    "BriefResult": {"error": _MAYBE_PROBLEM},
    "BulkRequest": {"limit": {"minimum": 1, "maximum": 10_000}},
    "TenantRequest": {
        "pending_jobs": {"minimum": 0, "description": "At most so many are pending or running."},
        "pending_bytes": {"minimum": 0, "description": "Of their payloads together."},
        "creates_per_second": {"minimum": 1, "maximum": 1_000_000},
        "weight": {"minimum": 1, "maximum": 1_000, "default": 1, "description": "Beside other tenants that wait."},
    },
    "Rate": {"limit": {"minimum": 1, "maximum": 1_000_000}},
    "Topology": {"epoch": {"minimum": 1}, "cluster": {"minItems": 1, "maxItems": topology.CLUSTERS_MAX}},
    "Placement": {"cluster": {"minItems": 1, "maxItems": topology.CLUSTERS_MAX}},
    "ClusterEntry": {
        "name": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"},
        "shard": {"minimum": 0, "maximum": topology.SHARD_MAX},
        "weight": {"minimum": 1, "maximum": topology.WEIGHT_MAX, "description": "With `ring` only."},
        "nodes": {"minItems": 1},
    },
    "Problem": {"code": {"enum": []}},  # filled below
}
# What the other server's answers have, and what only comes to proxies.
_PAGES = ("JobPage", "SchedulePage", "DestinationPage", "TenantPage")
UNSAID: dict[Server, dict[str, tuple[str, ...]]] = {
    "node": {
        **dict.fromkeys(_PAGES, ("cursors", "incomplete")),
        "Destination": ("incomplete",),
        "Tenant": ("incomplete",),
        "BulkResponse": ("incomplete", "unclear"),
        "Health": ("clusters",),
    },
    "proxy": {**dict.fromkeys(_PAGES, ("cursors",)), "Health": ("usage", "term", "clock")},
}
_CLUSTER_AND_NODE = {
    "hookline-cluster": {"description": "The cluster that answered.", "schema": {"type": "string"}},
    "hookline-node": {"description": "The node that answered.", "schema": {"type": "string"}},
}
_IDENTITY: dict[Server, dict[str, Any]] = {
    "node": _CLUSTER_AND_NODE,
    "proxy": {
        **_CLUSTER_AND_NODE,
        "hookline-proxy": {"description": "The proxy itself answered.", "schema": {"type": "string"}},
    },
}
_RETRY_AFTER = {"retry-after": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_AUTHENTICATE = {"www-authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}}}
_LOCATION = {"location": {"description": "Where the new thing is.", "schema": {"type": "string"}}}
_APPLIED = {
    "preference-applied": {
        "description": "`return=minimal`, if the answer has ids and states only.",
        "schema": {"type": "string"},
    }
}
_API_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, `hookline_…`, or the root key. Only a service that was started with a root key asks.",
}
_GUARDED = (e.Unauthorized, e.Forbidden, e.TooManyBadKeys)
_TYPES = (http.JobRequest, http.Problem)


@cache
def openapi_document(server: Server) -> dict[str, Any]:
    """The document of what a node or a proxy serves, as Python data. The same object each time: do not change it."""
    operations = [operation for operation in OPERATIONS if operation.is_of(server)]
    types = [*_TYPES, *(operation.body for operation in operations if operation.body is not None)]
    told = [kind for operation in operations for kind, _ in operation.replies.values()]
    types += [one for kind in told for one in (kind if isinstance(kind, tuple) else (kind,)) if _is_type(one)]
    _, schemas = msgspec.json.schema_components(list(dict.fromkeys(types)), ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        call = operation.call
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(operation, server)
    errors = {error.code: error for operation in operations for error in _refusals(operation, server)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hookline",
            "version": __version__,
            "description": "Delivers HTTP calls now, later or on a schedule, and never loses one.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": _refined(schemas, server, errors.keys()),
            "examples": _error_examples(errors),
            "securitySchemes": {"apiKey": _API_KEY},
        },
    }


def _is_type(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _refined(schemas: dict[str, Any], server: Server, codes: Iterable[str]) -> dict[str, Any]:
    for name in schemas.keys() & REFINEMENTS.keys():
        properties = schemas[name]["properties"]
        for field, more in REFINEMENTS[name].items():
            properties[field] = {**({} if "$ref" in more else properties[field]), **more}
    for name, fields in UNSAID[server].items():
        for field in fields:
            del schemas[name]["properties"][field]
    for name in ("JobRequest", "ScheduleRequest"):
        schemas[name].setdefault("required", [])
    schemas["JobRequest"]["required"] = ["url"]
    schemas["Problem"]["properties"]["code"]["enum"] = sorted({*codes, "route_not_found", "method_not_allowed"})
    schemas["Problem"]["additionalProperties"] = True
    return dict(sorted(schemas.items()))


def _error_examples(errors: dict[str, type[e.HooklineError]]) -> dict[str, Any]:
    return {code: {"summary": error.title(), "value": error().to_problem()} for code, error in sorted(errors.items())}


def _operation(operation: Operation, server: Server) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": _responses(operation, server),
    }
    if operation.description:
        described["description"] = operation.description
    scope = operation.call.needed_scope
    described["security"] = [] if scope is None else [{"apiKey": [scope]}]
    names = [part[1:-1] for part in operation.call.path.split("/") if part.startswith("{")]
    names += [*operation.query, *operation.headers, *(operation.proxy_headers if server == "proxy" else ())]
    names += ["Hookline-Tenant"] if scope is not None and not operation.call.of_service else []
    parameters = [{"name": name, **PARAMETERS[name]} for name in names]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        content: dict[str, Any] = {"schema": _schema(operation.body)}
        if operation.example is not None:
            content["example"] = operation.example
        described["requestBody"] = {"required": operation.body_required, "content": {"application/json": content}}
    return described


def _responses(operation: Operation, server: Server) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    identity = _IDENTITY[server]
    for status, (kind, meaning) in operation.replies.items():
        response: dict[str, Any] = {"description": meaning, "headers": dict(identity)}
        if status == 201:
            response["headers"] |= _LOCATION
        if "Prefer" in operation.headers:
            response["headers"] |= _APPLIED
        if isinstance(kind, str):
            response["content"] = {kind: {"schema": {"type": "string"}}}
        elif kind is not None:
            response["content"] = {"application/json": {"schema": _schema(kind)}}
        responses[str(status)] = response
    for status, errors in _by_status(_refusals(operation, server)).items():
        problem = {"application/problem+json": {"schema": _schema(http.Problem), "examples": _examples(errors)}}
        known = responses.setdefault(str(status), {"description": "", "headers": dict(identity), "content": {}})
        known["content"] |= problem
        if status in (429, 503):
            known["headers"] = known["headers"] | _RETRY_AFTER
        if status == 401:
            known["headers"] = known["headers"] | _AUTHENTICATE
        codes = ", ".join(f"`{error.code}`" for error in errors)
        known["description"] = f"{known['description']} {codes}".strip()
    return responses


def _by_status(errors: Iterable[type[e.HooklineError]]) -> dict[int, list[type[e.HooklineError]]]:
    found: dict[int, list[type[e.HooklineError]]] = {}
    for error in dict.fromkeys(errors):
        found.setdefault(error.http_status, []).append(error)
    return dict(sorted(found.items()))


def _refusals(operation: Operation, server: Server) -> tuple[type[e.HooklineError], ...]:
    guarded = _GUARDED if operation.call.needed_scope is not None else ()
    return (*operation.refusals, *guarded, *COMMON_REFUSALS[server])


def _examples(errors: Iterable[type[e.HooklineError]]) -> dict[str, Any]:
    return {error.code: {"$ref": f"#/components/examples/{error.code}"} for error in errors}


def _schema(kind: Any) -> dict[str, Any]:
    if isinstance(kind, tuple):
        return {"anyOf": [_schema(one) for one in kind]}
    if _is_type(kind):
        return {"$ref": _REF.format(name=kind.__name__)}
    return {"type": "object"}
