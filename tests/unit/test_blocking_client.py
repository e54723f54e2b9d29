"""The blocking client against a real server that answers from a script; sleeping is only noted."""

import inspect
import socket
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from hookline import AsyncClient, Client, errors
from hookline.protocol.topology import Topology
from tests import scripted_server as served
from tests.scripted_server import DROP, Answer, ScriptedServer, problem, scripted_server
from tests.unit.test_client_requests import SeededClock


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(server: ScriptedServer, slept: list[float]) -> Iterator[Client]:
    with Client(server.url, clock=SeededClock(), sleep=slept.append) as client:
        yield client


CREATED = Answer(201, served.job())


def test_a_refused_call_is_sent_again_with_the_same_key(
    server: ScriptedServer, client: Client, slept: list[float]
) -> None:
    server.answers = [problem(503, "overloaded"), problem(503, "no_leader"), CREATED]
    assert client.create_job("http://127.0.0.1:9000/hook", payload={"n": 1}).id == "j1"
    assert len(server.asked) == 3
    assert len({(asked.headers["idempotency-key"], asked.body) for asked in server.asked}) == 1
    assert len(slept) == 2
    assert all(0 <= wait <= 0.2 for wait in slept)


def test_an_ambiguous_failure_is_sent_again_with_the_same_key(server: ScriptedServer, client: Client) -> None:
    server.answers = [DROP, Answer(504, text="gateway timeout"), CREATED]
    assert client.create_job("http://127.0.0.1:9000/hook").id == "j1"
    assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 1
    assert len(server.asked) == 3


def fallbacks(server: ScriptedServer) -> list[str | None]:
    return [asked.headers.get("hookline-fallback") for asked in server.asked]


def test_a_job_without_id_and_key_leaves_a_home_that_is_down(server: ScriptedServer, client: Client) -> None:
    server.answers = [problem(503, "cluster_unavailable"), problem(503, "no_leader"), CREATED]
    client.create_job("http://127.0.0.1:9000/hook")
    assert fallbacks(server) == [None, "allow", "allow"]
    assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 1


def test_an_unclear_answer_after_it_left_its_home_is_the_last_one(server: ScriptedServer, client: Client) -> None:
    server.answers = [problem(503, "cluster_unavailable"), DROP, CREATED]
    with pytest.raises(errors.DeadlineExceeded):
        client.create_job("http://127.0.0.1:9000/hook")
    assert fallbacks(server) == [None, "allow"], "the home may be back, and would make a second job"


@pytest.mark.parametrize(
    "ambiguous", [DROP, problem(504, "deadline_exceeded"), Answer(502, text="bad gateway"), Answer(503, text="?")]
)
def test_once_ambiguous_it_stays_at_home(server: ScriptedServer, client: Client, ambiguous: Answer) -> None:
    server.answers = [ambiguous, problem(503, "cluster_unavailable"), CREATED]
    client.create_job("http://127.0.0.1:9000/hook")
    assert fallbacks(server) == [None, None, None]


@pytest.mark.parametrize("identity", [{"id": "mine"}, {"idempotency_key": "mine"}])
def test_what_the_caller_names_stays_at_home(server: ScriptedServer, client: Client, identity: Any) -> None:
    server.answers = [problem(503, "cluster_unavailable"), CREATED]
    client.create_job("http://127.0.0.1:9000/hook", **identity)
    assert fallbacks(server) == [None, None]


def test_a_batch_is_sent_again_with_the_same_ids(server: ScriptedServer, client: Client) -> None:
    server.answers = [DROP, Answer(200, {"results": [{"status": 400, "error": {"code": "invalid_url"}}]})]
    (result,) = client.create_jobs([{"url": "http://127.0.0.1:9000/"}])
    assert (result.status, result.error) == (400, {"code": "invalid_url"})
    assert server.asked[0].body == server.asked[1].body


# Sent twice, these would add up, or undo what others did in between.
ONCE_ONLY: dict[str, tuple[Any, ...]] = {
    "update_job": ("j1",),
    "retry_job": ("j1",),
    "run_job": ("j1",),
    "retry_jobs": (),
    "update_schedule": ("s1",),
    "run_schedule": ("s1",),
}
DELETED = {"delete_job": "job", "delete_schedule": "schedule", "delete_destination": "destination"}
AMBIGUOUS = [DROP, problem(504, "deadline_exceeded"), Answer(502, text="bad gateway")]


