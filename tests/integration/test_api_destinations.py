from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme

from hookline.node.api.services import DestinationStatus
from hookline.node.vault import Vault, sealing_key_id
from hookline.protocol.commands import PutDestination
from hookline.protocol.latencies import recent_of
from hookline.protocol.settings import DestinationSettings, decode_destination, encode
from tests.integration.node_under_test import NodeUnderTest

SECRET = "whsec_" + "a" * 32
OTHER = "whsec_" + "b" * 32


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("example.com", "https://example.com:443"),
        ("example.com:80", "http://example.com:80"),
        ("example.com:8443", "https://example.com:8443"),
        ("https://example.com", "https://example.com:443"),
        ("http://EXAMPLE.com:8080", "http://example.com:8080"),
        ("https%3A%2F%2Fexample.com%3A443", "https://example.com:443"),
        ("http%3a%2f%2fexample.com", "http://example.com:80"),
        ("%5B2001:470::1%5D:8443", "https://[2001:470::1]:8443"),
    ],
)
def test_ways_to_name_one(node: NodeUnderTest, host: str, name: str) -> None:
    answer = node.call("PUT", f"/destinations/{host}", {"paused": True})
    assert (answer.status, answer.json["host"]) == (200, name)
    assert node.get(f"/destinations/{host}").json == answer.json


def test_fields_stay_unless_given_and_null_is_the_default(node: NodeUnderTest) -> None:
    path = "/destinations/example.com"
    node.call("PUT", path, {"concurrency": 5, "rate": {"limit": 100, "per": "1m"}})
    put = node.call("PUT", path, {"paused": True}).json
    assert (put["concurrency"], put["rate"], put["paused"]) == (5, {"limit": 100, "per": "1m"}, True)
    put = node.call("PUT", path, {"concurrency": None, "rate": None, "paused": False}).json
    assert (put["concurrency"], put["rate"], put["paused"]) == (None, None, False)


def test_a_retry_policy_is_for_jobs_that_do_not_say_it_themselves(node: NodeUnderTest) -> None:
    path = "/destinations/example.com"
    before, own = node.create(), node.create(retry={"max_attempts": 2})
    answer = node.call("PUT", path, {"retry": {"not_on": [401, "3xx"], "max_attempts": 7}})
    assert answer.json["retry"]["not_on"] == [401, "3xx"]
    assert node.get(path).json["retry"] == answer.json["retry"]
    for job, attempts in ((before, 7), (own, 2), (node.create(), 7)):
        retry = node.get(f"/jobs/{job['id']}").json["retry"]
        assert (retry["max_attempts"], retry["not_on"]) == (attempts, [410, 401, "3xx"])
    assert node.call("PUT", path, {"paused": True}).json["retry"] == answer.json["retry"], "what is not given stays"
    assert "retry" not in node.call("PUT", path, {"retry": None}).json
    assert node.get(f"/jobs/{before['id']}").json["retry"]["max_attempts"] == 25


def test_secrets_are_counted_never_shown(node: NodeUnderTest) -> None:
    path = "/destinations/example.com"
    job = node.create()
    assert job["signed"] is False
    answer = node.call("PUT", path, {"secrets": [SECRET, OTHER, SECRET]})
    assert answer.json["secrets"] == 2
    assert SECRET.encode() not in answer.body
    assert SECRET.encode() not in b"".join(blob for (blob,) in node.rows("SELECT entry FROM log_entries"))
    assert node.create()["signed"] is True
    assert node.get(f"/jobs/{job['id']}").json["signed"] is True
    assert node.call("PUT", path, {"secrets": []}).json["secrets"] == 0
    assert node.create()["signed"] is False


def test_a_job_whose_key_is_missing_says_so_and_health_is_degraded(node: NodeUnderTest) -> None:
    foreign = Vault([b"other" + bytes(27)]).seal(SECRET, nonce=bytes(12))
    settings = DestinationSettings(sealed_secrets=(foreign,))
    node.propose(PutDestination("", "https://example.com:443", encode(settings)))
    job = node.get(f"/jobs/{node.create()['id']}").json
    assert job["waiting_for"]["reason"] == "key"
    assert sealing_key_id(foreign) in job["waiting_for"]["detail"]
    assert node.get("/health").json["status"] == "ok"
    node.delivery.lacks = [sealing_key_id(foreign)]
    health = node.get("/health")
    assert (health.status, health.json["status"]) == (200, "degraded")
    assert sealing_key_id(foreign) in health.json["detail"]


