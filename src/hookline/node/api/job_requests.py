"""From the bytes of a job request to the command that creates or changes the job. Pure, and on the hot path.

Everything is checked here, before anything is stored; what comes out can be delivered as it is.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec
from msgspec import UNSET, Raw

from hookline.errors import (
    ForbiddenDestination,
    InvalidId,
    InvalidRequest,
    InvalidSecret,
    InvalidUrl,
    Unavailable,
)
from hookline.http_api import strict_json
from hookline.node.api import job_fields as fields
from hookline.node.config import NodeConfig
from hookline.node.content_seal import ContentSeal, ContentSealer
from hookline.node.state_machine.read_rows import JobRow
from hookline.node.vault import NONCE_BYTES
from hookline.protocol.commands import CreateJob
from hookline.protocol.destination_rules import KnownRules
from hookline.protocol.http import JobChanges, JobRequest, RetryRequest
from hookline.protocol.ids import check_id, mint_id
from hookline.protocol.jobs import DEFAULT_TENANT, JobSpec, State
from hookline.protocol.retries import DEFAULT_RETRY, retry_of
from hookline.protocol.signatures import parse_secret
from hookline.protocol.urls import parse_url
from hookline.telemetry.tracing.context import TraceContext

RESERVED_IDS = frozenset({"batch", "retry", "cancel"})  # they are calls: GET /jobs/batch could not mean a job

_requests, _request_parts = msgspec.json.Decoder(JobRequest), strict_json.parts_of(JobRequest)
_changes, _change_parts = msgspec.json.Decoder(JobChanges), strict_json.parts_of(JobChanges)
_canonical = msgspec.json.Encoder(order="deterministic").encode
_NO_FINGERPRINT = b""
ID_RANDOM_BYTES = 10
_RANDOM_DRAWN = 200 * ID_RANDOM_BYTES


@dataclass(slots=True)
class NewJob:
    """A job that was understood: its spec, and the command that creates it."""

    spec: JobSpec
    command: CreateJob

    def row(self, created_ms: int) -> JobRow:
        """The job as it will be read, without the number that it gets: no read is needed to know how it looks."""
        command = self.command
        return JobRow(
            seq=0,
            id=command.id,
            tenant=command.work.tenant,
            state=State.PENDING,
            due_ms=command.due_ms,
            run_at_ms=command.due_ms,
            created_ms=created_ms,
            finished_ms=None,
            attempts=0,
            size=command.work.size,
            revision=1,
            schedule=None,
            spec=self.spec,
            last_attempt=None,
        )


class Sealer(ContentSealer, Protocol):
    """A ``Vault``, as far as a request asks for it."""

    def seal(self, plaintext: str, *, nonce: bytes) -> bytes:
        """Encrypt a secret."""

    def open(self, sealed: bytes) -> str:
        """The inverse."""


class JobRequests:
    """Reads job requests.

    Args:
        config: limits, allowed destinations, the shard.
        vault: seals secrets.
        token: fresh random bytes, for ids and nonces.
    """

    def __init__(self, config: NodeConfig, vault: Sealer, token: Callable[[int], bytes]) -> None:
        self._config = config
        self._rules = KnownRules(config.rules)
        self._vault = vault
        self._token = token
        self.content = ContentSeal(vault, token, is_on=config.encrypt_payloads)
        self._random = b""
        self._random_used = 0
        self._defaults = JobSpec(
            url="",
            destination="",
            method="POST",
            headers=(),
            body=b"",
            is_json=False,
            timeout_ms=fields.timeout_of(UNSET, config.attempt_max_ms),
            retry=DEFAULT_RETRY,
            at_most_once=False,
            priority=0,
            labels={},
        )

    def create(
        self,
        body: bytes | Raw,
        now_ms: int,
        *,
        tenant: str = DEFAULT_TENANT,
        key: str | None = None,
        trace: TraceContext | None = None,
    ) -> NewJob:
        """Read a request to create a job; the body is known to be UTF-8. Raises InvalidRequest, PayloadTooLarge."""
        strict_json.check_envelope(_request_parts, body)
        request = strict_json.decode(_requests, body)
        found = strict_json.unique_fields(body)
        spec = fields.unmasked(self._new(request, trace), None)
        strict_json.check_unique_inside(found, request)  # after the sizes are known to be small
        due_ms = fields.due_of(request.run_at, request.delay, now_ms)
        chosen = request.id is not UNSET
        if chosen and request.id in RESERVED_IDS:
            raise InvalidId(f"the id {request.id!r} is reserved", field="id")
        job_id = check_id(request.id) if request.id is not UNSET else self.mint_id(now_ms)
        command = CreateJob(
            id=job_id,
            due_ms=now_ms if due_ms is None else due_ms,
            work=self.content.work_of(spec, tenant),
            fingerprint=fingerprint(request) if chosen or key is not None else _NO_FINGERPRINT,
            key=key,
            key_expires_ms=now_ms + self._config.key_window_ms if key is not None else 0,
            id_is_chosen=chosen,
        )
        return NewJob(spec, command)

    def template(self, body: bytes | Raw) -> JobSpec:
        """Read the job of a schedule, which has no id and no time of its own; masks are left in it."""
        strict_json.check_envelope(_request_parts, body)
        request = strict_json.decode(_requests, body)
        found = strict_json.unique_fields(body)
        for name in ("id", "run_at", "delay"):
            if getattr(request, name) is not UNSET:
                raise InvalidRequest(
                    f"the job of a schedule takes no {name}; the schedule gives it", field=f"job.{name}"
                )
        spec = self._new(request, None)
        strict_json.check_unique_inside(found, request)
        return spec

    def changes(self, body: bytes | Raw) -> JobChanges:
        """Read what is to be changed in a job. Raises InvalidRequest, PayloadTooLarge."""
        strict_json.check_envelope(_change_parts, body)
        changes = strict_json.decode(_changes, body)
        found = strict_json.unique_fields(body)
        self._merged(changes, self._defaults)
        strict_json.check_unique_inside(found, changes)
        return changes

    def changed(self, changes: JobChanges, old: JobSpec) -> JobSpec:
        """``old`` with the changes made. Raises InvalidRequest, PayloadTooLarge, Unavailable."""
        if old.sealed_content:  # what could not be opened must not be replaced by nothing
            raise Unavailable("what the job is to send is encrypted with a key that this node does not have")
        return fields.unmasked(self._merged(changes, old), old)

    def _new(self, request: JobRequest, trace: TraceContext | None) -> JobSpec:
        if request.url is UNSET:
            raise InvalidRequest("the field 'url' is missing", field="url")
        spec = self._merged(request, self._defaults)
        if trace is None:
            return spec
        return msgspec.structs.replace(spec, traceparent=trace.traceparent, tracestate=trace.state)

    def _merged(self, given: JobChanges, old: JobSpec) -> JobSpec:
        """The one place where the fields of a request become those of a spec; ``old`` has what was not given."""
        url, destination = (old.url, old.destination) if given.url is UNSET else self._target(given.url)
        body, is_json = old.body, old.is_json
        if given.payload is not UNSET or given.body_base64 is not UNSET:
            body, is_json = fields.body_of(given.payload, given.body_base64, self._config.payload_bytes_max)
        longest_ms = self._config.attempt_max_ms
        return JobSpec(
            url=url,
            destination=destination,
            method=old.method if given.method is UNSET else fields.method_of(given.method),
            headers=old.headers if given.headers is UNSET else fields.check_headers(tuple(given.headers.items())),
            body=body,
            is_json=is_json,
            timeout_ms=old.timeout_ms if given.timeout is UNSET else fields.timeout_of(given.timeout, longest_ms),
            retry=old.retry if given.retry is UNSET else retry_of(given.retry),
            at_most_once=old.at_most_once if given.guarantee is UNSET else given.guarantee == "at_most_once",
            priority=old.priority if given.priority is UNSET else fields.priority_of(given.priority),
            labels=old.labels if given.labels is UNSET else fields.check_labels(given.labels),
            sealed_secret=old.sealed_secret if given.secret is UNSET else self._sealed(given.secret, old),
            traceparent=old.traceparent,
            tracestate=old.tracestate,
            redact=old.redact if given.redact is UNSET else fields.redact_of(given.redact),
        )

    def mint_id(self, now_ms: int) -> str:
        """A fresh id with this cluster's shard."""
        # Fresh bytes are drawn for many ids at once: a system call for each would cost more than the rest of the id.
        if len(self._random) - self._random_used < ID_RANDOM_BYTES:
            self._random, self._random_used = self._token(_RANDOM_DRAWN), 0
        start = self._random_used
        self._random_used += ID_RANDOM_BYTES
        return mint_id(now_ms, self._random[start : self._random_used], self._config.shard)

    def seal(self, secret: str, field: str) -> bytes:
        """A signing secret as it is stored. Raises InvalidSecret, naming ``field``, never the secret."""
        try:
            key = parse_secret(secret)
        except InvalidSecret as error:
            raise InvalidSecret(error.detail, field=field) from None
        if not key.can_sign:
            raise InvalidSecret("a whpk_ key can only verify; give the whsk_ key that signs", field=field)
        return self._vault.seal(secret, nonce=self._token(NONCE_BYTES))

    def sealed_bytes(self, plaintext: bytes) -> bytes:
        """Anything as it is stored."""
        return self._vault.seal_bytes(plaintext, nonce=self._token(NONCE_BYTES))

    def check_url(self, url: str, field: str) -> None:
        """Raise InvalidUrl, ForbiddenDestination naming ``field`` unless jobs may call it."""
        try:
            self._target(url)
        except (InvalidUrl, ForbiddenDestination) as error:
            raise type(error)(error.detail, field=field) from None

    def is_sealed_as(self, sealed: bytes | None, secret: str) -> bool:
        """Whether ``sealed`` holds that very secret."""
        return sealed is not None and self._vault.open(sealed) == secret

    def _target(self, url: str) -> tuple[str, str]:
        target = parse_url(url)
        self._rules.check_target(target)
        return target.url, target.destination

    def _sealed(self, secret: str | None, old: JobSpec) -> bytes | None:
        if secret is None:
            return None
        if old.sealed_secret is not None and self.is_sealed_as(old.sealed_secret, secret):
            return old.sealed_secret
        return self.seal(secret, "secret")


def fingerprint(request: JobRequest) -> bytes:
    """Tells whether two requests ask for the same: 16 bytes over all fields as they were given.

    Except for what has no order: fields, headers, labels and what is retried, and a list of them is read as a set.
    """
    if isinstance(request.labels, list):
        request = msgspec.structs.replace(request, labels=sorted(set(request.labels)))
    if request.redact is not UNSET:
        request = msgspec.structs.replace(request, redact=sorted({name.lower() for name in request.redact}))
    if request.retry is not UNSET:
        request = msgspec.structs.replace(request, retry=_in_one_order(request.retry))
    return hashlib.blake2b(_canonical(request), digest_size=16).digest()


def _in_one_order(retry: RetryRequest) -> RetryRequest:
    on, not_on = (words and sorted({str(word) for word in words}) for words in (retry.on, retry.not_on))
    return msgspec.structs.replace(retry, on=on, not_on=not_on)