@pytest.mark.parametrize("method", ONCE_ONLY)
def test_what_would_add_up_is_not_sent_again_after_an_ambiguous_failure(
    server: ScriptedServer, client: Client, slept: list[float], method: str
) -> None:
    server.answers = [DROP]
    with pytest.raises(errors.DeadlineExceeded, match="may or may not have been accepted"):
        getattr(client, method)(*ONCE_ONLY[method])
    assert len(server.asked) == 1
    assert slept == []


@pytest.mark.parametrize("ambiguous", AMBIGUOUS, ids=["dropped", "504", "502"])
@pytest.mark.parametrize("method", DELETED)
def test_what_a_lost_try_has_deleted_is_deleted(
    server: ScriptedServer, client: Client, method: str, ambiguous: Answer
) -> None:
    not_there = problem(404, f"{DELETED[method]}_not_found")
    server.answers = [ambiguous, problem(503, "no_leader"), not_there]
    getattr(client, method)("x")
    assert len(server.asked) == 3


@pytest.mark.parametrize("first", [[], [problem(503, "no_leader")]], ids=["at once", "after a refusal"])
@pytest.mark.parametrize("method", DELETED)
def test_what_was_never_there_is_not_found(
    server: ScriptedServer, client: Client, method: str, first: list[Answer]
) -> None:
    server.answers = [*first, problem(404, f"{DELETED[method]}_not_found")]
    with pytest.raises(errors.NotFound):
        getattr(client, method)("x")


def test_a_lost_try_makes_no_other_404_a_success(server: ScriptedServer, client: Client) -> None:
    for method, code in (
        ("delete_job", "route_not_found"),
        ("get_job", "job_not_found"),
        ("cancel_job", "job_not_found"),
    ):
        server.answers = [DROP, problem(404, code)]
        with pytest.raises(errors.NotFound):
            getattr(client, method)("j1")
    server.answers = [DROP, Answer(404, text="<title>nothing here</title>")]
    with pytest.raises(errors.ForeignAnswer):
        client.delete_schedule("s1")


def test_what_would_add_up_is_sent_again_when_it_was_surely_refused(server: ScriptedServer, client: Client) -> None:
    server.answers = [problem(503, "no_leader"), Answer(201, served.job("j2"))]
    assert client.run_schedule("s1").id == "j2"


def test_retry_after_is_waited_out_from_body_or_header(
    server: ScriptedServer, client: Client, slept: list[float]
) -> None:
    server.answers = [
        problem(429, "queue_full", retry_after=3),
        Answer(429, headers={"Retry-After": "2"}),
        CREATED,
    ]
    client.create_job("http://127.0.0.1:9000/hook")
    assert 3 <= slept[0] <= 4
    assert 2 <= slept[1] <= 3


def test_a_longer_retry_after_than_the_timeout_is_for_the_caller_to_decide(
    server: ScriptedServer, client: Client, slept: list[float]
) -> None:
    server.answers = [problem(429, "queue_full", retry_after=11, used=5, limit=5)]
    with pytest.raises(errors.QueueFull) as caught:
        client.create_job("http://127.0.0.1:9000/hook")
    assert caught.value.retry_after_s == 11
    assert caught.value.figures == {"used": 5, "limit": 5}
    assert slept == []


def test_retries_end(server: ScriptedServer, client: Client, slept: list[float]) -> None:
    server.answers = [problem(503, "overloaded")]
    with pytest.raises(errors.Overloaded):
        client.get_job("j1")
    assert len(server.asked) == 4
    assert len(slept) == 3


@pytest.mark.parametrize(
    ("status", "code"), [(400, "invalid_url"), (404, "job_not_found"), (422, "idempotency_mismatch")]
)
def test_the_callers_mistakes_are_raised_at_once(
    server: ScriptedServer, client: Client, status: int, code: str
) -> None:
    server.answers = [problem(status, code, "what is wrong", field="url")]
    with pytest.raises(errors.by_code()[code], match="what is wrong") as caught:
        client.create_job("http://127.0.0.1:9000/hook")
    assert caught.value.field == "url"
    assert len(server.asked) == 1


