"""One attempt at one job: vet, build, sign, send, and say what it came to."""

import ssl
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from hookline.clock import Clock
from hookline.errors import ForbiddenDestination, HooklineError, ResolveFailed, SecretKeyMissing
from hookline.node.attempts.answers import is_success, parse_retry_after
from hookline.node.attempts.attempt_trace import AttemptTrace, begin_attempt
from hookline.node.attempts.keys import SigningKeys
from hookline.node.attempts.receiver_access import ReceiverAccesses
from hookline.node.attempts.transport import NOT_LEADING, FailureKind, Outgoing, ReceiverAnswer, SendFailed, Transport
from hookline.node.attempts.vetting import Vetter
from hookline.node.content_seal import opened
from hookline.node.vault import Vault
from hookline.protocol.claims import TELL_MS, Claim, DestinationVerdict, Report, Trouble
from hookline.protocol.jobs import JobSpec, Outcome
from hookline.protocol.limits import ERROR_CHARS_MAX, RESPONSE_BYTES_KEPT_MAX
from hookline.protocol.redaction import MASK
from hookline.protocol.signatures import SigningKey
from hookline.protocol.urls import Target, parse_url
from hookline.protocol.webhook import webhook_headers, with_defaults
from hookline.telemetry.tracing.spans import ending

_HEADERS_KEPT_BYTES = 4_096

KeysOf = Callable[[Claim], Sequence[SigningKey]]


class _Watch:
    """Takes the time of one attempt, from when it is made, for the report."""

    __slots__ = ("_clock", "_started_boot", "started_ms")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started_ms, self._started_boot = clock.wall_ms(), clock.boot_ms()

    def took_ms(self) -> int:
        """Until now."""
        return round(self._clock.boot_ms() - self._started_boot)

    def report(
        self,
        outcome: Outcome,
        verdict: DestinationVerdict,
        error: str,
        *,
        trouble: Trouble | None = None,
        sent: bool = False,
        costs_no_attempt: bool = False,
        is_held: bool = False,
    ) -> Report:
        """Of an attempt that got no answer."""
        return Report(
            *(outcome, verdict, self.started_ms, self.took_ms(), sent),
            error=error[:ERROR_CHARS_MAX],
            trouble=trouble,
            costs_no_attempt=costs_no_attempt,
            is_held=is_held,
        )


def delivery_of(
    vault: Vault, vetter: Vetter, transport: Transport, clock: Clock, *, default_secret: str | None
) -> "Delivery":
    """One whose secrets are in this vault; ``default_secret`` signs jobs that come without a secret."""
    keys = SigningKeys(vault, default_secret=default_secret)
    accesses = ReceiverAccesses(vault, vetter, transport, clock)
    return Delivery(vetter, transport, clock, keys=keys.of, opened=partial(opened, vault=vault), accesses=accesses)


