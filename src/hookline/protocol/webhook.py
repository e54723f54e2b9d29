"""The headers that make a request a webhook of Hookline's. Pure.

Source: Standard Webhooks, for the three that begin with ``webhook-``.
"""

from collections.abc import Sequence

from hookline.protocol.durations import format_time
from hookline.protocol.signatures import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, SigningKey, sign

ATTEMPT_HEADER = "hookline-attempt"
SCHEDULED_AT_HEADER = "hookline-scheduled-at"
TERM_HEADER = "hookline-term"
REPLAY_HEADER = "hookline-replay"
"""``true`` on what was sent again by hand, to look at it; no attempt of the job."""

USER_AGENT = "hookline"


def webhook_headers(
    webhook_id: str,
    body: bytes,
    keys: Sequence[SigningKey],
    *,
    attempt: int,
    term: int | None,
    scheduled_at_ms: int,
    now_ms: int,
) -> list[tuple[str, str]]:
    """The headers that Hookline adds to each request, in their order; signed if there is a key.

    Raises:
        InvalidSecret: one of the keys is a public key.
    """
    now_s = now_ms // 1_000
    headers = [
        (ID_HEADER, webhook_id),
        (TIMESTAMP_HEADER, str(now_s)),
        (ATTEMPT_HEADER, str(attempt)),
        *([] if term is None else [(TERM_HEADER, str(term))]),
        (SCHEDULED_AT_HEADER, format_time(scheduled_at_ms)),
    ]
    if keys:
        headers.append((SIGNATURE_HEADER, sign(keys, webhook_id, now_s, body)))
    return headers


def with_defaults(
    headers: Sequence[tuple[str, str]], own: Sequence[tuple[str, str]], body: bytes, *, is_json: bool
) -> list[tuple[str, str]]:
    """The headers, then those of the job; a user agent and the body's type come before them if the job has none."""
    names = {name.lower() for name, _ in own} if own else ()
    found = list(headers)
    if "user-agent" not in names:
        found.append(("user-agent", USER_AGENT))
    if body and "content-type" not in names:
        found.append(("content-type", "application/json" if is_json else "application/octet-stream"))
    found.extend(own)
    return found
