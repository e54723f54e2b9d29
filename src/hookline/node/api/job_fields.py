"""The fields of a job that need more than a type: headers, labels, method, payload, times; filters by them. Pure."""

import base64
import re
from functools import lru_cache

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from hookline.errors import InvalidHeader, InvalidId, InvalidRequest, InvalidTime, PayloadTooLarge
from hookline.node.state_machine.matching import JobFilter
from hookline.protocol import http, limits
from hookline.protocol.durations import format_duration, parse_duration, parse_time
from hookline.protocol.http import Duration, Labels
from hookline.protocol.ids import check_id
from hookline.protocol.jobs import METHODS, STATE_BY_LABEL, JobSpec, State
from hookline.protocol.limits import check_between
from hookline.protocol.redaction import MASK, PAYLOAD, hidden_values, is_hidden
from hookline.protocol.urls import destination_name

# Set by Hookline itself, or of the connection and not of the request.
FORBIDDEN_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"}
    | {"traceparent"}
)
FORBIDDEN_PREFIXES = ("proxy-", "webhook-", "hookline-")

_MASKED_PAYLOAD = f'"{MASK}"'.encode()
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"[\x20-\x7e\t]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_STATUS = re.compile(r"[1-9](?:[0-9]{2}|([xX]{2}))")


def method_of(text: str) -> str:
    """The method in upper case. Raises InvalidRequest for one that a webhook cannot use."""
    method = text.upper()
    if method not in METHODS:
        raise InvalidRequest(f"the method must be one of {', '.join(sorted(METHODS))}", field="method")
    return method


