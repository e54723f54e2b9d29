"""The place of an attempt in a trace: what the receiver is told of it, and the span that is recorded.

A receiver is always told one: the context that the job was created in, or else one that follows from the job's id, the
same for all its attempts, in whatever process they are made. So nothing has to be stored for jobs that came without.
"""

import hashlib
from typing import Final

from hookline.protocol.claims import Claim, Report
from hookline.protocol.jobs import JobSpec, Outcome
from hookline.protocol.urls import Target
from hookline.telemetry.tracing.context import SAMPLED, parse_traceparent, sampled_trace_of
from hookline.telemetry.tracing.spans import Span, Value, sampler, tracer

_NO_TRACE: Final = "0" * 32  # no trace may have that id


class AttemptTrace:
    """One for each attempt.

    Attributes:
        span: that of the attempt; None: it is not recorded in this process.
        parent, state: the values of the headers by which the receiver is told.
    """

    __slots__ = ("parent", "span", "state")

    def __init__(self, span: Span | None, parent: str, state: str) -> None:
        self.span = span
        self.parent = parent
        self.state = state

    def headers(self, spec: JobSpec) -> list[tuple[str, str]]:
        """The headers that tell the receiver; none that the job has itself."""
        headers = [("traceparent", self.parent)]
        if self.state:
            headers.append(("tracestate", self.state))
        if not spec.headers:
            return headers
        own = {name.lower() for name, _ in spec.headers}
        if "traceparent" in own:  # of a job that was made when it could have one
            return []
        return [pair for pair in headers if pair[0] not in own]

    def goes_to(self, target: Target) -> None:
        """Note the destination. Its path is not noted: for some receivers it is a secret, nor are query and user."""
        if self.span is not None:
            self.span.put("server.address", target.host)
            self.span.put("server.port", target.port)
            self.span.put("url.scheme", target.scheme)

    def end(self, report: Report) -> None:
        """The attempt is over."""
        if (span := self.span) is None:
            return
        if report.status is not None:
            span.put("http.response.status_code", report.status)
        span.put("hookline.attempt.outcome", report.outcome.label)
        span.end(_error_of(report))


def begin_attempt(claim: Claim) -> AttemptTrace:
    """The attempt begins now."""
    spec, own = claim.spec, tracer()
    created = None
    if spec.traceparent is None:
        trace_id = _derived(claim)
    elif own is None or (own.sampler.by_parent and sampled_trace_of(spec.traceparent) is None):
        return AttemptTrace(None, spec.traceparent, spec.tracestate)  # not recorded, as most are
    elif (created := parse_traceparent(spec.traceparent, spec.tracestate)) is None:
        return AttemptTrace(None, spec.traceparent, spec.tracestate)
    else:
        trace_id = created.trace_id
    is_sampled = (sampler() if own is None else own.sampler).is_sampled(trace_id, created)
    if own is not None and is_sampled:
        span = own.begin(
            f"attempt {spec.method}", "client", created, trace_id=trace_id, link=created, attributes=_attributes(claim)
        )
        return AttemptTrace(span, span.context.traceparent, spec.tracestate)
    if spec.traceparent is not None:
        return AttemptTrace(None, spec.traceparent, spec.tracestate)
    return AttemptTrace(None, f"00-{trace_id}-{claim.ref.attempt:016x}-{SAMPLED if is_sampled else 0:02x}", "")


def _attributes(claim: Claim) -> dict[str, Value]:
    attempt = claim.ref.attempt
    resent: dict[str, Value] = {"http.request.resend_count": attempt - 1} if attempt > 1 else {}
    return {
        "http.request.method": claim.spec.method,
        "messaging.system": "hookline",
        "messaging.message.id": claim.job_id,
        "hookline.attempt.number": attempt,
        "hookline.term": claim.term,
        **resent,
    }


def _derived(claim: Claim) -> str:
    """The id of the trace of a job that came without one."""
    digest = hashlib.blake2b(f"{claim.tenant}\0{claim.job_id}".encode(), digest_size=16).hexdigest()
    return digest if digest != _NO_TRACE else _NO_TRACE.replace("0", "1")


def _error_of(report: Report) -> str:
    """Never the text of the error, which may hold what a receiver said."""
    if report.outcome is Outcome.SUCCESS:
        return ""
    if report.status is not None:
        return str(report.status)
    return report.trouble or ("not_sent" if not report.sent else report.outcome.label)
