"""The reference of error codes, from the tree in ``errors.py``."""

from hookline.errors import (
    BackupDamaged,
    BackupOfOtherRelease,
    ConnectionFailed,
    DeadlineExceeded,
    HooklineError,
    Interrupted,
    InvalidSignature,
    InvalidUsage,
    NodeFault,
    ResolveFailed,
    all_errors,
)

_INTRODUCTION = """\
# Error codes

Written by `docs/generate.py` from `hookline/errors.py`.

Every error is a [problem document](https://www.rfc-editor.org/rfc/rfc9457), `application/problem+json`:

```json
{
  "type": "https://hookline.dev/errors/invalid_time",
  "title": "A time or duration cannot be read; use RFC 3339 with a zone, or \\"1h30m\\" or seconds.",
  "status": 400,
  "code": "invalid_time",
  "detail": "the timeout must be from 100 ms to 1h, which --attempt-max sets",
  "retryable": false,
  "field": "timeout"
}
```

- `code` is stable: decide by it. `detail` is for people and may change.
- `field` names what to correct. `retry_after` (seconds, also in the `Retry-After` header) says when to come back.
- `retryable` true: the same request may succeed later. With an `id` or an `Idempotency-Key` it is safe to repeat it.
- Some codes add figures, such as `limit`, `used` and `wanted` of `queue_full`, or `position` of `invalid_json`.
- A 429 or 503 was surely not accepted and left nothing behind.
- In Python the same tree is `hookline.errors`; `except errors.Conflict` catches all of 409.

"""
_CLIENT_ONLY = (ConnectionFailed, DeadlineExceeded, InvalidSignature)
_COMMAND_ONLY = (InvalidUsage, Interrupted, BackupDamaged, BackupOfOtherRelease)


def render() -> str:
    """The page as Markdown."""
    api, node = [], []
    for error in all_errors():
        if error in (HooklineError, ResolveFailed, *_CLIENT_ONLY, *_COMMAND_ONLY):
            continue
        (node if issubclass(error, NodeFault) else api).append(error)
    parts = [_INTRODUCTION, "## Answers of the API\n\n", _table(sorted(api, key=lambda error: error.http_status))]
    parts += ["\n## Raised by the SDK\n\n", _plain(_CLIENT_ONLY)]
    parts += ["\n## Said by the command line\n\n", _plain(_COMMAND_ONLY)]
    parts += [
        "\n## A node that cannot go on\n\nThese end the process with a message; a service manager restarts it.\n\n"
    ]
    parts.append(_plain(node))
    return "".join(parts)


def _table(errors: list[type[HooklineError]]) -> str:
    rows = ["| Status | Code | Meaning | Again later? |", "|---|---|---|---|"]
    rows += [
        f"| {error.http_status} | `{error.code}` | {error.title()} | {'yes' if error.retryable else 'no'} |"
        for error in errors
    ]
    return "\n".join(rows) + "\n"


def _plain(errors: tuple[type[HooklineError], ...] | list[type[HooklineError]]) -> str:
    rows = ["| Code | Class | Meaning |", "|---|---|---|"]
    rows += [f"| `{error.code}` | `{error.__name__}` | {error.title()} |" for error in errors]
    return "\n".join(rows) + "\n"
