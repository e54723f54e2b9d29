"""The SDK's calls give Python values, never less than the service said."""

import inspect
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

import hookline
from hookline import Client
from hookline.client import answers, move_answers
from hookline.client.requests import Request
from hookline.protocol import http, http_audit, http_keys, http_logs, http_moves, http_tenants
from tests import scripted_server as served
from tests.scripted_server import Answer, ScriptedServer, scripted_server

ONE_PM = datetime(2026, 11, 24, 13, tzinfo=UTC)
LAST = {"number": 1, "outcome": "success", "status": 200, "error": None, "started_at": "2026-11-24T13:00:00.250Z"}
LAST |= {"duration_ms": 3}
ONLY_FOR_PROXIES = {"cursors"}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with Client(server.url, retries=0) as client:
        yield client


OWN = [
    kind
    for module in (answers, move_answers)
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if kind.__module__ == module.__name__
]


@pytest.mark.parametrize("kind", [kind for kind in OWN if kind is not answers.Answered], ids=lambda kind: kind.__name__)
def test_each_answer_has_the_fields_that_travel(kind: type[msgspec.Struct]) -> None:
    places = (http, http_keys, http_audit, http_logs, http_moves, http_tenants)
    told: type[msgspec.Struct] = next(getattr(one, kind.__name__) for one in places if hasattr(one, kind.__name__))
    wanted = [name for name in told.__struct_encode_fields__ if name not in ONLY_FOR_PROXIES]
    assert list(kind.__struct_encode_fields__) == wanted
    assert not kind.__struct_config__.forbid_unknown_fields, "a newer service may say more"
    needed = {field.encode_name: field.required for field in msgspec.structs.fields(told)}
    assert all(field.required == needed[field.encode_name] for field in msgspec.structs.fields(kind))
    assert "msgspec.Unset" not in str(get_type_hints(kind))
    may_be_null = {name for name, hint in get_type_hints(told).items() if type(None) in get_args(hint)}
    assert may_be_null <= {name for name, hint in get_type_hints(kind).items() if type(None) in get_args(hint)}


def test_every_method_gives_a_type_of_the_sdk() -> None:
    for name, method in inspect.getmembers(Client):
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        given = method.__annotations__["return"]
        for kind in (given, *get_args(given)):
            assert getattr(kind, "__module__", "") not in (http.__name__, "msgspec"), name


def test_times_are_aware_datetimes(server: ScriptedServer, client: Client) -> None:
    server.answers = [Answer(200, served.job(last_attempt=LAST, finished_at="2026-11-24T13:00:00.253Z"))]
    job = client.get_job("j1")
    assert job.run_at == ONE_PM
    assert job.created_at < job.run_at
    assert job.waiting_for is not None
    assert job.waiting_for.until == ONE_PM
    assert job.last_attempt is not None
    assert job.last_attempt.started_at == ONE_PM + timedelta(milliseconds=250)
    assert (job.finished_at or ONE_PM) - job.last_attempt.started_at == timedelta(milliseconds=3)


def test_all_other_times_are_too(server: ScriptedServer, client: Client) -> None:
    attempt = LAST | {"node": "n1", "term": 1, "response_headers": {}, "response_body": ""}
    short = {name: served.job()[name] for name in ("id", "url", "method", "state", "run_at", "guarantee")}
    breaker = {"state": "open", "until": "2026-11-24T13:00:00.000Z"}
    server.answers = [
        Answer(200, {"data": [attempt]}),
        Answer(200, {"results": [{"status": 201, "job": short}]}),
        Answer(200, served.schedule(next_tick_at="2026-11-24T13:00:00.000Z")),
        Answer(200, served.destination(breaker=breaker)),
        Answer(200, {"data": [served.job()], "next_cursor": None}),
    ]
    assert client.attempts("j1")[0].started_at > ONE_PM
    (made,) = client.create_jobs([{"url": "http://e.example/"}])
    assert made.job is not None
    assert (made.job.run_at, made.job.deduplicated) == (ONE_PM, False)
    assert client.get_schedule("s1").next_tick_at == ONE_PM
    assert client.get_destination("h").breaker.until == ONE_PM
    assert [job.run_at for job in client.list_jobs()] == [ONE_PM]