def test_what_goes_on_there(node: NodeUnderTest) -> None:
    node.create()
    node.delivery.status = DestinationStatus("open", 1_900_000_000_000, 2, 7)
    assert node.get("/destinations/example.com").json == {
        "host": "https://example.com:443",
        "concurrency": None,
        "rate": None,
        "paused": False,
        "breaker": {"state": "open", "until": "2030-03-17T17:46:40.000Z"},
        "running": 2,
        "waiting": 7,
        "secrets": 0,
    }


def test_its_recent_attempts(node: NodeUnderTest) -> None:
    node.create()
    node.delivery.status = DestinationStatus("closed", None, 0, 0, recent_of(300, 4, 3, {0: 3, 40: 1}))
    (found,) = node.get("/destinations").json["data"]
    assert found["recent"] == {
        "seconds": 300,
        "attempts": 4,
        "succeeded": 3,
        "p50_ms": 1,
        "p99_ms": 1_024,
        "durations": {"1": 3, "1024": 1},
    }


def test_pages(node: NodeUnderTest) -> None:
    for host in ("b.example", "c.example", "a.example"):
        node.create(url=f"https://{host}/")
    page = node.get("/destinations?limit=2").json
    assert [found["host"] for found in page["data"]] == ["https://a.example:443", "https://b.example:443"]
    page = node.get(f"/destinations?cursor={page['next_cursor']}").json
    assert [found["host"] for found in page["data"]] == ["https://c.example:443"]


def test_changes_at_once_do_not_undo_each_other(node: NodeUnderTest) -> None:
    changes = [{"concurrency": 5}, {"rate": {"limit": 7}}, {"paused": True}, {"secrets": [SECRET]}]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda change: node.call("PUT", "/destinations/example.com", change), changes))
    found = node.get("/destinations/example.com").json
    assert (found["concurrency"], found["rate"]["limit"], found["paused"], found["secrets"]) == (5, 7, True, 1)


def test_a_line_break_in_the_host_is_a_bad_host_not_an_unknown_call(node: NodeUnderTest) -> None:
    assert node.call("PUT", "/destinations/a%0Ab", {"concurrency": 1}).status == 400
    assert node.call("PUT", "/destinations/a%0A", {"concurrency": 1}).status == 400


def test_a_deleted_destination_is_as_one_that_was_never_named(node: NodeUnderTest) -> None:
    assert node.call("DELETE", "/destinations/typo.example").code == "destination_not_found"
    node.call("PUT", "/destinations/typo.example", {"concurrency": 3, "secrets": [SECRET], "paused": True})
    node.create(url="https://kept.example/")
    for _ in range(2):
        assert node.call("DELETE", "/destinations/typo.example").status == 204
        assert node.get("/destinations/typo.example").code == "destination_not_found"
        assert [one["host"] for one in node.get("/destinations?limit=1").json["data"]] == ["https://kept.example:443"]
    assert node.call("PUT", "/destinations/typo.example", {"concurrency": 4}).json == {
        **node.get("/destinations/kept.example").json,
        "host": "https://typo.example:443",
        "concurrency": 4,
    }
    assert len(node.get("/destinations").json["data"]) == 2


def test_a_deleted_destination_is_shown_with_the_defaults_while_unfinished_jobs_name_it(node: NodeUnderTest) -> None:
    node.call("PUT", "/destinations/example.com", {"paused": True})
    job = node.create()
    assert node.call("DELETE", "/destinations/example.com").status == 204
    assert node.get("/destinations/example.com").json["paused"] is False
    node.claim(job["id"])
    assert [one["host"] for one in node.get("/destinations").json["data"]] == ["https://example.com:443"]
    other = node.create()
    node.run(other["id"])
    assert node.get("/destinations/example.com").status == 200
    assert node.post(f"/jobs/{job['id']}/cancel").status == 200
    assert node.get("/destinations").json["data"] == []
    found = node.get("/jobs?destination=https://example.com:443").json["data"]
    assert {one["id"] for one in found} == {job["id"], other["id"]}


# --- what a destination asks of its callers ---------------------------------------------------------------------------

