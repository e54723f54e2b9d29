"""Which jobs a list, or a retry or cancel by filter, is about. Pure."""

import re

from hookline.errors import InvalidId, InvalidRequest
from hookline.node.api.destination_names import destination_name
from hookline.node.state_machine.matching import JobFilter
from hookline.protocol import http
from hookline.protocol.durations import parse_time
from hookline.protocol.ids import check_id
from hookline.protocol.jobs import STATE_BY_LABEL, State
from hookline.protocol.limits import ERROR_CHARS_MAX, LABEL_CHARS_MAX

_STATUS = re.compile(r"[1-9](?:[0-9]{2}|([xX]{2}))")


def job_filter(wanted: http.Filter) -> JobFilter:
    """The filter with its texts read. Raises InvalidRequest, InvalidTime, InvalidUrl naming the field."""
    label = wanted.label
    if label is not None and not 0 < len(label) <= 2 * LABEL_CHARS_MAX + 1:
        raise InvalidRequest("a label to look for has 1 to 257 characters, as name=value or name", field="label")
    if wanted.error is not None and not 0 < len(wanted.error) <= ERROR_CHARS_MAX:
        raise InvalidRequest(f"a text to look for in errors has 1 to {ERROR_CHARS_MAX} characters", field="error")
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