def test_ticks_have_the_offset_of_the_zone(server: ScriptedServer, client: Client) -> None:
    server.answers = [Answer(200, {"ticks": ["2026-10-25T09:00:00+01:00", "2026-10-24T09:00:00+02:00"]})]
    winter, summer = client.preview_schedule("0 9 * * *", timezone="Europe/Berlin")
    assert (winter.utcoffset(), summer.utcoffset()) == (timedelta(hours=1), timedelta(hours=2))
    assert (winter.hour, summer.hour) == (9, 9)


@pytest.mark.parametrize("payload", [{"n": [1, None, "ä"]}, [], "text", 0, False, None, 1.5, {}])
def test_a_payload_is_the_value_it_was(server: ScriptedServer, client: Client, payload: Any) -> None:
    server.answers = [Answer(200, served.job(payload=payload))]
    assert client.get_job("j1").payload == payload


def test_a_body_is_bytes(server: ScriptedServer, client: Client) -> None:
    server.answers = [Answer(200, served.job(body_base64="AP9oaQ=="))]
    job = client.get_job("j1")
    assert (job.body, job.payload) == (b"\x00\xffhi", None)


NUMBERS: list[tuple[str, Any]] = [
    ("1.10", 1.1),
    ("1" + "0" * 400, 10**400),
    ("1e400", Decimal("1e400")),
    ("-1E+999", Decimal("-1e999")),
    ("7" * 5_000, Decimal("7" * 5_000)),
    ("-" + "7" * 5_000, Decimal("-" + "7" * 5_000)),
    ("1e-400", 0.0),
    ("1e9999999999999999999999", "1e9999999999999999999999"),
]


@pytest.mark.parametrize(("text", "value"), NUMBERS, ids=[text[:12] for text, _ in NUMBERS])
def test_no_number_of_a_payload_keeps_the_job_from_being_read(
    server: ScriptedServer, client: Client, text: str, value: Any
) -> None:
    body = json.dumps(served.job(payload={"here": ["@", 1]})).replace('"@"', text)
    schedule = json.dumps(served.schedule(job={"url": "u", "payload": "@"})).replace('"@"', text)
    server.answers = [Answer(200, text=body), Answer(200, text=schedule)]
    job = client.get_job("j1")
    assert job.payload == {"here": [value, 1]}
    assert job.run_at == ONE_PM
    assert json.dumps(job.as_dict())
    assert client.get_schedule("s1").job["payload"] == value


def test_a_number_that_is_too_long_is_sent_as_it_came(server: ScriptedServer, client: Client) -> None:
    server.answers = [Answer(200, text=json.dumps(served.job(payload="@")).replace('"@"', "1e400"))]
    job = client.get_job("j1")
    client.create_job(job.url, payload=job.payload)
    assert b'"payload":1E+400' in server.asked[1].body


def test_a_figure_of_ours_that_is_too_large_is_still_an_error(server: ScriptedServer, client: Client) -> None:
    server.answers = [Answer(200, text=json.dumps(served.job(attempts_made="@")).replace('"@"', "1e400"))]
    with pytest.raises(hookline.HooklineError, match="Is the address right"):
        client.get_job("j1")


