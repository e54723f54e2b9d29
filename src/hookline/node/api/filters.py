"""Which jobs a list, or a retry or cancel by filter, is about. Pure."""

from hookline.errors import InvalidRequest
from hookline.node.api.destination_names import destination_name
from hookline.node.state_machine.reads import JobFilter
from hookline.protocol import http
from hookline.protocol.durations import parse_time
from hookline.protocol.jobs import STATE_BY_LABEL, State
from hookline.protocol.limits import LABEL_CHARS_MAX


def job_filter(wanted: http.Filter) -> JobFilter:
    """The filter with its texts read. Raises InvalidRequest, InvalidTime, InvalidUrl naming the field."""
    label = wanted.label
    if label is not None and not 0 < len(label) <= 2 * LABEL_CHARS_MAX + 1:
        raise InvalidRequest("a label to look for has 1 to 257 characters, as name=value or name", field="label")
    return JobFilter(
        state=None if wanted.state is None else state_of(wanted.state),
        label=label,
        destination=None if wanted.destination is None else destination_name(wanted.destination, field="destination"),
        created_after_ms=None
        if wanted.created_after is None
        else parse_time(wanted.created_after, field="created_after"),
    )


def state_of(label: str) -> State:
    """The state users call so. Raises InvalidRequest."""
    state = STATE_BY_LABEL.get(label)
    if state is None:
        raise InvalidRequest(f"the state must be one of {', '.join(STATE_BY_LABEL)}", field="state")
    return state
