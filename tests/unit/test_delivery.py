"""One attempt: what is sent, in which order things are asked, and what each failure comes to."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from hookline.errors import ForbiddenDestination, HooklineError, ResolveFailed, SecretKeyMissing
from hookline.node.attempts.delivery import Delivery
from hookline.node.attempts.receiver_access import ReceiverAccesses
from hookline.node.attempts.transport import FailureKind, Outgoing, ReceiverAnswer, SendFailed
from hookline.node.vault import Vault
from hookline.protocol.claims import TELL_MS, Claim, ClaimRef, Report
from hookline.protocol.jobs import JobSpec, Outcome
from hookline.protocol.limits import ERROR_CHARS_MAX, RESPONSE_BYTES_KEPT_MAX
from hookline.protocol.receiver_access import BasicAuth, BearerAuth, OAuth2Auth, ReceiverAccess, encode_access
from hookline.protocol.signatures import SigningKey, generate_secret, parse_secret, verify
from hookline.protocol.urls import Target
from hookline.protocol.webhook import USER_AGENT
from hookline.telemetry.tracing.context import parse_traceparent
from hookline.telemetry.tracing.sampling import Sampler
from hookline.telemetry.tracing.spans import trace_by
from tests.node_parts import T0, ManualClock, job_spec

SECRETS = [generate_secret(bytes([number]) * 32) for number in (1, 2)]
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
ADDRESS = "203.0.113.9"
VAULT = Vault([bytes(32)])


def named(sent: Outgoing, name: str) -> list[str]:
    return [value for header, value in sent.headers if header.lower() == name]


@dataclass
class World:
    """Vetter, transport, keys and leadership in one, so that the order of their calls is seen."""

    clock: ManualClock = field(default_factory=ManualClock)
    calls: list[str] = field(default_factory=list)
    sent: list[Outgoing] = field(default_factory=list)
    answer: ReceiverAnswer | SendFailed = field(default_factory=lambda: ReceiverAnswer(200, [], b"ok"))
    answers: list[ReceiverAnswer | SendFailed] = field(default_factory=list)  # before it
    loses_lead: bool = False  # with the first request
    vetting: HooklineError | None = None
    is_cached: bool = True
    secrets: Sequence[str] = ()
    keys_fail: HooklineError | None = None
    leads: bool = True
    takes_ms: int = 40

    def vet_cached(self, _target: Target) -> str | None:
        self.calls.append("vet_cached")
        if self.vetting is not None:
            raise self.vetting
        return ADDRESS if self.is_cached else None

    async def vet(self, _target: Target) -> str:
        self.calls.append("vet")
        return ADDRESS

    def keys(self, _claim: Claim) -> Sequence[SigningKey]:
        self.calls.append("keys")
        if self.keys_fail is not None:
            raise self.keys_fail
        return [parse_secret(secret) for secret in self.secrets]

    def may_send(self) -> bool:
        self.calls.append("may_send")
        return self.leads

    async def send(self, outgoing: Outgoing) -> ReceiverAnswer:
        self.calls.append("send")
        self.sent.append(outgoing)
        self.clock.advance(self.takes_ms)
        self.leads = self.leads and not self.loses_lead
        answer = self.answers.pop(0) if self.answers else self.answer
        if isinstance(answer, SendFailed):
            raise answer
        return answer

    async def close(self) -> None:
        pass

    async def attempt(
        self,
        spec: JobSpec | None = None,
        *,
        number: int = 3,
        term: int = 7,
        claim_ends_ms: int = T0 + 35_000,
        access: ReceiverAccess | None = None,
        tenant: str = "",
    ) -> Report:
        accesses = ReceiverAccesses(VAULT, self, self, self.clock)  # type: ignore[arg-type]
        delivery = Delivery(
            *(self, self, self.clock),  # type: ignore[arg-type]
            keys=self.keys,
            opened=lambda spec: spec,
            accesses=accesses,
        )
        spec = spec or job_spec()
        sealed = VAULT.seal_bytes(encode_access(access), nonce=bytes(12)) if access else b""
        ref, run_at_ms = ClaimRef(7, number), T0 - 1_500
        claim = Claim(ref, term, T0 - 1_000, claim_ends_ms, "job-1", run_at_ms, spec, access=sealed, tenant=tenant)
        return await delivery.attempt(claim, self.may_send)


@pytest.mark.parametrize("late_ms", [0, 1])
async def test_nothing_is_sent_that_could_outlive_its_claim(late_ms: int) -> None:
    world = World()
    report = await world.attempt(job_spec(timeout_ms=10_000), claim_ends_ms=T0 + 10_000 + TELL_MS - late_ms)
    if late_ms:
        assert world.sent == []
        assert (report.outcome, report.costs_no_attempt) == (Outcome.RETRYABLE_FAILURE, True)
        assert "claim" in (report.error or "")
    else:
        assert len(world.sent) == 1


async def test_what_is_sent() -> None:
    world = World()
    await world.attempt(job_spec("https://a.example/hook?x=1", body=b'{"a": 1}', headers=(("X-Own", "yes"),)))
    (sent,) = world.sent
    assert (sent.target.url, sent.address, sent.method) == ("https://a.example/hook?x=1", ADDRESS, "POST")
    assert sent.body == b'{"a": 1}'
    assert (sent.timeout_ms, sent.fresh_connection) == (30_000, False)
    assert sent.headers == [
        ("webhook-id", "job-1"),
        ("webhook-timestamp", str(T0 // 1_000)),
        ("hookline-attempt", "3"),
        ("hookline-term", "7"),
        ("hookline-scheduled-at", "2027-01-15T07:59:58.500Z"),
        ("traceparent", "00-be36d7c2e619eb9984e25bf6b1bd1a55-0000000000000003-01"),
        ("user-agent", USER_AGENT),
        ("content-type", "application/json"),
        ("X-Own", "yes"),
    ]


async def test_the_signature_verifies_with_each_active_secret_over_what_is_sent() -> None:
    world = World(secrets=SECRETS)
    await world.attempt(job_spec(body=b"payload"))
    (sent,) = world.sent
    for secret in SECRETS:
        verify(dict(sent.headers), sent.body, secret, now_s=T0 // 1_000)


async def test_leadership_is_asked_last_before_the_request_leaves() -> None:
    world = World(is_cached=False)
    await world.attempt()
    assert world.calls == ["vet_cached", "vet", "keys", "may_send", "send"]


async def test_a_node_that_no_longer_leads_sends_nothing() -> None:
    world = World(leads=False)
    report = await world.attempt(job_spec(at_most_once=True))
    assert world.sent == []
    assert (report.outcome, report.verdict, report.sent) == (Outcome.RETRYABLE_FAILURE, "none", False)


@pytest.mark.parametrize(
    ("body", "is_json", "expected"),
    [(b"{}", True, ["application/json"]), (b"\0", False, ["application/octet-stream"]), (b"", True, [])],
)
async def test_the_content_type_follows_from_the_body(body: bytes, is_json: bool, expected: list[str]) -> None:
    world = World()
    await world.attempt(job_spec(body=body, is_json=is_json))
    assert named(world.sent[0], "content-type") == expected


async def test_the_users_own_headers_win() -> None:
    own = (("Content-Type", "text/plain"), ("USER-AGENT", "mine"), ("TraceParent", "00-own-own-00"))
    world = World()
    await world.attempt(job_spec(headers=own, traceparent="00-request-request-01"))
    (sent,) = world.sent
    assert named(sent, "content-type") == ["text/plain"]
    assert named(sent, "user-agent") == ["mine"]
    assert named(sent, "traceparent") == ["00-own-own-00"]


@pytest.mark.parametrize("flags", ["00", "01", "03"])
async def test_the_context_of_the_request_is_sent_on_as_it_came(flags: str) -> None:
    world, given = World(), f"{TRACE}-{flags}"
    await world.attempt(job_spec(traceparent=given, tracestate="a=1,b=2"))
    assert named(world.sent[0], "traceparent") == [given]
    assert named(world.sent[0], "tracestate") == ["a=1,b=2"]


async def test_a_job_that_came_without_gets_one_context_for_all_its_attempts() -> None:
    world = World()
    for number, tenant in ((1, ""), (2, ""), (2, "acme")):
        await world.attempt(number=number, tenant=tenant)
    sent = [named(one, "traceparent") for one in world.sent]
    contexts = [parse_traceparent(*one) for one in sent]
    assert [context and context.span_id for context in contexts] == [f"{number:016x}" for number in (1, 2, 2)]
    first, again, of_another = (context and context.trace_id for context in contexts)
    assert first == again != of_another
    assert [named(one, "tracestate") for one in world.sent] == [[], [], []]


@pytest.mark.parametrize(("ratio", "flags"), [(0.0, "00"), (1.0, "01")])
async def test_the_sampler_decides_for_the_receiver_of_a_job_that_came_without(ratio: float, flags: str) -> None:
    world = World()
    trace_by(None, Sampler(ratio))
    try:
        await world.attempt()
    finally:
        trace_by(None)
    assert [value[-2:] for value in named(world.sent[0], "traceparent")] == [flags]


async def test_an_own_tracestate_stays_beside_the_traceparent() -> None:
    world = World()
    await world.attempt(job_spec(headers=(("TraceState", "own=1"),), traceparent=f"{TRACE}-01", tracestate="a=1"))
    assert named(world.sent[0], "traceparent") == [f"{TRACE}-01"]
    assert named(world.sent[0], "tracestate") == ["own=1"]


async def test_requests_and_those_for_tokens_are_sent_on_behalf_of_the_jobs_tenant() -> None:
    world = World()
    world.answers = [token("one"), ReceiverAnswer(200, [], b"")]
    await world.attempt(access=OAUTH2, tenant="acme")
    assert [sent.tenant for sent in world.sent] == ["acme", "acme"]


async def test_an_at_most_once_job_gets_a_connection_of_its_own() -> None:
    world = World()
    await world.attempt(job_spec(at_most_once=True, timeout_ms=500))
    assert world.sent[0].fresh_connection
    assert world.sent[0].timeout_ms == 500


@pytest.mark.parametrize(
    ("kind", "once", "outcome", "verdict", "sent"),
    [
        ("connect", False, Outcome.RETRYABLE_FAILURE, "bad", False),
        ("connect", True, Outcome.RETRYABLE_FAILURE, "bad", False),
        ("timeout", False, Outcome.RETRYABLE_FAILURE, "timeout", True),
        ("timeout", True, Outcome.UNKNOWN, "timeout", True),
        ("broken", False, Outcome.RETRYABLE_FAILURE, "bad", True),
        ("broken", True, Outcome.UNKNOWN, "bad", True),
        ("ours", False, Outcome.RETRYABLE_FAILURE, "none", False),
        ("ours", True, Outcome.RETRYABLE_FAILURE, "none", False),
        ("unsendable", False, Outcome.PERMANENT_FAILURE, "none", False),
        ("unsendable", True, Outcome.PERMANENT_FAILURE, "none", False),
    ],
)
async def test_what_each_failure_comes_to(
    kind: FailureKind, once: bool, outcome: Outcome, verdict: str, sent: bool
) -> None:
    report = await World(answer=SendFailed(kind, "x" * 9_000)).attempt(job_spec(at_most_once=once))
    assert (report.outcome, report.verdict, report.sent, report.status) == (outcome, verdict, sent, None)
    assert report.error == "x" * ERROR_CHARS_MAX
    assert report.costs_no_attempt == (kind == "ours")
    assert report.trouble == {"connect": "connection", "broken": "connection", "timeout": "timeout"}.get(kind)
    assert (report.started_ms, report.duration_ms) == (T0, 40)


STALE = SendFailed("stale", "closed before an answer came")


async def test_what_a_closed_connection_swallowed_is_sent_again_on_a_fresh_one_within_the_same_time() -> None:
    world = World(answers=[STALE, ReceiverAnswer(200, [], b"ok")])
    report = await world.attempt(job_spec(timeout_ms=10_000))
    assert (report.outcome, report.verdict, report.duration_ms) == (Outcome.SUCCESS, "good", 80)
    assert [(sent.fresh_connection, sent.timeout_ms) for sent in world.sent] == [(False, 10_000), (True, 9_960)]
    assert world.sent[0].headers == world.sent[1].headers
    assert world.calls[-4:] == ["may_send", "send", "may_send", "send"], "the lead is asked before each"


async def test_it_is_sent_again_once_only() -> None:
    world = World(answers=[STALE, SendFailed("broken", "reset"), ReceiverAnswer(200, [], b"ok")])
    report = await world.attempt()
    assert (report.outcome, report.error, len(world.sent)) == (Outcome.RETRYABLE_FAILURE, "reset", 2)


@pytest.mark.parametrize("why", ["no longer leads", "no time is left"])
async def test_it_is_not_sent_again_by_whom_or_when_it_must_not_be(why: str) -> None:
    world = World(answers=[STALE], takes_ms=40 if why == "no longer leads" else 30_000)
    world.loses_lead = why == "no longer leads"
    report = await world.attempt()
    assert (report.outcome, report.verdict, report.sent) == (Outcome.RETRYABLE_FAILURE, "bad", True)
    assert len(world.sent) == 1


async def test_a_node_that_lacks_what_a_lookup_needs_blames_nobody() -> None:
    report = await World(vetting=ResolveFailed("no descriptors", reason="ours")).attempt()
    assert (report.outcome, report.verdict, report.costs_no_attempt) == (Outcome.RETRYABLE_FAILURE, "none", True)


@pytest.mark.parametrize(
    ("error", "outcome", "verdict"),
    [
        (ForbiddenDestination("not public"), Outcome.PERMANENT_FAILURE, "none"),
        (ResolveFailed("no such name"), Outcome.RETRYABLE_FAILURE, "bad"),
    ],
)
async def test_a_target_that_is_not_vetted_is_not_called(error: HooklineError, outcome: Outcome, verdict: str) -> None:
    world = World(vetting=error)
    report = await world.attempt()
    assert "send" not in world.calls
    assert (report.outcome, report.verdict, report.sent, report.error) == (outcome, verdict, False, error.detail)
    assert report.trouble == ("connection" if isinstance(error, ResolveFailed) else None)


async def test_a_secret_that_cannot_be_opened_sends_nothing_unsigned() -> None:
    world = World(keys_fail=SecretKeyMissing("key gone"))
    report = await world.attempt()
    assert world.sent == []
    assert (report.outcome, report.verdict, report.sent) == (Outcome.RETRYABLE_FAILURE, "none", False)
    assert (report.costs_no_attempt, report.is_held) == (True, True), (
        "it costs no attempt, and is not tried all the time"
    )


@pytest.mark.parametrize(
    ("status", "outcome", "verdict"),
    [
        (204, Outcome.SUCCESS, "good"),
        (301, Outcome.RETRYABLE_FAILURE, "good"),
        (404, Outcome.RETRYABLE_FAILURE, "good"),
        (429, Outcome.RETRYABLE_FAILURE, "good"),
        (503, Outcome.RETRYABLE_FAILURE, "bad"),
    ],
)
async def test_what_each_answer_comes_to(status: int, outcome: Outcome, verdict: str) -> None:
    report = await World(answer=ReceiverAnswer(status, [("A", "b")], b"body")).attempt()
    assert (report.outcome, report.verdict, report.sent, report.status) == (outcome, verdict, True, status)
    assert (report.headers, report.body, report.error, report.trouble) == ((("A", "b"),), b"body", None, None)


async def test_retry_after_is_read_when_it_matters_from_the_time_of_the_answer() -> None:
    headers = [("Retry-After", "Fri, 15 Jan 2027 08:00:30 GMT")]
    report = await World(answer=ReceiverAnswer(503, headers, b""), takes_ms=10_000).attempt()
    assert report.retry_after_ms == 20_000
    assert (await World(answer=ReceiverAnswer(200, headers, b"")).attempt()).retry_after_ms is None


async def test_only_so_much_of_an_answer_is_kept() -> None:
    headers = [(f"h{number}", "v" * 1_000) for number in range(100)]
    report = await World(answer=ReceiverAnswer(200, headers, bytes(60_000))).attempt()
    assert len(report.body) == RESPONSE_BYTES_KEPT_MAX
    assert [name for name, _ in report.headers] == ["h0", "h1", "h2", "h3"]


# --- what destinations ask of callers ---------------------------------------------------------------------------------

OAUTH2 = ReceiverAccess(OAuth2Auth("https://login.example/token", "me", "planted", scope="a b"))


@pytest.mark.parametrize(
    ("access", "sent"),
    [
        (ReceiverAccess(BearerAuth("t0ken")), "Bearer t0ken"),
        (ReceiverAccess(BasicAuth("me", "pass:word")), "Basic bWU6cGFzczp3b3Jk"),
    ],
)
async def test_a_destination_has_its_authorization_unless_the_job_has_one(access: ReceiverAccess, sent: str) -> None:
    world = World()
    await world.attempt(access=access)
    await world.attempt(job_spec(headers=(("authorization", "own"),)), access=access)
    assert [named(outgoing, "authorization") for outgoing in world.sent] == [[sent], ["own"]]


async def test_what_a_receiver_repeats_of_it_is_masked() -> None:
    world = World(answer=ReceiverAnswer(400, [("x-got", "Bearer t0ken")], b"you sent Bearer t0ken"))
    report = await world.attempt(access=ReceiverAccess(BearerAuth("t0ken")))
    assert (report.body, report.headers) == (b"you sent Bearer ***", (("x-got", "Bearer ***"),))


def token(text: str, **more: object) -> ReceiverAnswer:
    return ReceiverAnswer(200, [], msgspec.json.encode({"access_token": text, "token_type": "Bearer"} | more))


async def test_a_token_is_asked_for_before_and_kept_until_shortly_before_it_expires() -> None:
    world, ok = World(), ReceiverAnswer(200, [], b"ok")
    accesses = ReceiverAccesses(VAULT, world, world, world.clock)  # type: ignore[arg-type]
    world.answers = [token("one", expires_in=100), token("two", expires_in="100"), ok]
    assert OAUTH2.auth is not None
    assert [await accesses.authorization(OAUTH2, "") for _ in range(3)] == ["Bearer one"] * 3
    world.clock.advance(70_000)
    assert await accesses.authorization(OAUTH2, "") == "Bearer two"
    asked = world.sent[0]
    assert (asked.target.url, asked.method) == ("https://login.example/token", "POST")
    assert asked.body == b"grant_type=client_credentials&scope=a+b"
    assert named(asked, "authorization") == ["Basic bWU6cGxhbnRlZA=="]
    accesses.refused(OAUTH2)
    world.answers = [token("three")]
    assert await accesses.authorization(OAUTH2, "") == "Bearer three"


async def test_many_attempts_wait_for_one_token_and_hear_of_one_failure() -> None:
    world = World(answer=ReceiverAnswer(500, [], b"planted"))
    accesses = ReceiverAccesses(VAULT, world, world, world.clock)  # type: ignore[arg-type]
    told = await asyncio.gather(*(accesses.authorization(OAUTH2, "") for _ in range(20)), return_exceptions=True)
    assert {str(error) for error in told} == {"no token from https://login.example:443: it answered 500"}
    assert len(world.sent) == 1
    world.clock.advance(1_000)
    world.answer = token("late")
    assert set(await asyncio.gather(*(accesses.authorization(OAUTH2, "") for _ in range(20)))) == {"Bearer late"}
    assert len(world.sent) == 2


@pytest.mark.parametrize(
    "answer",
    [
        ReceiverAnswer(200, [], b"planted"),
        ReceiverAnswer(200, [], b'{"access_token": "a b"}'),
        ReceiverAnswer(200, [], b'{"access_token": 7}'),
        ReceiverAnswer(302, [], b""),
        SendFailed("timeout", "no answer within 10000 ms"),
    ],
    ids=["no JSON", "a space", "a number", "a redirect", "silence"],
)
async def test_without_a_token_nothing_is_sent_and_the_job_is_tried_again(answer: ReceiverAnswer | SendFailed) -> None:
    world = World(answer=answer)
    report = await world.attempt(access=OAUTH2)
    assert (report.outcome, report.sent, report.costs_no_attempt) == (Outcome.RETRYABLE_FAILURE, False, False)
    assert (report.error or "").startswith("no token from https://login.example:443: ")
    assert "planted" not in (report.error or "")
    assert len(world.sent) == 1


async def test_a_401_makes_the_next_attempt_ask_for_another_token() -> None:
    world = World()
    accesses = ReceiverAccesses(VAULT, world, world, world.clock)  # type: ignore[arg-type]
    delivery = Delivery(
        *(world, world, world.clock),  # type: ignore[arg-type]
        keys=world.keys,
        opened=lambda spec: spec,
        accesses=accesses,
    )
    sealed = VAULT.seal_bytes(encode_access(OAUTH2), nonce=bytes(12))
    claim = Claim(ClaimRef(7, 1), 7, T0, T0 + 35_000, "job-1", T0, job_spec(), access=sealed)
    world.answers = [token("one"), ReceiverAnswer(401, [], b""), token("two"), ReceiverAnswer(200, [], b"")]
    for _ in range(2):
        await delivery.attempt(claim, world.may_send)
    assert [named(sent, "authorization")[0] for sent in world.sent[1::2]] == ["Bearer one", "Bearer two"]