def test_an_answer_as_a_dict_is_json(server: ScriptedServer, client: Client) -> None:
    cluster = {"name": "c0", "shard": 0, "term": 1, "leader": "n1", "nodes": []}
    server.answers = [
        Answer(200, served.job(payload={"n": 1}, last_attempt=LAST)),
        Answer(200, served.job(body_base64="aGk=")),
        Answer(200, served.schedule()),
        Answer(200, served.destination(rate={"limit": 1, "per": "1s"}, retry={"on": [404]})),
        Answer(200, cluster),
        Answer(200, {"status": "ok", "role": "leader", "clusters": []}),
    ]
    job, other = client.get_job("j1").as_dict(), client.get_job("j1").as_dict()
    assert (job["payload"], job["run_at"], job["deduplicated"]) == ({"n": 1}, "2026-11-24T13:00:00Z", False)
    assert other["body_base64"] == "aGk="
    for found in (client.get_schedule("s1"), client.get_destination("h"), client.cluster(), client.health()):
        assert json.loads(json.dumps(found.as_dict())) == found.as_dict()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("get_job", served.job()),
        ("get_schedule", served.schedule()),
        ("get_destination", served.destination()),
        ("health", {"status": "ok", "role": "leader"}),
        ("topology", {"epoch": 1, "cluster": [{"name": "c0", "shard": 0, "nodes": ["http://127.0.0.1:1"]}]}),
    ],
)
def test_nothing_that_is_printed_is_unset_or_raw(
    server: ScriptedServer, client: Client, name: str, answer: Any
) -> None:
    server.answers = [Answer(200, answer)]
    method = getattr(client, name)
    printed = repr(method("x") if name.startswith("get") else method())
    assert "UNSET" not in printed
    assert "Raw" not in printed


def test_fields_of_a_newer_service_are_passed_over_at_any_depth(server: ScriptedServer, client: Client) -> None:
    new: dict[str, Any] = {"brand_new": {"a": 1}}
    waiting = {"reason": "tenant", "detail": "another reason", "until": None} | new
    server.answers = [
        Answer(200, served.job(waiting_for=waiting, last_attempt=LAST | new, retry=served.job()["retry"] | new, **new)),
        Answer(200, served.schedule(catch_up={"policy": "skip", "window": "1h"} | new, **new)),
        Answer(200, served.destination(rate={"limit": 1} | new, retry={"on": [404]} | new, **new)),
    ]
    job = client.get_job("j1")
    assert job.waiting_for is not None
    assert job.waiting_for.reason == "tenant"
    assert client.get_schedule("s1").catch_up.policy == "skip"
    found = client.get_destination("h")
    assert found.rate is not None
    assert found.retry is not None
    assert (found.rate.limit, found.retry.on) == (1, [404])


def test_what_was_read_can_be_given_again(server: ScriptedServer, client: Client) -> None:
    template = {"url": "http://e.example/", "payload": {"n": 1}, "headers": {}, "labels": {}, "retry": {"on": [404]}}
    server.answers = [
        Answer(200, served.job(payload={"n": 1})),
        Answer(200, served.schedule(job=template, end_at="2026-11-24T13:00:00.000Z")),
        Answer(200, served.destination(rate={"limit": 5, "per": "1s"}, retry={"max_attempts": 2})),
    ]
    job, schedule, destination = client.get_job("j1"), client.get_schedule("s1"), client.get_destination("h")
    server.answers = [Answer(200, served.job())]
    client.update_job("j1", run_at=job.run_at, payload=job.payload, retry=job.retry, labels=job.labels)
    server.answers = [Answer(200, served.schedule())]
    client.create_schedule(
        schedule.cron, schedule.job, end_at=schedule.end_at, catch_up=schedule.catch_up, jitter=schedule.jitter
    )
    server.answers = [Answer(200, served.destination())]
    client.put_destination("h", rate=destination.rate, retry=destination.retry)
    changed, made, put = (json.loads(asked.body) for asked in server.asked[3:])
    assert (changed["run_at"], changed["payload"]) == ("2026-11-24T13:00:00.000Z", {"n": 1})
    assert changed["retry"]["max_attempts"] == 10
    assert (made["job"], made["end_at"]) == (template, "2026-11-24T13:00:00.000Z")
    assert made["catch_up"] == {"policy": "coalesce", "window": "24h"}
    assert put == {"rate": {"limit": 5, "per": "1s"}, "retry": {"max_attempts": 2}}


def test_a_request_of_the_wire_keeps_what_the_service_wrote() -> None:
    body = json.dumps(served.job(payload="@")).replace('"@"', '{"price": 1.10,  "n":1e400}').encode()
    job = Request("GET", "/jobs/j1", http.Job).parse(200, {}, body)
    assert isinstance(job.payload, msgspec.Raw)
    assert bytes(job.payload) == b'{"price": 1.10,  "n":1e400}'
    assert job.run_at == "2026-11-24T13:00:00.000Z"