AUTHORITY = trustme.CA()
PAIR = AUTHORITY.issue_cert("client.example")
CA, KEY = AUTHORITY.cert_pem.bytes().decode(), PAIR.private_key_pem.bytes().decode()
CERTIFICATE = PAIR.cert_chain_pems[0].bytes().decode()
OAUTH2 = {"type": "oauth2", "token_url": "https://login.example/t", "client_id": "me", "client_secret": "planted"}


@pytest.mark.parametrize(
    ("auth", "shown"),
    [
        ({"type": "bearer", "token": "planted"}, {"type": "bearer"}),
        ({"type": "basic", "username": "me", "password": "planted"}, {"type": "basic", "username": "me"}),
        (OAUTH2, {"type": "oauth2", "token_url": "https://login.example/t", "client_id": "me"}),
        (
            OAUTH2 | {"scope": "a b"},
            {"type": "oauth2", "token_url": OAUTH2["token_url"], "client_id": "me", "scope": "a b"},
        ),
    ],
)
def test_of_an_authorization_only_what_is_not_secret_is_shown(
    node: NodeUnderTest, auth: dict[str, str], shown: dict[str, str]
) -> None:
    path = "/destinations/example.com"
    answers = [node.call("PUT", path, {"auth": auth}), node.get(path), node.get("/destinations")]
    assert [answer.json["auth"] for answer in answers[:2]] == [shown, shown]
    assert not [answer for answer in answers if b"planted" in answer.body]
    assert b"planted" not in node.rows("SELECT settings FROM destinations")[0][0]
    assert "auth" not in node.call("PUT", path, {"auth": None}).json


def test_authorization_and_tls_are_set_apart(node: NodeUnderTest) -> None:
    path = "/destinations/example.com"
    node.call("PUT", path, {"auth": {"type": "bearer", "token": "t"}})
    put = node.call("PUT", path, {"tls": {"ca": CA, "certificate": CERTIFICATE, "key": KEY}, "paused": True}).json
    assert put["auth"] == {"type": "bearer"}
    assert put["tls"]["own_ca"] is True
    assert put["tls"]["certificate"]
    assert put["tls"]["expires_at"].endswith("Z")
    put = node.call("PUT", path, {"auth": None}).json
    assert ("auth" in put, put["tls"]["own_ca"]) == (False, True)
    assert node.call("PUT", path, {"tls": {"ca": CA}}).json["tls"] == {
        "own_ca": True,
        "certificate": None,
        "expires_at": None,
    }
    node.call("PUT", path, {"tls": None})
    assert decode_destination(node.rows("SELECT settings FROM destinations")[0][0]).sealed_access == b""


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"auth": {"type": "bearer", "token": ""}}, "auth.token"),
        ({"auth": {"type": "bearer", "token": "a b"}}, "auth.token"),
        ({"auth": {"type": "bearer", "token": "a\r\nX: 1"}}, "auth.token"),
        ({"auth": {"type": "bearer", "token": "x" * 4097}}, "auth.token"),
        ({"auth": {"type": "basic", "username": "a:b", "password": "x"}}, "auth.username"),
        ({"auth": OAUTH2 | {"token_url": "ftp://login.example/"}}, "auth.token_url"),
        ({"auth": OAUTH2 | {"token_url": "http://127.0.0.1/"}}, "auth.token_url"),
        ({"auth": {"type": "other", "token": "x"}}, "auth"),
        ({"auth": {"type": "bearer", "token": "x", "more": 1}}, "auth"),
        ({"tls": {"ca": "no PEM"}}, "tls.ca"),
        ({"tls": {"certificate": CERTIFICATE}}, "tls.key"),
        ({"tls": {"key": KEY}}, "tls.certificate"),
        ({"tls": {"certificate": CERTIFICATE, "key": "no PEM"}}, "tls.certificate"),
        ({"tls": {"certificate": "no PEM", "key": KEY}}, "tls.certificate"),
        ({"tls": {"ca": "x" * 32_769}}, "tls.ca"),
    ],
)
def test_access_that_cannot_be_used_is_refused(node: NodeUnderTest, settings: dict[str, object], field: str) -> None:
    refused = node.call("PUT", "/destinations/example.com", settings)
    assert (refused.status, (refused.json.get("field") or "").split("[")[0]) == (400, field) or refused.status in (
        400,
        413,
    )
    assert node.get("/destinations/example.com").status == 404
