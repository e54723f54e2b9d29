"""Every bad input gets its own clear error, and leaves nothing behind. Over real HTTP, one table."""

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration.conftest import StartNode
from tests.integration.node_under_test import NodeUnderTest

URL = "https://example.com/hook"


@dataclass(frozen=True)
class Bad:
    """One request and the error it gets."""

    name: str
    status: int
    code: str
    body: Any = None
    method: str = "POST"
    path: str = "/jobs"
    headers: dict[str, str] = field(default_factory=dict)
    wrong: str | None = None


def job(name: str, code: str, wrong: str | None = None, /, **fields: Any) -> Bad:
    """A create that is wrong in one field."""
    return Bad(name, 400, code, {"url": URL} | fields, wrong=wrong)


def url(name: str, text: str, code: str = "invalid_url") -> Bad:
    return Bad(name, 400, code, {"url": text}, wrong="url")


def text(name: str, body: str | bytes, code: str = "invalid_json") -> Bad:
    return Bad(name, 400, code, body.encode() if isinstance(body, str) else body)


def get(name: str, path: str, code: str, status: int = 400) -> Bad:
    return Bad(name, status, code, method="GET", path=path)


def schedule(name: str, code: str, wrong: str | None = None, /, **fields: Any) -> Bad:
    return Bad(
        f"schedule with {name}",
        400,
        code,
        {"cron": "0 3 * * *", "job": {"url": URL}} | fields,
        path="/schedules",
        wrong=wrong,
    )


def destination(name: str, code: str, body: Any, host: str = "example.com") -> Bad:
    return Bad(f"destination with {name}", 400, code, body, method="PUT", path=f"/destinations/{host}")


DEEP = "[" * 100_000 + "]" * 100_000
HEADERS_TOO_MANY = {f"x-{number}": "v" for number in range(101)}
HEADERS_TOO_LARGE = {"x-large": "v" * (16 * 1024 - len("x-large") + 1)}
FORBIDDEN = ["Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade"]
FORBIDDEN += ["Expect", "Proxy-Authorization", "webhook-id", "Webhook-Signature", "hookline-attempt", "traceparent"]
SECRET = "whsec_" + "a" * 32

