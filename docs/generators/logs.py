"""The reference of the log's events, from ``log_events.py`` and the places where lines are written."""

from pathlib import Path
from typing import get_args

import hookline
from hookline.telemetry import log_events
from tools.check_log_events import LogLine, lines_of

_INTRODUCTION = """\
# Log events

Written by `docs/generate.py` from `hookline/telemetry/log_events.py` and the places in the source where lines are
written.

Logs go to standard error: text on a terminal, one JSON object a line elsewhere or with `--log-json`. Each line has
`timestamp`, `level` and `event`, and beside them the values below. The names are stable: decide by them.

- `job`, `trace_id` and `request_id` are there where they are known. A `trace_id` is that of the `traceparent` that came
  with the job or the request; a `request_id` is the header `X-Request-Id`, as the caller sent it.
- No line has a payload, a header, an answer of a receiver, a key or a secret; of a job's url it has the destination.
- Lines that strangers can bring about are bounded: the others are counted, and a line says how many.

`--log-level` sets what is written from the start. While a node or a proxy runs, `GET` and `PATCH /logs/levels` show and
change it for each area; a key with the scope `admin` opens them:

```http
PATCH /logs/levels

{"levels": {"dispatch": "debug", "etcd": "debug"}}
```

`{"level": "info"}` sets all areas. It holds for that process and those that it has started, until it ends; a line
`log_levels_changed` of the area `api` says who changed it. From the command line, and back again:

```bash
hookline cluster log-levels dispatch=debug etcd=debug
hookline cluster log-levels info
```

"""


def render() -> str:
    """The page as Markdown."""
    places: dict[str, list[LogLine]] = {}
    for line in lines_of(Path(hookline.__file__).parent):
        for event in line.events:
            places.setdefault(event, []).append(line)
    parts = [_INTRODUCTION]
    for area in get_args(log_events.LogArea):
        rows = [
            _row(event, meaning, [line for line in places[event] if line.area == area])
            for event, meaning in sorted(log_events.EVENTS.items())
            if any(line.area == area for line in places.get(event, ()))
        ]
        head = ["| Event | Level | Meaning | Values |", "|---|---|---|---|"]
        parts.append(f"## {area}\n\n" + "\n".join([*head, *rows]) + "\n\n")
    return "".join(parts).rstrip("\n") + "\n"


def _row(event: str, meaning: str, lines: list[LogLine]) -> str:
    levels = ", ".join(sorted({line.level for line in lines}))
    values = dict.fromkeys(value for line in lines for value in (*line.values, *_TOLD.get(event, ())))
    return f"| `{event}` | {levels} | {meaning} | {', '.join(f'`{value}`' for value in values)} |"


_OF_A_JOB = ("job", "tenant", "destination", "attempt")
_OF_REQUEST = ("trace_id", "request_id")
# Values that a place hands on in a mapping.
_TOLD = {
    "attempt_failed": (*_OF_A_JOB, "trace_id", "status", "error"),
    "job_dead": (*_OF_A_JOB, "trace_id", "status", "error"),
    "job_unknown": (*_OF_A_JOB, "trace_id", "status", "error"),
    "job_delivered": ("job", "tenant"),
    "request_failed": _OF_REQUEST,
    "request_crashed": _OF_REQUEST,
    "front_could_not_answer": _OF_REQUEST,
    "plain_http_refused": ("left_out",),
    "tls_handshake_failed": ("left_out",),
}