@lru_cache(maxsize=4096)
def check_headers(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The headers as they will be sent. Raises InvalidHeader naming the one that cannot be."""
    if len(pairs) > limits.HEADERS_MAX:
        raise InvalidHeader(f"{len(pairs)} headers are too many; at most {limits.HEADERS_MAX}", field="headers")
    size = 0
    seen: set[str] = set()
    for name, value in pairs:
        lowered = name.lower()
        _check_header(name, lowered, value)
        if lowered in seen:
            raise InvalidHeader(f"the header {name} is there twice, in different case", field=f"headers.{name}")
        seen.add(lowered)
        size += len(name) + len(value)
    if size > limits.HEADERS_BYTES_MAX:
        raise InvalidHeader(
            f"the headers have {size} bytes; at most {limits.HEADERS_BYTES_MAX} are allowed", field="headers"
        )
    return pairs


def _check_header(name: str, lowered: str, value: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise InvalidHeader(f"{name[:80]!r} is not a header name (RFC 9110 token)", field="headers")
    field = f"headers.{name[:80]}"
    if lowered in FORBIDDEN_HEADERS or lowered.startswith(FORBIDDEN_PREFIXES):
        raise InvalidHeader(
            f"the header {name[:80]} is set by Hookline itself or belongs to the connection", field=field
        )
    if not _VALUE.fullmatch(value):
        raise InvalidHeader("the value has characters other than printable ASCII", field=field)
    if value != value.strip():
        raise InvalidHeader("the value starts or ends with white space", field=field)


def redact_of(names: list[str] | UnsetType) -> tuple[str, ...]:
    """All that is shown as a mask, as it is stored: headers, ``payload``, ``response_body``. Raises InvalidHeader."""
    if names is UNSET:
        return ()
    if len(names) > limits.HEADERS_MAX:
        raise InvalidHeader(f"{len(names)} names are too many; at most {limits.HEADERS_MAX}", field="redact")
    for name in names:
        if not _TOKEN.fullmatch(name) or len(name) > limits.HEADERS_BYTES_MAX // limits.HEADERS_MAX:
            raise InvalidHeader(f"{name[:80]!r} is not a header name (RFC 9110 token)", field="redact")
    return tuple(sorted({name.lower() for name in names}))


def unmasked(spec: JobSpec, old: JobSpec | None) -> JobSpec:
    """``spec`` with what the mask hides in ``old``, where the mask was sent back: it is never stored.

    Raises:
        InvalidHeader: the mask stands for nothing there.
    """
    if PAYLOAD in (*spec.redact, *(old.redact if old else ())) and spec.is_json and spec.body == _MASKED_PAYLOAD:
        spec = _with_old_payload(spec, old)
    if all(value != MASK for _, value in spec.headers):
        return spec
    redact = {*spec.redact, *(old.redact if old else ())}
    hidden = {} if old is None else hidden_values(old.headers, old.redact)

    def given(name: str, value: str) -> str:
        if value != MASK or not is_hidden(name, redact):
            return value
        if name.lower() not in hidden:
            raise InvalidHeader(
                f"{MASK} is how a hidden value is shown, and there is none here; give the value itself",
                field=f"headers.{name[:80]}",
            )
        return hidden[name.lower()]

    return replace(spec, headers=tuple((name, given(name, value)) for name, value in spec.headers))


def _with_old_payload(spec: JobSpec, old: JobSpec | None) -> JobSpec:
    if old is None or PAYLOAD not in old.redact:
        raise InvalidRequest(
            f"{MASK} is how a hidden payload is shown, and there is none here; give the payload itself", field="payload"
        )
    return replace(spec, body=old.body, is_json=old.is_json)


def check_labels(labels: Labels) -> dict[str, str] | tuple[str, ...]:
    """The labels as they are stored. Raises InvalidRequest."""
    if len(labels) > limits.LABELS_MAX:
        raise InvalidRequest(f"{len(labels)} labels are too many; at most {limits.LABELS_MAX}", field="labels")
    for name in labels:
        _check_label(name)
    if not isinstance(labels, dict):
        return tuple(dict.fromkeys(labels))
    for name, value in labels.items():
        if "=" in name:
            raise InvalidRequest("a label's name may not contain =", field="labels")
        if value:
            _check_label(value)
    return labels


def _check_label(text: str) -> None:
    if not text or len(text) > limits.LABEL_CHARS_MAX or _CONTROL.search(text):
        raise InvalidRequest(
            f"a label has 1 to {limits.LABEL_CHARS_MAX} characters and no control characters", field="labels"
        )


def body_of(payload: Raw | UnsetType, body_base64: str | UnsetType, bytes_max: int) -> tuple[bytes, bool]:
    """(body, it is JSON) to send. Raises InvalidRequest, PayloadTooLarge."""
    if body_base64 is UNSET:
        if payload is UNSET:
            return b"", False
        body, is_json = bytes(payload), True
    elif payload is not UNSET:
        raise InvalidRequest("give payload or body_base64, not both", field="body_base64")
    else:
        body, is_json = _decoded(body_base64), False
    if len(body) > bytes_max:
        raise PayloadTooLarge(
            f"the payload has {len(body)} bytes; at most {bytes_max} are allowed",
            field="body_base64" if payload is UNSET else "payload",
            limit=bytes_max,
        )
    return body, is_json


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidRequest("body_base64 is not base64 (RFC 4648, with padding)", field="body_base64") from error


def due_of(run_at: str | UnsetType, delay: Duration | UnsetType, now_ms: int) -> int | None:
    """When the job is due; None when the request does not say. A time in the past is now. Raises InvalidTime."""
    if delay is not UNSET:
        if run_at is not UNSET:
            raise InvalidTime("give run_at or delay, not both", field="delay")
        return now_ms + parse_duration(delay, field="delay")
    if run_at is UNSET:
        return None
    due_ms = parse_time(run_at, field="run_at")
    if due_ms > now_ms + limits.DELAY_MS_MAX:
        raise InvalidTime("run_at is more than 10 years ahead", field="run_at")
    return max(due_ms, now_ms)


def timeout_of(timeout: Duration | UnsetType, longest_ms: int) -> int:
    """Milliseconds for one attempt, at most ``longest_ms``. Raises InvalidTime."""
    if timeout is UNSET:
        return min(limits.ATTEMPT_MS_DEFAULT, longest_ms)
    ms = parse_duration(timeout, field="timeout")
    if not limits.TIMEOUT_MS_MIN <= ms <= longest_ms:
        raise InvalidTime(
            f"the timeout must be from {limits.TIMEOUT_MS_MIN} ms to {format_duration(longest_ms)}, which --attempt-max"
            " sets",
            field="timeout",
        )
    return ms


def priority_of(priority: int | UnsetType) -> int:
    """The priority; 0 unless given. Raises InvalidRequest."""
    if priority is UNSET:
        return 0
    check_between("priority", priority, limits.PRIORITY_MIN, limits.PRIORITY_MAX)
    return priority


def job_filter(wanted: http.Filter) -> JobFilter:
    """The filter with its texts read. Raises InvalidRequest, InvalidTime, InvalidUrl naming the field."""
    label = wanted.label
    if label is not None and not 0 < len(label) <= 2 * limits.LABEL_CHARS_MAX + 1:
        raise InvalidRequest("a label to look for has 1 to 257 characters, as name=value or name", field="label")
    if wanted.error is not None and not 0 < len(wanted.error) <= limits.ERROR_CHARS_MAX:
        raise InvalidRequest(
            f"a text to look for in errors has 1 to {limits.ERROR_CHARS_MAX} characters", field="error"
        )
    return JobFilter(
        state=None if wanted.state is None else state_of(wanted.state),
        label=label,
        destination=None if wanted.destination is None else destination_name(wanted.destination, field="destination"),
        created_after_ms=None
        if wanted.created_after is None
        else parse_time(wanted.created_after, field="created_after"),
        created_before_ms=None
        if wanted.created_before is None
        else parse_time(wanted.created_before, field="created_before"),
        schedule=None if wanted.schedule is None else _schedule_id(wanted.schedule),
        statuses=None if wanted.status is None else _statuses(wanted.status),
        error=wanted.error,
    )


def _schedule_id(text: str) -> str:
    try:
        return check_id(text)
    except InvalidId as error:
        raise InvalidId(error.detail, field="schedule") from None


def _statuses(asked: int | str) -> tuple[int, int]:
    """From and to which status: of ``503`` or ``"503"`` itself, of ``"5xx"`` all of that class."""
    if (found := _STATUS.fullmatch(str(asked))) is None:
        raise InvalidRequest("status must be a status such as 503, or a class of them such as 5xx", field="status")
    first = int(found[0].lower().replace("x", "0"))
    return first, first + 99 if found[1] else first


def state_of(label: str) -> State:
    """The state users call so. Raises InvalidRequest."""
    state = STATE_BY_LABEL.get(label)
    if state is None:
        raise InvalidRequest(f"the state must be one of {', '.join(STATE_BY_LABEL)}", field="state")
    return state