CASES = [
    # urls
    url("file", "file:///etc/passwd"),
    url("gopher", "gopher://example.com/"),
    url("no scheme", "example.com/hook"),
    url("port 0", "http://example.com:0/"),
    url("port -1", "http://example.com:-1/"),
    url("port 65536", "http://example.com:65536/"),
    url("port not allowed", "http://example.com:22/", "forbidden_destination"),
    url("8193 bytes", "https://example.com/" + "a" * (8193 - 20)),
    url("user in the url", "https://user:pass@example.com/"),
    url("fragment", "https://example.com/#a"),
    url("space", "https://example.com/a b"),
    url("backslash", "https://example.com\\@evil.example/"),
    url("control character", "https://example.com/\r\nHost: evil"),
    url("decimal address", "http://2130706433/"),
    url("hex address", "http://0x7f000001/"),
    url("short address", "http://127.1/"),
    url("fullwidth digits", "http://\uff11\uff12\uff17.0.0.1/"),
    url("loopback", "http://127.0.0.1/", "forbidden_destination"),
    url("metadata service", "http://169.254.169.254/latest", "forbidden_destination"),
    url("private", "http://10.0.0.1/", "forbidden_destination"),
    url("IPv6 loopback", "http://[::1]/", "forbidden_destination"),
    url("mapped address", "http://[::ffff:7f00:1]/", "forbidden_destination"),
    url("localhost", "http://localhost/", "forbidden_destination"),
    url("empty", ""),
    Bad("no url", 400, "invalid_request", {"payload": 1}, wrong="url"),
    # headers of the job
    job("header with CR", "invalid_header", "headers.x-a", headers={"x-a": "a\rb"}),
    job("header with LF", "invalid_header", "headers.x-a", headers={"x-a": "a\nb"}),
    job("header with NUL", "invalid_header", "headers.x-a", headers={"x-a": "a\x00b"}),
    job("header with a letter beyond ASCII", "invalid_header", "headers.x-a", headers={"x-a": "é"}),
    job("header that ends in a space", "invalid_header", "headers.x-a", headers={"x-a": "a "}),
    job("header name with a space", "invalid_header", headers={"x a": "v"}),
    job("header name with a colon", "invalid_header", headers={"x:a": "v"}),
    job("header without a name", "invalid_header", headers={"": "v"}),
    *(job(f"header {name}", "invalid_header", f"headers.{name}", headers={name: "v"}) for name in FORBIDDEN),
    job("header twice in different case", "invalid_header", headers={"X-A": "1", "x-a": "2"}),
    job("101 headers", "invalid_header", "headers", headers=HEADERS_TOO_MANY),
    job("16 KiB + 1 of headers", "invalid_header", "headers", headers=HEADERS_TOO_LARGE),
    job("header that is a number", "invalid_request", headers={"x-a": 1}),
    # JSON
    text("empty body", ""),
    text("no JSON", "url=https://example.com"),
    text("cut off", '{"url": "https://example.com"'),
    text("two documents", '{"url": "https://example.com"} {}'),
    text("a list", "[]", "invalid_request"),
    text("100,000 levels", '{"url": "https://example.com", "payload": ' + DEEP + "}"),
    text("100,000 levels outside", DEEP, "invalid_request"),
    text("NaN", '{"url": "https://example.com", "payload": NaN}'),
    text("Infinity", '{"url": "https://example.com", "payload": {"a": Infinity}}'),
    text("a field twice", '{"url": "https://example.com", "url": "https://example.org"}'),
    text("a field twice, escaped", '{"url": "https://example.com", "\\u0075rl": "https://example.org"}'),
    text("a header twice", '{"url": "https://example.com", "headers": {"a": "1", "a": "2"}}'),
    text("a header twice, escaped", '{"url": "https://example.com", "headers": {"a": "1", "\\u0061": "2"}}'),
    text("a label twice", '{"url": "https://example.com", "labels": {"a:b": "1:2", "a:b": "2"}}'),
    text("a label twice, escaped", '{"url": "https://example.com", "labels": {"a\\u003a": "1", "a\\u003a": "2"}}'),
    text("a retry field twice", '{"url": "https://example.com", "retry": {"max_attempts": 1, "max_attempts": 2}}'),
    text("half a surrogate pair", '{"url": "https://example.com", "payload": "\\ud800"}'),
    text("half a surrogate pair in a field", '{"url": "https://example.com", "method": "\\udc00"}'),
    text("byte order mark", b'\xef\xbb\xbf{"url": "https://example.com"}'),
    text("UTF-16", '{"url": "https://example.com"}'.encode("utf-16")),
    text("invalid UTF-8 in the payload", b'{"url": "https://example.com", "payload": "\xff"}'),
    text("overlong UTF-8", b'{"url": "https://example.com", "payload": "\xc0\xaf"}'),
    text("a raw control character", '{"url": "https://example.com", "payload": "\x01"}'),
    # fields
    job("unknown field", "unknown_field", "urll", urll="x"),
    job("unknown retry field", "unknown_field", "retry.tries", retry={"tries": 3}),
    *(
        job(f"read-only {name}", "unknown_field", name, **{name: "x"})
        for name in ("state", "created_at", "attempts_made")
    ),
    job("url is a number", "invalid_request", "url", url=1),
    job("url is null", "invalid_request", "url", url=None),
    job("method TRACE", "invalid_request", "method", method="TRACE"),
    job("method with a line end", "invalid_request", "method", method="GET / HTTP/1.1\r\n"),
    job("payload and body_base64", "invalid_request", "body_base64", payload=1, body_base64="YQ=="),
    job("body_base64 that is none", "invalid_request", "body_base64", body_base64="a b c"),
    job("guarantee", "invalid_request", "guarantee", guarantee="exactly_once"),
    job("priority 101", "invalid_request", "priority", priority=101),
    job("priority true", "invalid_request", "priority", priority=True),
    job("priority 1.5", "invalid_request", "priority", priority=1.5),
    job("priority 10^30", "invalid_request", "priority", priority=10**30),
    job("retry on a word that is not known", "invalid_request", "retry.on", retry={"on": ["4x"]}),
    job("retry on success", "invalid_request", "retry.on", retry={"on": [200]}),
    job("retry on and not on the same", "invalid_request", "retry.not_on", retry={"on": [404], "not_on": ["404"]}),
    job("max_attempts -1", "invalid_request", "retry.max_attempts", retry={"max_attempts": -1}),
    job("max_attempts 0", "invalid_request", "retry.max_attempts", retry={"max_attempts": 0}),
    job("max_attempts 10^9", "invalid_request", "retry.max_attempts", retry={"max_attempts": 10**9}),
    job("factor 0.5", "invalid_request", "retry.factor", retry={"factor": 0.5}),
    job("factor 1000", "invalid_request", "retry.factor", retry={"factor": 1000}),
    job("initial 0", "invalid_time", "retry.initial", retry={"initial": 0}),
    job("max before initial", "invalid_time", "retry.max", retry={"initial": "1h", "max": "1m"}),
    job("101 waits", "invalid_request", "retry.schedule", retry={"schedule": [1] * 101}),
    job("negative wait", "invalid_time", "retry.schedule", retry={"schedule": [-1]}),
    job("33 labels", "invalid_request", "labels", labels={str(number): "v" for number in range(33)}),
    job("label of 129 characters", "invalid_request", "labels", labels=["a" * 129]),
    job("label with a line end", "invalid_request", "labels", labels={"a": "b\n"}),
    job("label name with =", "invalid_request", "labels", labels={"a=b": "c"}),
    job("empty label", "invalid_request", "labels", labels=[""]),
    job("secret without a prefix", "invalid_secret", "secret", secret="hunter2"),
    job("secret too short", "invalid_secret", "secret", secret="whsec_YWJj"),
    job("public key as a secret", "invalid_secret", "secret", secret="whpk_" + "A" * 43 + "="),
    # times
    job("1969", "invalid_time", "run_at", run_at="1969-12-31T23:59:59Z"),
    job("year 10000", "invalid_time", "run_at", run_at="10000-01-01T00:00:00Z"),
    job("year 9999", "invalid_time", "run_at", run_at="9999-01-01T00:00:00Z"),
    job("local time", "invalid_time", "run_at", run_at="2030-01-01T00:00:00"),
    job("30 February", "invalid_time", "run_at", run_at="2030-02-30T00:00:00Z"),
    job("a date", "invalid_time", "run_at", run_at="2030-02-20"),
    job("run_at as a number", "invalid_request", "run_at", run_at=1_900_000_000),
    job("run_at and delay", "invalid_time", "delay", run_at="2030-01-01T00:00:00Z", delay="1h"),
    job("negative delay", "invalid_time", "delay", delay=-1),
    job("delay of 11 years", "invalid_time", "delay", delay="4015d"),
    job("delay 1e308", "invalid_time", "delay", delay=1e308),
    job("delay true", "invalid_request", "delay", delay=True),
    job("delay in words", "invalid_time", "delay", delay="soon"),
    job("timeout of 99 ms", "invalid_time", "timeout", timeout="99ms"),
    job("timeout of more than an hour", "invalid_time", "timeout", timeout=3_601),
    # ids and keys
    *(job(f"id {text!r}", "invalid_id", "id", id=text) for text in ("../x", "%2e%2e", "a.b", "a b", "", "ä", "batch")),
    job("id of 10 kB", "invalid_id", "id", id="a" * 10_000),
    get("id with dots in the path", "/jobs/%2e%2e", "invalid_id"),
    get("id with a slash in the path", "/jobs/%2e%2e%2fx", "route_not_found", 404),
    get("id of 10 kB in the path", "/jobs/" + "a" * 10_000, "invalid_id"),
    get("unknown id", "/jobs/nothing-here", "job_not_found", 404),
    get("attempts of an unknown id", "/jobs/nothing-here/attempts", "job_not_found", 404),
    Bad("key of 256 characters", 400, "invalid_id", {"url": URL}, headers={"Idempotency-Key": "k" * 256}),
    Bad("empty key", 400, "invalid_id", {"url": URL}, headers={"Idempotency-Key": ""}),
    Bad("key beyond ASCII", 400, "invalid_id", {"url": URL}, headers={"Idempotency-Key": "é"}),
    # lists
    get("limit 10^9", "/jobs?limit=1000000000", "invalid_request"),
    get("limit 0", "/jobs?limit=0", "invalid_request"),
    get("limit 1001", "/jobs?limit=1001", "invalid_request"),
    get("limit -1", "/jobs?limit=-1", "invalid_request"),
    get("limit in Arabic digits", "/jobs?limit=%D9%A3", "invalid_request"),
    get("cursor made up", "/jobs?cursor=abc", "invalid_cursor"),
    get("cursor of 10 kB", "/jobs?cursor=" + "a" * 10_000, "invalid_cursor"),
    get("cursor with other characters", "/jobs?cursor=%00%ff", "invalid_request"),
    get("unknown query parameter", "/jobs?page=2", "invalid_request"),
    get("query parameter twice", "/jobs?limit=1&limit=2", "invalid_request"),
    get("query that is no UTF-8", "/jobs?label=%ff", "invalid_request"),
    get("unknown state", "/jobs?state=lost", "invalid_request"),
    get("created_after in words", "/jobs?created_after=yesterday", "invalid_time"),
    get("created_before in words", "/jobs?created_before=tomorrow", "invalid_time"),
    get("a schedule that is not an id", "/jobs?schedule=a.b", "invalid_id"),
    *(get(f"status {text!r}", f"/jobs?status={text}", "invalid_request") for text in ("ok", "50", "0xx", "5x", "5000")),
    get("destination with a path", "/jobs?destination=https://example.com/x", "invalid_url"),
    # media and size
    Bad("gzip", 415, "unsupported_media", gzip.compress(b'{"url":"x"}'), headers={"Content-Encoding": "gzip"}),
    Bad("form", 400, "invalid_json", b"url=x", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    Bad("xml", 415, "unsupported_media", b"{}", headers={"Content-Type": "text/xml"}),
    Bad(
        "form from a web page",
        415,
        "unsupported_media",
        b"{}",
        headers={"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://evil.example"},
    ),
    Bad(
        "text from a web page",
        415,
        "unsupported_media",
        b"{}",
        headers={"Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"},
    ),
    Bad("no type from a web page", 415, "unsupported_media", b"{}", headers={"Content-Type": "", "Origin": "null"}),
    Bad("latin-1", 415, "unsupported_media", b"{}", headers={"Content-Type": "application/json; charset=latin-1"}),
    Bad(
        "payload over the limit by one byte", 413, "payload_too_large", {"url": URL, "payload": "a" * (1024 * 1024 - 1)}
    ),
    Bad("request over the limit by one byte", 413, "payload_too_large", b" " * (1024 * 1024 * 4 // 3 + 65_536 + 1)),
    Bad("PATCH over the limit", 413, "payload_too_large", b" " * 1_500_000, method="PATCH", path="/jobs/any"),
    Bad("batch of 1001", 413, "batch_too_large", {"jobs": [{}] * 1001}, path="/jobs/batch"),
    Bad("batch without jobs", 400, "invalid_request", {}, path="/jobs/batch", wrong="jobs"),
    Bad("batch with an unknown field", 400, "unknown_field", {"jobs": [], "x": 1}, path="/jobs/batch"),
    Bad("batch that is a number", 400, "invalid_request", b"1", path="/jobs/batch"),
    Bad("batch with jobs twice", 400, "invalid_json", b'{"jobs":[],"jobs":[]}', path="/jobs/batch"),
    # bulk
    Bad("retry of pending", 400, "invalid_request", {"filter": {"state": "pending"}}, path="/jobs/retry"),
    Bad("cancel of dead", 400, "invalid_request", {"filter": {"state": "dead"}}, path="/jobs/cancel"),
    Bad("cancel with overrides", 400, "invalid_request", {"overrides": {"priority": 1}}, path="/jobs/cancel"),
    Bad("bulk limit 10^9", 400, "invalid_request", {"limit": 10**9}, path="/jobs/retry", wrong="limit"),
    Bad("bulk filter unknown", 400, "unknown_field", {"filter": {"url": "x"}}, path="/jobs/retry"),
    Bad("bulk override unknown", 400, "unknown_field", {"overrides": {"id": "x"}}, path="/jobs/retry"),
    # calls that take no body
    Bad("cancel with a body", 400, "invalid_json", {"force": True}, path="/jobs/any/cancel"),
    # schedules
    schedule("cron of six fields", "invalid_cron", "cron", cron="0 0 3 * * *"),
    schedule("cron 30 February", "invalid_cron", "cron", cron="0 0 30 2 *"),
    schedule("cron */0", "invalid_cron", "cron", cron="*/0 * * * *"),
    schedule("cron of 10 kB", "invalid_cron", "cron", cron="0," * 5_000 + "0 * * * *"),
    schedule("cron in words", "invalid_cron", "cron", cron="every day"),
    schedule("zone with dots", "invalid_timezone", "timezone", timezone="../../etc/passwd"),
    schedule("zone unknown", "invalid_timezone", "timezone", timezone="Mars/Base"),
    schedule("negative jitter", "invalid_time", "jitter", jitter=-1),
    schedule("window 0", "invalid_time", "catch_up.window", catch_up={"window": 0}),
    schedule("catch_up policy", "invalid_request", "catch_up.policy", catch_up={"policy": "sometimes"}),
    schedule(
        "end before start", "invalid_time", "end_at", start_at="2031-01-01T00:00:00Z", end_at="2030-01-01T00:00:00Z"
    ),
    schedule("end in the past", "invalid_time", "end_at", end_at="2001-01-01T00:00:00Z"),
    schedule("job with an id", "invalid_request", "job.id", job={"url": URL, "id": "x"}),
    schedule("job with a delay", "invalid_request", "job.delay", job={"url": URL, "delay": 1}),
    schedule("job without a url", "invalid_request", "url", job={}),
    schedule("job with an unknown field", "unknown_field", job={"url": URL, "x": 1}),
    schedule("job to a private place", "forbidden_destination", job={"url": "http://10.0.0.1/"}),
    schedule("id preview", "invalid_id", "id", id="preview"),
    schedule("read-only field", "unknown_field", "next_tick_at", next_tick_at="x"),
    get("unknown schedule", "/schedules/nothing", "schedule_not_found", 404),
    get("preview without cron", "/schedules/preview", "invalid_cron"),
    get("preview of 1001", "/schedules/preview?cron=@daily&count=1001", "invalid_request"),
    get("preview of 0", "/schedules/preview?cron=@daily&count=0", "invalid_request"),
    # destinations
    destination("concurrency 0", "invalid_request", {"concurrency": 0}),
    destination("rate 0", "invalid_request", {"rate": {"limit": 0}}),
    destination("interval 0", "invalid_time", {"rate": {"limit": 1, "per": 0}}),
    destination("interval missing its unit", "invalid_time", {"rate": {"limit": 1, "per": "10"}}),
    destination("unknown field", "unknown_field", {"breaker": "open"}),
    destination("public key", "invalid_secret", {"secrets": ["whpk_" + "A" * 43 + "="]}),
    destination("11 secrets", "invalid_request", {"secrets": [SECRET] * 11}),
    destination("host with a path", "invalid_url", {"paused": True}, "https%3A%2F%2Fexample.com%2Fpath"),
    destination("host with a user", "invalid_url", {"paused": True}, "user@example.com"),
    get("unknown destination", "/destinations/nobody.example", "destination_not_found", 404),
    # routes
    get("unknown path", "/job", "route_not_found", 404),
    get("slash at the end", "/jobs/", "route_not_found", 404),
    Bad("unknown method", 405, "method_not_allowed", method="DELETE", path="/jobs"),
    Bad("PUT of a job", 405, "method_not_allowed", {}, method="PUT", path="/jobs/a"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(shared_node: NodeUnderTest, case: Bad) -> None:
    before = shared_node.stored()
    applied = shared_node.replica.applied
    answer = shared_node.call(case.method, case.path, case.body, case.headers)
    assert (answer.status, answer.code) == (case.status, case.code), answer.body
    problem = answer.json
    assert problem["status"] == case.status
    assert problem["detail"]
    assert problem["title"]
    if case.wrong is not None:
        assert problem["field"] == case.wrong
    assert answer.headers["hookline-node"] == "n1"
    assert shared_node.stored() == before
    assert shared_node.replica.applied == applied, "it was refused before it reached the log"


def test_the_largest_of_everything_is_accepted(start_node: StartNode) -> None:
    with start_node() as node:
        largest: list[dict[str, Any]] = [
            {"payload": "a" * (1024 * 1024 - 2)},
            {"body_base64": "YWFh" * (1024 * 1024 // 3) + "YQ=="},
            {"url": "https://example.com/" + "a" * (8192 - 20)},
            {"headers": {f"x-{number}": "v" for number in range(100)}},
            {"headers": {"x-large": "v" * (16 * 1024 - len("x-large"))}},
            {"id": "a" * 128},
            {"labels": {str(number): "v" * 128 for number in range(32)}},
            {"delay": "3650d"},
            {"timeout": "30s", "priority": 100, "retry": {"max_attempts": 1000, "factor": 100}},
        ]
        for fields in largest:
            assert node.post("/jobs", {"url": URL} | fields).status == 201, list(fields)


def test_duplicate_names_inside_the_payload_are_the_receivers_business(shared_node: NodeUnderTest) -> None:
    answer = shared_node.post("/jobs", b'{"url":"https://example.com/","payload":{"a":1,"a":2}}')
    assert answer.status == 201
    assert b'"payload":{"a":1,"a":2}' in answer.body


def test_a_position_is_named_when_it_is_known(shared_node: NodeUnderTest) -> None:
    answer = shared_node.post("/jobs", b'{"url":"https://example.com/","payload":NaN}')
    assert answer.json["position"] == 40
    assert shared_node.post("/jobs", b'{"url":"\xff"}').json["position"] == 8


def test_the_allow_header_names_the_methods(shared_node: NodeUnderTest) -> None:
    assert shared_node.call("DELETE", "/jobs").headers["allow"] == "GET, HEAD, POST"


def test_client_sent_internal_headers_change_nothing(shared_node: NodeUnderTest) -> None:
    sent = {"hookline-cluster": "evil", "hookline-node": "evil", "hookline-term": "9"}
    answer = shared_node.call("POST", "/jobs", {"url": URL}, sent)
    assert (answer.status, answer.headers["hookline-node"]) == (201, "n1")


def test_a_cursor_of_another_filter_or_a_changed_one_is_refused(shared_node: NodeUnderTest) -> None:
    for _ in range(3):
        shared_node.create()
    cursor = shared_node.get("/jobs?limit=1").json["next_cursor"]
    assert shared_node.get(f"/jobs?limit=2&cursor={cursor}").status == 200, "the page size may change"
    assert shared_node.get(f"/jobs?limit=1&state=pending&cursor={cursor}").code == "invalid_cursor"
    assert shared_node.get(f"/schedules?cursor={cursor}").code == "invalid_cursor"
    for position in range(len(cursor)):
        other = "A" if cursor[position] != "A" else "B"
        changed = cursor[:position] + other + cursor[position + 1 :]
        assert shared_node.get(f"/jobs?limit=1&cursor={changed}").code == "invalid_cursor"


def test_no_content_type_is_fine(shared_node: NodeUnderTest) -> None:
    body = json.dumps({"url": URL}).encode()
    head = b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    request = head % len(body) + body
    assert shared_node.raw(request).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=UTF-8",
        "application/vnd.shop+json",
        "Application/JSON",
        "application/x-www-form-urlencoded",  # what curl -d says
    ],
)
def test_other_spellings_of_json_are_fine(shared_node: NodeUnderTest, kind: str) -> None:
    assert shared_node.call("POST", "/jobs", {"url": URL}, {"Content-Type": kind}).status == 201
