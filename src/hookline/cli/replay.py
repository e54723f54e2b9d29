"""``hookline jobs replay``: send a past job's request once more, from here, to a receiver under development."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
from cyclopts import Parameter

from hookline.cli import inputs
from hookline.cli.output import print_json, stdout, warn
from hookline.cli.parameters import AnyText, Flag, Seconds, Texts
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.clock import SystemClock
from hookline.errors import InvalidRequest, PayloadRemoved
from hookline.protocol import http
from hookline.protocol.durations import parse_time
from hookline.protocol.redaction import MASK, PAYLOAD
from hookline.visible import visible, visible_line, without_password

if TYPE_CHECKING:
    from hookline.cli.calls import Calls
    from hookline.http_client.answer import Answer
    from hookline.protocol.signatures import SigningKey

_SHOWN_CHARS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Replay:
    """The request to send, and which of the job's headers nobody can know here."""

    url: str  # scheme://host:port
    target: str  # path and query
    method: str
    headers: list[tuple[str, str]]
    body: bytes
    attempt: int
    hidden: list[str]


def replay(
    job_id: AnyText,
    /,
    *,
    to: str,
    secret: Annotated[Texts, Parameter(env_var="HOOKLINE_LISTEN_SECRET")] = None,
    header: Annotated[Texts, Parameter(name=["--header", "-H"], allow_leading_hyphen=True)] = None,
    original: Flag = False,
    within: Annotated[Seconds, Parameter(name="--timeout")] = 30.0,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Send the request of a job once more, from here, for instance to a receiver you work on; the job stays as it is.

    It has the job's id, method, headers and body, the number of its newest attempt, a fresh timestamp, and
    hookline-replay: true. Hookline does not give secrets away: to have it signed, name the receiver's. The exit code is
    0 only if the answer was 2xx. To have Hookline itself try a finished job again, use "hookline jobs retry".

    With --original it is signed as the newest attempt was, with its time and term: the signature is the same. A
    receiver that refuses old timestamps, as it should, takes that for five minutes.

    Args:
        job_id: The job's id.
        to: Where to: http://HOST:PORT takes the job's own path and query; with a path, it is the whole url.
        secret: Sign with this whsec_ or whsk_ secret; may be repeated.
        header: Another header, or another value for one of the job's, as name:value; may be repeated.
        original: With the time, and so the signature, of the newest attempt.
        within: Seconds to wait for the answer.
        service: Where Hookline is.
    """
    from hookline.protocol.signatures import parse_secret

    clock = SystemClock()
    keys = [parse_secret(text) for text in secret or []]
    base = inputs.local_url(to, "--to")
    own = inputs.headers(header or [])
    with service.calls() as calls:
        job = whole_job(calls, job_id)
        newest = newest_attempt(calls, job_id) if original else None
    if original and newest is None:
        raise InvalidRequest("the job has no attempt yet, so there is nothing as it was sent", field="original")
    request = replay_of(job, base, keys, own, clock.wall_ms(), newest)
    if request.hidden:
        names = ", ".join(request.hidden)
        warn(f"not sent, since Hookline does not show what they hold: {names}; give them with --header")
    answer, error, took_ms = sent(request, within, clock)
    if service.json:
        print_json(_document(job, request, answer, error, took_ms, is_signed=bool(keys)))
    else:
        _show(job, request, answer, error, took_ms)
    return 0 if answer is not None and 200 <= answer.status < 300 else 1


def whole_job(calls: "Calls", job_id: str) -> http.Job:
    """The job with what it sends. Raises PayloadRemoved, InvalidRequest when that is hidden."""
    job = calls.send(requests.get_job(job_id))
    if job.payload_removed:
        raise PayloadRemoved
    if PAYLOAD in job.redact and job.payload is not msgspec.UNSET:
        raise InvalidRequest("the payload of the job is hidden, so there is nothing to replay", field="redact")
    return job


def newest_attempt(calls: "Calls", job_id: str) -> http.Attempt | None:
    """The newest attempt of the job; None: there was none yet."""
    return next(iter(calls.send(requests.attempts(job_id)).data[::-1]), None)


def replay_of(
    job: http.Job,
    base: str,
    keys: "Sequence[SigningKey]",
    own: dict[str, str],
    now_ms: int,
    newest: http.Attempt | None = None,
) -> Replay:
    """Makes the request that is sent. Pure.

    Args:
        job: as the service gives it.
        base: scheme://host:port, or a whole url.
        keys: to sign with; none: it goes out unsigned.
        own: headers that replace or join the job's.
        now_ms: the wall clock; a receiver refuses old timestamps.
        newest: the attempt whose number, time and term it has instead; its signature is then the same.
    """
    from hookline.protocol.webhook import REPLAY_HEADER, webhook_headers, with_defaults

    body, is_json = _body(job)
    attempt, term = job.last_attempt.number if job.last_attempt else 1, None
    if newest is not None:
        attempt, term, now_ms = newest.number, newest.term, parse_time(newest.started_at)
    replaced = {name.lower() for name in own}
    kept = {name: value for name, value in job.headers.items() if name.lower() not in replaced}
    hidden = [name for name, value in kept.items() if value == MASK]
    headers = webhook_headers(
        job.id, body, keys, attempt=attempt, term=term, scheduled_at_ms=parse_time(job.run_at), now_ms=now_ms
    )
    headers.append((REPLAY_HEADER, "true"))
    pairs = [pair for pair in kept.items() if pair[0] not in hidden]
    parts, job_parts = urlsplit(base), urlsplit(job.url)
    taken = parts if parts.path or parts.query else job_parts
    return Replay(
        url=f"{parts.scheme}://{parts.netloc}",
        target=(taken.path or "/") + (f"?{taken.query}" if taken.query else ""),
        method=job.method,
        headers=with_defaults(headers, [*pairs, *own.items()], body, is_json=is_json),
        body=body,
        attempt=attempt,
        hidden=hidden,
    )


def _body(job: http.Job) -> tuple[bytes, bool]:
    if isinstance(job.payload, msgspec.Raw):
        return bytes(job.payload), True
    return (base64.b64decode(job.body_base64), False) if isinstance(job.body_base64, str) else (b"", False)


def sent(request: Replay, timeout_s: float, clock: SystemClock) -> "tuple[Answer | None, str | None, int]":
    """The answer, or why there is none, and the milliseconds that took."""
    began_ms = clock.boot_ms()
    answer, error = _sent(request, timeout_s)
    return answer, error, round(clock.boot_ms() - began_ms)


def _sent(request: Replay, timeout_s: float) -> "tuple[Answer | None, str | None]":
    from hookline.http_client.caller import Caller
    from hookline.http_client.client import NoAnswer, NoConnection

    async def send() -> "Answer":
        caller = Caller()
        try:
            return await caller.call(
                request.method,
                request.url,
                request.target,
                headers=[(name.encode(), value.encode()) for name, value in request.headers],
                body=request.body,
                timeout_s=timeout_s,
            )
        finally:
            await caller.close()

    try:
        return asyncio.run(send()), None
    except (NoConnection, NoAnswer) as error:
        return None, error.detail


def _show(job: http.Job, request: Replay, answer: "Answer | None", error: str | None, took_ms: int) -> None:
    console = stdout()
    where = without_password(request.url)
    line = visible_line(f"{request.method} {where}{request.target} · {job.id} · replay of attempt {request.attempt}")
    console.print(line, soft_wrap=True)
    if answer is None:
        console.print(f"  ✗ no answer: {error}", style="bold red", soft_wrap=True)
        return
    style = "green" if answer.status < 300 else "bold red"
    console.print(f"  answered {answer.status} after {took_ms} ms", style=style)
    text = answer.body.decode("utf-8", "replace").strip()
    if text:
        shown = text[:_SHOWN_CHARS_MAX] + (" …" if len(text) > _SHOWN_CHARS_MAX else "")
        console.print("  " + visible(shown).replace("\n", "\n  "), style="dim", soft_wrap=True)


def _document(
    job: http.Job, request: Replay, answer: "Answer | None", error: str | None, took_ms: int, *, is_signed: bool
) -> dict[str, object]:
    body = None if answer is None else answer.body.decode("utf-8", "replace")
    return {
        "id": job.id,
        "url": without_password(request.url) + request.target,
        "method": request.method,
        "attempt": request.attempt,
        "signed": is_signed,
        "not_sent": request.hidden,
        "status": None if answer is None else answer.status,
        "error": error,
        "duration_ms": took_ms,
        "response_body": body,
    }