class Delivery:
    """Makes attempts.

    Args:
        vetter: says which address may be called.
        transport: sends.
        keys: the signing keys for a claim, newest first; empty: it is not signed.
        opened: opens what is sealed in a job's spec, if it is.
        accesses: what destinations ask of callers.
    """

    def __init__(
        self,
        vetter: Vetter,
        transport: Transport,
        clock: Clock,
        *,
        keys: KeysOf,
        opened: Callable[[JobSpec], JobSpec],
        accesses: ReceiverAccesses,
    ) -> None:
        self._vetter = vetter
        self._transport = transport
        self._clock = clock
        self._keys = keys
        self._opened = opened
        self._accesses = accesses

    async def attempt(self, claim: Claim, may_send: Callable[[], bool]) -> Report:
        """Make the call once. Never raises for what a job or a receiver can cause.

        From ``claim.ends_ms`` of the wall clock on another process may make the call again, so none is begun that
        could still be under way then.

        Args:
            claim: committed.
            may_send: the last question before each request: does the claim's leader still lead?
        """
        trace = begin_attempt(claim)
        if trace.span is None:
            return await self._judged(claim, may_send, trace)
        with ending(trace.span):
            report = await self._judged(claim, may_send, trace)
            trace.end(report)
        return report

    async def _judged(self, claim: Claim, may_send: Callable[[], bool], trace: AttemptTrace) -> Report:
        watch, spec = _Watch(self._clock), claim.spec
        try:
            return await self._tried(claim, watch, may_send, trace)
        except SendFailed as failure:
            outcome, verdict, sent = _failed(failure, spec.at_most_once)
            trouble = _TROUBLES.get(failure.kind)
            is_ours = failure.kind == "ours"
            return watch.report(outcome, verdict, failure.detail, trouble=trouble, sent=sent, costs_no_attempt=is_ours)
        except ResolveFailed as error:
            if error.reason == "ours":
                return watch.report(Outcome.RETRYABLE_FAILURE, "none", error.detail, costs_no_attempt=True)
            return watch.report(Outcome.RETRYABLE_FAILURE, "bad", error.detail, trouble="connection")
        except ForbiddenDestination as error:
            return watch.report(Outcome.PERMANENT_FAILURE, "none", error.detail)
        except SecretKeyMissing as error:
            return watch.report(Outcome.RETRYABLE_FAILURE, "none", error.detail, costs_no_attempt=True, is_held=True)
        except HooklineError as error:  # no token, an unreadable secret or url: to be mended, so it is tried again
            return watch.report(Outcome.RETRYABLE_FAILURE, "none", error.detail)

    async def _tried(self, claim: Claim, watch: _Watch, may_send: Callable[[], bool], trace: AttemptTrace) -> Report:
        """Do it. Raises whatever goes wrong."""
        if claim.spec.sealed_content:
            claim = msgspec.structs.replace(claim, spec=self._opened(claim.spec))
        access = self._accesses.opened(claim.access) if claim.access else None
        target = parse_url(claim.spec.url)
        trace.goes_to(target)
        address = self._vetter.vet_cached(target) or await self._vetter.vet(target)
        authorization = None if access is None else await self._accesses.authorization(access.access, claim.tenant)
        headers = self._headers(claim, watch.started_ms, trace)
        if authorization is not None and not any(name.lower() == "authorization" for name, _ in headers):
            headers.append(("authorization", authorization))
        if (why := self._why_not(may_send, claim.ends_ms - claim.spec.timeout_ms)) is not None:
            return watch.report(Outcome.RETRYABLE_FAILURE, "none", why, costs_no_attempt=True)
        answer = await self._send(claim, target, address, headers, access and access.tls, may_send)
        if access is not None and answer.status == 401:
            self._accesses.refused(access.access)
        if authorization is not None:
            answer = _without_echoes(answer, authorization)
        return _answered(answer, watch.started_ms, watch.took_ms())

    async def _send(
        self,
        claim: Claim,
        target: Target,
        address: str,
        headers: Sequence[tuple[str, str]],
        tls: ssl.SSLContext | None,
        may_send: Callable[[], bool],
    ) -> ReceiverAnswer:
        """Send it; once more, within the same time, when the receiver had closed the connection that it was sent on."""
        spec = claim.spec
        until_boot = self._clock.boot_ms() + spec.timeout_ms
        outgoing = Outgoing(
            target=target,
            address=address,
            method=spec.method,
            headers=headers,
            body=spec.body,
            timeout_ms=spec.timeout_ms,
            fresh_connection=spec.at_most_once,
            tls=tls,
            may_send=may_send,
            tenant=claim.tenant,
        )
        while True:
            try:
                return await self._transport.send(outgoing)
            except SendFailed as failure:
                left_ms = int(until_boot - self._clock.boot_ms())
                if failure.kind != "stale" or left_ms < 1:
                    raise
                if self._why_not(may_send, claim.ends_ms - left_ms) is not None:
                    raise
            outgoing = outgoing._replace(timeout_ms=left_ms, fresh_connection=True)

    def _why_not(self, may_send: Callable[[], bool], latest_ms: int) -> str | None:
        """The last question before a request leaves: may it?"""
        if not may_send():
            return NOT_LEADING
        if self._clock.wall_ms() + TELL_MS > latest_ms:
            return "the claim was committed too late for an attempt of this length; nothing was sent"
        return None

    def _headers(self, claim: Claim, now_ms: int, trace: AttemptTrace) -> list[tuple[str, str]]:
        spec = claim.spec
        headers = webhook_headers(
            claim.job_id,
            spec.body,
            self._keys(claim),
            attempt=claim.ref.attempt,
            term=claim.term,
            scheduled_at_ms=claim.run_at_ms,
            now_ms=now_ms,
        )
        headers += trace.headers(spec)
        return with_defaults(headers, spec.headers, spec.body, is_json=spec.is_json)


def _without_echoes(answer: ReceiverAnswer, authorization: str) -> ReceiverAnswer:
    """The answer with the destination's credentials masked, where the receiver repeats them."""
    credentials = authorization.partition(" ")[2]
    headers = [(name, value.replace(credentials, MASK)) for name, value in answer.headers]
    return ReceiverAnswer(answer.status, headers, answer.body.replace(credentials.encode(), MASK.encode()))


_TROUBLES: dict[FailureKind, Trouble] = {
    "connect": "connection",
    "broken": "connection",
    "stale": "connection",
    "timeout": "timeout",
}


def _failed(failure: SendFailed, at_most_once: bool) -> tuple[Outcome, DestinationVerdict, bool]:
    """(outcome, verdict, sent). A request that may have arrived is only worth trying again if it may arrive twice."""
    unclear = Outcome.UNKNOWN if at_most_once else Outcome.RETRYABLE_FAILURE
    match failure.kind:
        case "connect":
            return Outcome.RETRYABLE_FAILURE, "bad", False
        case "ours":
            return Outcome.RETRYABLE_FAILURE, "none", False
        case "timeout":
            return unclear, "timeout", True
        case "broken" | "stale":
            return unclear, "bad", True
        case "unsendable":
            return Outcome.PERMANENT_FAILURE, "none", False


def _answered(answer: ReceiverAnswer, started_ms: int, took: int) -> Report:
    outcome = Outcome.SUCCESS if is_success(answer.status) else Outcome.RETRYABLE_FAILURE
    retry_after_ms = None
    if outcome is Outcome.RETRYABLE_FAILURE:
        named = {name.lower(): value for name, value in answer.headers}
        retry_after_ms = parse_retry_after(named.get("retry-after"), started_ms + took)
    return Report(
        outcome,
        "bad" if answer.status >= 500 else "good",
        started_ms,
        took,
        sent=True,
        status=answer.status,
        retry_after_ms=retry_after_ms,
        headers=_kept(answer.headers),
        body=answer.body[:RESPONSE_BYTES_KEPT_MAX],
    )


def _kept(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """As many response headers as fit, in their order."""
    kept, size = [], 0
    for name, value in headers:
        size += len(name) + len(value)
        if size > _HEADERS_KEPT_BYTES:
            break
        kept.append((name, value))
    return tuple(kept)