def test_nobody_listening_is_a_failed_connection(slept: list[float]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with (
            Client(f"http://127.0.0.1:{port}", sleep=slept.append) as client,
            pytest.raises(errors.ConnectionFailed, match="Is Hookline running there"),
        ):
            client.run_schedule("s1")
    assert len(slept) == 3


def test_an_answer_that_does_not_come_in_time_is_ambiguous(server: ScriptedServer, slept: list[float]) -> None:
    release = threading.Event()
    server.script = lambda asked: (release.wait(60), DROP)[1]
    with Client(server.url, timeout=0.1, retries=0, sleep=slept.append) as client:
        with pytest.raises(errors.DeadlineExceeded, match="may or may not"):
            client.get_job("j1")
        release.set()


def test_redirects_are_not_followed(server: ScriptedServer, client: Client) -> None:
    server.answers = [Answer(307, headers={"Location": f"{server.url}/elsewhere"})]
    with pytest.raises(errors.HooklineError):
        client.get_job("j1")
    assert len(server.asked) == 1


def test_all_pages_are_walked(server: ScriptedServer, client: Client) -> None:
    server.answers = [
        Answer(200, {"data": [served.job("a"), served.job("b")], "next_cursor": "c1"}),
        Answer(200, {"data": [], "next_cursor": "c2"}),
        Answer(200, {"data": [served.job("c")], "next_cursor": None}),
    ]
    assert [job.id for job in client.list_jobs(state="dead")] == ["a", "b", "c"]
    assert [asked.path for asked in server.asked] == [
        "/jobs?state=dead&limit=1000",
        "/jobs?state=dead&limit=1000&cursor=c1",
        "/jobs?state=dead&limit=1000&cursor=c2",
    ]


def test_waiting_polls_with_growing_pauses(server: ScriptedServer, client: Client, slept: list[float]) -> None:
    server.answers = [*[Answer(200, served.job())] * 3, Answer(200, served.job(state="dead"))]
    assert client.wait_for_job("j1").state == "dead"
    assert slept == sorted(slept)
    assert len(slept) == 3


def test_waiting_ends(server: ScriptedServer, client: Client) -> None:
    server.answers = [Answer(200, served.job())]
    with pytest.raises(errors.DeadlineExceeded, match="still pending"):
        client.wait_for_job("j1", timeout=0)


@pytest.mark.parametrize("url", ["", "127.0.0.1:7070", "ftp://x", "http://", "http://x?y=1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(errors.InvalidConfig):
        Client(url)


@pytest.mark.parametrize("options", [{"retries": -1}, {"timeout": 0}, {"timeout": float("inf")}])
def test_settings_are_bounded(options: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidConfig):
        Client(**options)


TOPOLOGY = {"epoch": 2, "cluster": [{"name": "c0", "shard": 0, "nodes": ["http://127.0.0.1:1"]}]}
ROUTE = {"id": "j1", "rule": "modulo", "hash": 5, "cluster": "c1", "shard": 1, "steps": ["because"]}
STATUS = {"epoch": 2, "state": "moving"}
PLAN = {"epoch": 2, "share": 0.5, "pairs": [], "clusters": [], "jobs": 1, "schedules": 0, "bytes": 3}
PLAN |= {"seconds": 1, "jobs_per_s": 2000, "is_measured": False}
BALANCE = {"epoch": 2, "seconds": 2, "clusters": []}
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, Any]] = [
    ("get_job", ("j1",), {}, "GET /jobs/j1", served.job()),
    ("list_jobs_page", (), {"limit": 2}, "GET /jobs?limit=2", {"data": [], "next_cursor": None}),
    ("attempts", ("j1",), {}, "GET /jobs/j1/attempts", {"data": []}),
    ("update_job", ("j1",), {"priority": 5}, "PATCH /jobs/j1", served.job()),
    ("cancel_job", ("j1",), {}, "POST /jobs/j1/cancel", served.job()),
    ("retry_job", ("j1",), {}, "POST /jobs/j1/retry", served.job()),
    ("delete_payload", ("j1",), {}, "DELETE /jobs/j1/payload", served.job()),
    ("run_job", ("j1",), {}, "POST /jobs/j1/run", served.job()),
    ("create_schedule", ("0 9 * * *", {"url": "http://e.example/"}), {}, "POST /schedules", served.schedule()),
    ("get_schedule", ("s1",), {}, "GET /schedules/s1", served.schedule()),
    ("update_schedule", ("s1",), {"cron": "1 * * * *"}, "PATCH /schedules/s1", served.schedule()),
    ("delete_schedule", ("s1",), {}, "DELETE /schedules/s1", None),
    ("pause_schedule", ("s1",), {}, "POST /schedules/s1/pause", served.schedule()),
    ("resume_schedule", ("s1",), {}, "POST /schedules/s1/resume", served.schedule()),
    ("run_schedule", ("s1",), {}, "POST /schedules/s1/run", served.job()),
    ("preview_schedule", ("* * * * *",), {}, "GET /schedules/preview?cron=%2A+%2A+%2A+%2A+%2A", {"ticks": []}),
    ("get_destination", ("h",), {}, "GET /destinations/h", served.destination()),
    ("delete_destination", ("h",), {}, "DELETE /destinations/h", None),
    ("put_destination", ("h",), {"paused": True}, "PUT /destinations/h", served.destination()),
    ("own_key", (), {}, "GET /keys/self", served.own_key()),
    ("hand_over", (), {}, "POST /cluster/handover", {}),
    ("hand_over", ("c1",), {}, "POST /clusters/c1/handover", {}),
    ("cluster", (), {}, "GET /cluster", {"name": "c0", "shard": 0, "term": 1, "leader": "n1", "nodes": []}),
    ("cluster", ("c1",), {}, "GET /clusters/c1", {"name": "c1", "shard": 1, "term": 1, "leader": None, "nodes": []}),
    ("clusters", (), {}, "GET /clusters", {"data": [], "incomplete": ["c1"]}),
    ("topology", (), {}, "GET /topology", TOPOLOGY),
    ("apply_topology", (msgspec.convert(TOPOLOGY, Topology),), {}, "PUT /topology", {"epoch": 2, "clusters": {}}),
    ("route", ("j1",), {}, "GET /topology/route?id=j1", ROUTE),
    ("topology_status", (), {}, "GET /topology/status", STATUS),
    ("plan_topology", (msgspec.convert(TOPOLOGY, Topology),), {}, "POST /topology/plan", PLAN),
    ("pause_move", (), {}, "POST /topology/pause", STATUS),
    ("resume_move", (), {"rate": 5}, "POST /topology/resume", STATUS),
    ("abort_move", (), {}, "POST /topology/abort", STATUS),
    ("balance_topology", (), {"seconds": 2}, "GET /topology/balance?seconds=2", BALANCE),
    ("log_levels", (), {}, "GET /logs/levels", {"levels": {"etcd": "debug"}}),
    ("set_log_levels", ("info",), {"levels": {"etcd": "debug"}}, "PATCH /logs/levels", {"levels": {}}),
    ("health", (), {}, "GET /health", {"status": "ok", "role": "leader", "usage": {}}),
]
BULK = {"matched": 2, "changed": 0, "dry_run": True, "more": False, "sample": ["a", "b"]}


@pytest.mark.parametrize(("name", "args", "options", "line", "answer"), CALLS, ids=[call[3] for call in CALLS])
def test_each_method_makes_its_call(
    server: ScriptedServer,
    client: Client,
    name: str,
    args: tuple[Any, ...],
    options: dict[str, Any],
    line: str,
    answer: Any,
) -> None:
    server.answers = [Answer(200, answer)]
    getattr(client, name)(*args, **options)
    assert f"{server.asked[0].method} {server.asked[0].path}" == line


def test_bulk_calls_send_filter_and_overrides(server: ScriptedServer, client: Client) -> None:
    server.answers = [Answer(200, BULK)]
    assert client.retry_jobs(state="dead", dry_run=True, overrides={"url": "http://e.example/"}).matched == 2
    assert client.cancel_jobs(label="a", limit=5).sample == ["a", "b"]
    assert server.asked[0].json == {
        "filter": {"state": "dead"},
        "dry_run": True,
        "overrides": {"url": "http://e.example/"},
    }
    assert server.asked[1].json == {"filter": {"label": "a"}, "dry_run": False, "limit": 5}


def test_the_clients_for_threads_and_for_asyncio_offer_the_same() -> None:
    def offered(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in vars(kind).items()
            if inspect.isfunction(member) and not name.startswith("_")
        }

    assert offered(Client) == offered(AsyncClient)
