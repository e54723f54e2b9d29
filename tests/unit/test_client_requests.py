"""The requests the SDK sends and how it reads the answers, as values: no I/O."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pytest
from attrs import define

from hookline import errors
from hookline.client import requests
from hookline.client.fields import to_json
from hookline.client.replies import parse_reply
from hookline.protocol import http
from tests import scripted_server as served


class SeededClock:
    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def wall_ms(self) -> int:
        return 1_795_000_000_000

    def boot_ms(self) -> float:
        return 0.0

    def random(self) -> float:
        return self._random.random()

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)


CLOCK = SeededClock()


def body_of(request: requests.Request[Any]) -> Any:
    assert request.body is not None
    return json.loads(request.body)


def test_a_job_without_id_or_key_gets_a_key_so_that_it_can_be_sent_again() -> None:
    first = requests.create_job("http://example.com/", {}, CLOCK)
    second = requests.create_job("http://example.com/", {}, CLOCK)
    assert first.is_repeatable
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]
    assert body_of(first) == {"url": "http://example.com/"}


def test_an_own_key_or_id_is_kept_and_no_other_added() -> None:
    keyed = requests.create_job("http://example.com/", {"idempotency_key": "order-7"}, CLOCK)
    assert keyed.headers["Idempotency-Key"] == "order-7"
    assert "idempotency_key" not in body_of(keyed)
    named = requests.create_job("http://example.com/", {"id": "order-7"}, CLOCK)
    assert "Idempotency-Key" not in named.headers
    assert body_of(named)["id"] == "order-7"


def test_batch_items_without_id_get_one() -> None:
    jobs: list[Any] = [{"url": "http://a.example/"}, {"url": "http://b.example/", "id": "mine"}]
    items = body_of(requests.create_jobs([*jobs, http.JobRequest(url="http://c.example/")], CLOCK))["jobs"]
    assert items[1] == {"url": "http://b.example/", "id": "mine"}
    assert items[2].keys() == {"url", "id"}
    assert len({item["id"] for item in items}) == 3
    assert items[0]["id"].count("-") == 4, "a plain UUID, which names no shard"


def test_python_times_and_durations_become_text() -> None:
    berlin = timezone(timedelta(hours=1))
    sent = to_json(
        {
            "run_at": datetime(2026, 11, 24, 14, 0, 0, 123_456, tzinfo=berlin),
            "delay": timedelta(hours=1, minutes=30),
            "timeout": 2.5,
            "retry": {"schedule": [timedelta(seconds=5), "1m", 90], "max": timedelta(days=1)},
        }
    )
    assert sent == {
        "run_at": "2026-11-24T13:00:00.123Z",
        "delay": "1h30m",
        "timeout": 2.5,
        "retry": {"schedule": ["5s", "1m", 90], "max": "1d"},
    }


def test_a_datetime_without_zone_is_refused_with_the_fix() -> None:
    naive = datetime(2026, 11, 24, 14, 0, 0)  # noqa: DTZ001
    with pytest.raises(errors.InvalidTime, match="without a time zone; use datetime") as caught:
        requests.create_job("http://example.com/", {"run_at": naive}, CLOCK)
    assert caught.value.field == "run_at"


@pytest.mark.parametrize("fields", [{"run_at": datetime(1969, 1, 1, tzinfo=UTC)}, {"delay": timedelta(seconds=-1)}])
def test_impossible_times_are_refused_before_anything_is_sent(fields: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidTime):
        requests.create_job("http://example.com/", fields, CLOCK)


def test_payload_and_body_are_not_mixed_up() -> None:
    assert to_json({"body": b"\x00\xff"}) == {"body_base64": "AP8="}
    assert to_json({"payload": {"run_at": [1], "body": "text"}}) == {"payload": {"run_at": [1], "body": "text"}}
    with pytest.raises(errors.InvalidRequest, match="bytes as body"):
        to_json({"payload": b"bytes"})
    with pytest.raises(errors.InvalidRequest, match="JSON value as payload"):
        to_json({"body": "text"})


def test_what_is_given_twice_is_named_as_the_caller_names_it() -> None:
    with pytest.raises(errors.InvalidRequest, match="payload and body are both given"):
        requests.create_job("http://e.example/", {"payload": 1, "body": b"1"}, CLOCK)


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_goes_along_as_a_header() -> None:
    one = requests.create_job("http://e.example/", {"traceparent": TRACE}, CLOCK)
    assert one.headers["traceparent"] == TRACE
    assert "traceparent" not in body_of(one)
    assert (
        requests.create_jobs([{"url": "http://e.example/"}], CLOCK, traceparent=TRACE).headers["traceparent"] == TRACE
    )
    for bad in ("", "00-zz", TRACE.upper(), f"{TRACE}\r\nx: y", 7):
        with pytest.raises(errors.InvalidHeader, match="traceparent is not like 00-"):
            requests.create_job("http://e.example/", {"traceparent": bad}, CLOCK)


def test_a_raw_payload_goes_out_byte_for_byte() -> None:
    request = requests.create_job("http://example.com/", {"payload": msgspec.Raw(b'{"b": 1.0,  "a":2}')}, CLOCK)
    assert request.body is not None
    assert b'"payload":{"b": 1.0,  "a":2}' in request.body


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(errors.InvalidRequest, match="cannot be sent as JSON"):
        requests.create_job("http://example.com/", {"payload": object()}, CLOCK)


class Colour(Enum):
    NONE = math.inf


@dataclass
class Point:
    x: float


class Weighed(msgspec.Struct):
    weight: float


@define
class Measured:
    length: float


NO_NUMBERS: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    Decimal("NaN"),
    Decimal("-Infinity"),
    Decimal("sNaN7"),
    [1, [2, (3, math.nan)]],
    {"a": {"b": [None, math.inf]}},
    {math.nan},
    frozenset({math.inf}),
    {math.nan: 1},
    {Decimal("1.1"): 1},
    Point(math.nan),
    Weighed(math.nan),
    Measured(math.nan),
    Colour.NONE,
    [{"deep": [[[Point(-math.inf)]]]}],
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_json_has_no_number_for_is_refused_in_every_call(value: Any) -> None:
    item: Any = {"url": "http://e.example/", "payload": {"here": value}}
    calls: list[Callable[[], object]] = [
        lambda: requests.create_job("http://e.example/", {"payload": value}, CLOCK),
        lambda: requests.create_jobs([{"url": "http://e.example/"}, item], CLOCK),
        lambda: requests.create_schedule("* * * * *", item, {}, CLOCK),
        lambda: requests.update_job("j1", {"payload": [value]}),
        lambda: requests.retry_job("j1", {"payload": value}),
        lambda: requests.retry_jobs({}, dry_run=True, limit=None, overrides={"payload": value}),
        lambda: requests.update_schedule("s1", {"job": item}),
    ]
    for call in calls:
        with pytest.raises(errors.InvalidRequest, match="JSON") as caught:
            call()
        assert "payload" in (caught.value.field or "")


@pytest.mark.parametrize("fields", [{"timeout": math.nan}, {"delay": math.inf}, {"retry": {"factor": math.nan}}])
def test_fields_that_are_no_number_do_not_become_their_defaults(fields: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidRequest, match="JSON has no such number"):
        requests.create_job("http://e.example/", fields, CLOCK)
    with pytest.raises(errors.InvalidRequest, match="concurrency is nan"):
        requests.put_destination("h", {"concurrency": math.nan})
    with pytest.raises(errors.InvalidRequest, match="max is inf"):
        requests.create_jobs([http.JobRequest(url="http://e.example/", retry=http.RetryRequest(max=math.inf))], CLOCK)


def test_texts_that_only_look_like_no_numbers_are_sent() -> None:
    payload = {"a": "NaN", "Infinity": None, "at 12:30": [1.5, -0.0, 10**30, {"b": "null"}], "3": Point(1.0)}
    sent = body_of(requests.create_job("http://e.example/", {"payload": payload}, CLOCK))["payload"]
    assert sent == payload | {"3": {"x": 1.0}}


@pytest.mark.parametrize("digits", ["1.10", "0.1", "123456789012345678901234567890.5", "1E+3"])
def test_a_decimal_is_sent_as_a_number_with_all_its_digits(digits: str) -> None:
    request = requests.create_job("http://e.example/", {"payload": {"price": Decimal(digits)}}, CLOCK)
    assert request.body is not None
    assert f'"price":{digits}}}'.encode() in request.body


@pytest.mark.parametrize("raw", [b"", b"{", b"NaN", b'{"a":NaN}', b'1,"id":"x"', b'"\xff"', b"\xef\xbb\xbf{}"])
def test_raw_payloads_that_are_not_json_do_not_spoil_a_batch(raw: bytes) -> None:
    for item in ({"url": "http://e.example/", "payload": msgspec.Raw(raw)}, http.JobRequest(payload=msgspec.Raw(raw))):
        with pytest.raises(errors.InvalidJson):
            requests.create_jobs([item], CLOCK)  # type: ignore[list-item]


def test_what_is_nested_without_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for payload in (endless, msgspec.Raw(b"[" * 20_000 + b"]" * 20_000)):
        with pytest.raises(errors.InvalidRequest, match="nested too deeply"):
            requests.create_job("http://e.example/", {"payload": payload}, CLOCK)


def test_a_dry_run_is_repeatable() -> None:
    assert requests.retry_jobs({}, dry_run=True, limit=None, overrides={}).is_repeatable


def test_paths_and_queries_are_quoted() -> None:
    filters = {"state": "dead", "label": "team=a&b", "destination": None}
    page = requests.list_jobs(filters, limit=2, cursor="x+/=")
    assert page.path == "/jobs?state=dead&label=team%3Da%26b&limit=2&cursor=x%2B%2F%3D"
    page = requests.list_jobs({"created_before": datetime(2026, 11, 24, 12, tzinfo=UTC), "status": 503}, cursor=None)
    assert page.path == "/jobs?created_before=2026-11-24T12%3A00%3A00.000Z&status=503&limit=1000"
    assert requests.put_destination("https://a.example:443", {}).path == "/destinations/https%3A%2F%2Fa.example%3A443"
    assert requests.get_job("a:b").path == "/jobs/a%3Ab"
    preview = requests.preview_schedule("0 9 * * *", timezone="Europe/Berlin", count=3, start=None)
    assert preview.path == "/schedules/preview?cron=0+9+%2A+%2A+%2A&timezone=Europe%2FBerlin&count=3"
    ticks = requests.list_ticks("a:b", start=datetime(2026, 11, 24, tzinfo=UTC), limit=5, cursor=None)
    assert ticks.path == "/schedules/a%3Ab/ticks?from=2026-11-24T00%3A00%3A00.000Z&limit=5"


@pytest.mark.parametrize("bad", ["", "../x", "a/b", "x" * 129])
def test_an_id_that_could_not_exist_is_never_put_into_a_path(bad: str) -> None:
    with pytest.raises(errors.InvalidId):
        requests.get_job(bad)


def test_null_of_a_setting_is_sent_and_what_is_left_out_is_not() -> None:
    assert body_of(requests.put_destination("h", {"rate": None})) == {"rate": None}
    assert body_of(requests.update_schedule("s1", {"end_at": None})) == {"end_at": None}


# --- replies


def parsed(status: int, body: object, headers: dict[str, str] | None = None) -> http.Job:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_reply(status, headers or {}, encoded, http.Job)


def test_a_job_is_typed_and_new_fields_of_a_newer_service_are_ignored() -> None:
    job = parsed(200, served.job(brand_new_field=1, deduplicated=True))
    assert job.waiting_for is not None
    assert (job.id, job.waiting_for.reason, job.deduplicated) == ("j1", "time", True)


def test_nothing_is_read_from_an_empty_answer() -> None:
    assert requests.delete_schedule("s1").parse(204, {}, b"") is None


@pytest.mark.parametrize("error", [kind for kind in errors.all_errors() if kind is not errors.HooklineError])
def test_every_error_comes_back_as_its_own_class(error: type[errors.HooklineError]) -> None:
    original = error("what happened", field="url", retry_after_s=7, limit=10, used=11)
    with pytest.raises(errors.HooklineError) as caught:
        parsed(error.http_status, original.to_problem())
    assert type(caught.value) is error
    assert caught.value.to_problem() == original.to_problem()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequest),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (418, errors.InvalidRequest),
        (429, errors.TooManyRequests),
        (500, errors.Internal),
        (502, errors.DeadlineExceeded),
        (503, errors.DeadlineExceeded),
        (504, errors.DeadlineExceeded),
        (507, errors.HooklineError),
        (302, errors.HooklineError),
    ],
)
def test_an_unknown_code_becomes_the_class_of_its_status(status: int, kind: type[errors.HooklineError]) -> None:
    with pytest.raises(errors.HooklineError) as caught:
        parsed(status, {"code": "from_the_future", "detail": "new", "field": "x", "limit": 3}, {"retry-after": "12"})
    assert type(caught.value) is kind
    assert (caught.value.detail, caught.value.field, caught.value.retry_after_s) == ("new", "x", 12)
    assert caught.value.figures == {"limit": 3, "status": status, "answered_code": "from_the_future"}


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[]", b'"x"', b"[" * 20_000])
def test_an_answer_that_is_no_problem_document_is_still_an_error(body: bytes) -> None:
    with pytest.raises(errors.DeadlineExceeded, match="answered 503"):
        parsed(503, body)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[]", b"{}", b"[" * 20_000])
def test_a_2xx_that_is_not_ours_is_an_error_that_is_not_retried(body: bytes) -> None:
    with pytest.raises(errors.HooklineError, match="Is the address right") as caught:
        parsed(200, body)
    assert not caught.value.retryable


def test_ill_meant_figures_do_not_break_the_reading() -> None:
    with pytest.raises(errors.QueueFull) as caught:
        parsed(429, {"code": "queue_full", "self": 1, "retry_after_s": 2, "retry_after": -1, "field": 3})
    assert (caught.value.retry_after_s, caught.value.field) == (None, None)


def test_an_unfit_node_answers_503_with_its_health() -> None:
    body = {"status": "unavailable", "role": "follower", "usage": {"jobs": {"used": 1, "limit": 2}}, "detail": "x"}
    health = requests.health().parse(503, {}, json.dumps(body).encode())
    assert (health.status, health.usage["jobs"].limit) == ("unavailable", 2)


# --- what others than Hookline answer

LOGIN = b"<html><head><title>Sign in - Acme SSO</title></head></html>"
HTML = {"content-type": "text/html", "server": "nginx/1.22"}


@pytest.mark.parametrize(
    ("status", "headers", "body", "said"),
    [
        (401, HTML | {"www-authenticate": 'Bearer realm="x"'}, b"", "wants to know who calls (Bearer)"),
        (403, HTML, LOGIN, "title Sign in - Acme SSO"),
        (302, {"location": "https://sso.example/login"}, b"", "to https://sso.example/login"),
        (500, {"server": "Werkzeug"}, b"boom", "server Werkzeug"),
        (404, HTML, b"<h1>Not Found</h1>", "is that Hookline?"),
        (404, {}, b'{"detail":"Not Found"}', "is that Hookline?"),
        (400, {}, b"", "nothing in it says who did"),
        (405, {}, b"[]", "is that Hookline?"),
        (200, HTML, LOGIN, "title Sign in - Acme SSO"),
        (204, HTML, b"", "is that Hookline?"),
        (511, HTML, LOGIN, "is that Hookline?"),
    ],
)
def test_an_answer_of_something_else_says_who_gave_it(
    status: int, headers: dict[str, str], body: bytes, said: str
) -> None:
    with pytest.raises(errors.ForeignAnswer) as caught:
        requests.get_job("j1").parse(status, headers, body, "http://user:geheim@h.example")
    told = str(caught.value)
    assert said in told
    assert f"http://***@h.example answered {status}, but not as Hookline does" in told
    assert "named field" not in told
    assert "fault is ours" not in told
    assert not caught.value.retryable


def test_a_page_in_the_place_of_nothing_is_no_success() -> None:
    with pytest.raises(errors.ForeignAnswer):
        requests.delete_schedule("s1").parse(200, HTML, LOGIN)


def test_what_a_stranger_says_does_not_move_the_terminal() -> None:
    with pytest.raises(errors.ForeignAnswer) as caught:
        parsed(500, b"<title>\x1b[2Jgone</title>", {"server": "a\x1b]0;x\x07"})
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(413, errors.PayloadTooLarge), (414, errors.InvalidRequest), (429, errors.TooManyRequests)]
    + [(status, errors.DeadlineExceeded) for status in (502, 503, 504)],
)
def test_what_is_clear_from_anybody_is_told_as_that(status: int, kind: type[errors.HooklineError]) -> None:
    with pytest.raises(kind) as caught:
        parsed(status, LOGIN, HTML | {"retry-after": "3"})
    assert caught.value.retry_after_s == 3
    assert "nginx" in str(caught.value)
