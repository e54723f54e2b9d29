"""The headers of a webhook, to test a receiver with: no node, no network."""

from collections.abc import Sequence

from hookline.clock import SystemClock
from hookline.errors import InvalidRequest
from hookline.protocol.durations import parse_time
from hookline.protocol.signatures import parse_secret
from hookline.protocol.webhook import webhook_headers


def sign(
    body: bytes | str,
    secret: str | Sequence[str],
    *,
    webhook_id: str = "0192f0c1-7a4b-7def-8123-456789abcdef-0",
    attempt: int = 1,
    term: int = 1,
    scheduled_at: str | None = None,
    now: float | None = None,
) -> dict[str, str]:
    """The headers with which Hookline would send this body.

    Args:
        body: exactly what is sent; text is sent as UTF-8.
        secret: a ``whsec_`` or ``whsk_`` secret, or several as during a rotation.
        webhook_id: the job's id; give the same one twice to test how duplicates are recognised.
        attempt: the number of the attempt, from 1.
        term: the number of the leader that sends.
        scheduled_at: when the job was due, RFC 3339; now if not given.
        now: seconds since 1970 UTC; the system's clock when None. Give another one to test that old ones are refused.

    Raises:
        InvalidSecret: the secret cannot be read, or cannot sign.
    """
    secrets = [secret] if isinstance(secret, str) else list(secret)
    if not secrets:
        raise InvalidRequest("give at least one secret to sign with")
    now_ms = SystemClock().wall_ms() if now is None else int(now * 1_000)
    return dict(
        webhook_headers(
            webhook_id,
            body.encode() if isinstance(body, str) else bytes(body),
            [parse_secret(text) for text in secrets],
            attempt=attempt,
            term=term,
            scheduled_at_ms=now_ms if scheduled_at is None else parse_time(scheduled_at),
            now_ms=now_ms,
        )
    )
