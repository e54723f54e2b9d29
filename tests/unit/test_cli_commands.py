"""Every command that talks to Hookline, against a scripted server: what it asks, what it prints, how it exits."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from cyclopts.argument import Argument

from hookline.cli import app, inputs
from tests import scripted_server as served
from tests.scripted_server import Answer, Asked, ScriptedServer, problem, scripted_server

JOB = served.job("0192f0c1-7a4b-7def-8123-456789abcdef-0")
CLUSTER = {
    "name": "c0",
    "shard": 0,
    "term": 3,
    "leader": "n1",
    "nodes": [
        {"name": "n1", "url": "http://127.0.0.1:1", "role": "leader", "applied": 9, "durable": 8, "version": "0.1.0"}
    ],
}
HEALTH = {"status": "ok", "role": "leader", "usage": {"jobs": {"used": 1, "limit": 2}}}
LOG_LEVELS = {"levels": {"api": "info", "etcd": "debug"}}
BULK = {"matched": 2, "changed": 2, "dry_run": False, "more": False, "sample": ["a", "b"]}
ATTEMPT = {
    "number": 1,
    "outcome": "permanent_failure",
    "status": 410,
    "error": None,
    "started_at": "2026-11-24T13:00:00.000Z",
    "duration_ms": 12,
    "node": "n1",
    "term": 1,
    "response_headers": {},
    "response_body": "gone",
}
TENANT = {
    "name": "acme",
    "pending_jobs": 5,
    "pending_bytes": None,
    "creates_per_second": None,
    "weight": 2,
    "used": {"pending_jobs": 3, "pending_bytes": 700, "running": 1},
}
DESTINATION = served.destination(rate={"limit": 5, "per": "1s"}, secrets=1)


def answer(asked: Asked) -> Answer:
    """A Hookline with one of everything."""
    path = asked.path.partition("?")[0]
    page = {"data": [JOB], "next_cursor": None}
    table: dict[tuple[str, str], Any] = {
        ("GET", "/jobs"): page,
        ("GET", "/schedules"): {"data": [served.schedule()], "next_cursor": None},
        ("GET", "/schedules/preview"): {"ticks": ["2026-11-25T09:00:00+01:00"]},
        ("GET", "/destinations"): {"data": [DESTINATION], "next_cursor": None},
        ("GET", "/tenants"): {"data": [TENANT], "next_cursor": None},
        ("GET", "/cluster"): CLUSTER,
        ("GET", "/health"): HEALTH,
        ("GET", "/logs/levels"): LOG_LEVELS,
        ("PATCH", "/logs/levels"): LOG_LEVELS,
        ("POST", "/jobs/retry"): BULK,
        ("POST", "/jobs/cancel"): BULK,
        ("POST", "/jobs/batch"): {"results": [{"status": 201, "job": _short("x")}]},
    }
    if (asked.method, path) in table:
        return Answer(200, table[asked.method, path])
    if path.endswith("/attempts"):
        return Answer(200, {"data": [ATTEMPT]})
    if path.startswith("/schedules") and not path.endswith("/run"):
        return Answer(204 if asked.method == "DELETE" else 200, None if asked.method == "DELETE" else served.schedule())
    if path.startswith(("/destinations", "/tenants")) and asked.method == "DELETE":
        return Answer(204)
    if path.startswith("/tenants/"):
        return Answer(200, TENANT)
    return Answer(200, DESTINATION if path.startswith("/destinations") else JOB)


def _short(job_id: str) -> dict[str, Any]:
    names = ("url", "method", "state", "run_at", "guarantee")
    return {"id": job_id} | {name: JOB[name] for name in names}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.script = answer
        monkeypatch.setenv("HOOKLINE_URL", server.url)
        yield server


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*tokens: str) -> tuple[int, str, str]:
        code = app.run(tokens)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


COMMANDS: list[tuple[str, str]] = [
    ("jobs create http://127.0.0.1:9000/hook", "POST /jobs"),
    ("jobs get j1", "GET /jobs/j1"),
    ("jobs list --schedule s1 --status 5xx --limit 3", "GET /jobs?schedule=s1&status=5xx&limit=3"),
    ("jobs attempts j1", "GET /jobs/j1/attempts"),
    ("logs j1", "GET /jobs/j1"),
    ("jobs cancel j1", "POST /jobs/j1/cancel"),
    ("jobs retry j1 --to http://e.example/", "POST /jobs/j1/retry"),
    ("jobs run j1", "POST /jobs/j1/run"),
    ("jobs update j1 --priority -5", "PATCH /jobs/j1"),
    ("jobs watch", "GET /jobs?limit=20"),
    ("jobs retry-all --state dead --yes", "POST /jobs/retry"),
    ("jobs cancel-all --label a --dry-run", "POST /jobs/cancel"),
    ("schedules create 0_9_*_*_* http://127.0.0.1:9000/hook", "POST /schedules"),
    ("schedules update s1 --jitter 30s", "PATCH /schedules/s1"),
    ("schedules list", "GET /schedules?limit=1000"),
    ("schedules get s1", "GET /schedules/s1"),
    ("schedules preview 0_9_*_*_* --count 1", "GET /schedules/preview?cron=0+9+%2A+%2A+%2A&count=1"),
    ("schedules pause s1", "POST /schedules/s1/pause"),
    ("schedules resume s1", "POST /schedules/s1/resume"),
    ("schedules run s1", "POST /schedules/s1/run"),
    ("schedules delete s1 --yes", "DELETE /schedules/s1"),
    ("jobs delete j1 --yes", "DELETE /jobs/j1"),
    ("jobs delete-payload j1 --yes", "DELETE /jobs/j1/payload"),
    ("destinations list", "GET /destinations?limit=1000"),
    ("destinations get http://127.0.0.1:9000", "GET /destinations/http%3A%2F%2F127.0.0.1%3A9000"),
    ("destinations set https://h --rate 5/s --no-paused", "PUT /destinations/https%3A%2F%2Fh"),
    ("destinations delete https://h --yes", "DELETE /destinations/https%3A%2F%2Fh"),
    ("tenants list", "GET /tenants?limit=1000"),
    ("tenants show acme", "GET /tenants/acme"),
    ("tenants set acme --pending-jobs 5 --weight 2", "PUT /tenants/acme"),
    ("tenants delete acme --yes", "DELETE /tenants/acme"),
    ("cluster show", "GET /cluster"),
    ("cluster health", "GET /health"),
    ("cluster log-levels", "GET /logs/levels"),
]
TALKING = pytest.mark.parametrize(
    ("line", "asked"), COMMANDS, ids=["-".join(line.split(" ")[:2]) for line, _ in COMMANDS]
)


def tokens_of(line: str) -> list[str]:
    return [token.replace("_", " ") for token in line.split(" ")]


@TALKING
def test_each_command_asks_the_right_thing_and_prints_for_people(
    server: ScriptedServer, run: Run, line: str, asked: str
) -> None:
    code, out, err = run(*tokens_of(line))
    assert (code, err) == (0, "")
    assert f"{server.asked[0].method} {server.asked[0].path}" == asked
    assert out
    assert "\x1b" not in out, "no colour codes when it is not a terminal"
    assert not any(shown.endswith(" ") for shown in out.splitlines())


@pytest.mark.parametrize("line", ["jobs attempts j1", "jobs attempts j1 --json", "logs j1", "logs j1 --json"])
def test_a_receiver_cannot_write_to_the_terminal(server: ScriptedServer, run: Run, line: str) -> None:
    hostile = ATTEMPT | {"response_body": "\x1b]0;owned\x07\x1b[2J", "error": "\x1b[31mowned"}
    server.script = lambda asked: Answer(200, {"data": [hostile]}) if "attempts" in asked.path else answer(asked)
    code, out, _ = run(*line.split())
    assert code == 0
    assert not {"\x1b", "\x07"} & set(out)
    assert "owned" in out


@TALKING
def test_each_command_prints_one_json_document(server: ScriptedServer, run: Run, line: str, asked: str) -> None:
    code, out, err = run(*tokens_of(line), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)


@TALKING
def test_each_command_says_why_it_failed(server: ScriptedServer, run: Run, line: str, asked: str) -> None:
    server.script = lambda _: problem(400, "invalid_request", "what is wrong", field="url")
    code, out, err = run(*tokens_of(line))
    assert (code, out) == (1, "")
    assert err.startswith("error: what is wrong\n  code: invalid_request · field: url\n")
    code, out, err = run(*tokens_of(line), "--json")
    assert code == 1
    assert json.loads(out)["code"] == "invalid_request"


def test_log_levels_are_sent_by_area_and_for_all_others(server: ScriptedServer, run: Run) -> None:
    _, out, _ = run("cluster", "log-levels", "etcd=debug", "warning", "dispatch=info")
    assert server.asked[0].json == {"levels": {"etcd": "debug", "dispatch": "info"}, "level": "warning"}
    assert [line.split() for line in out.splitlines()] == [["api", "info"], ["etcd", "debug"]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("moon=debug", "the log has no area moon; there are api, "),
        ("loud", "loud is not a level of the log; there are debug, info, warning, error"),
        ("etcd=", " is not a level of the log"),
        ("etcd=debug etcd=info", "once"),
        ("info debug", "once"),
    ],
)
def test_log_levels_that_are_not_there_are_not_sent(server: ScriptedServer, run: Run, changes: str, said: str) -> None:
    code, out, err = run("cluster", "log-levels", *changes.split(" "))
    assert (code, out, server.asked) == (2, "", [])
    assert said in err


def test_in_a_pipe_each_row_is_one_whole_line(server: ScriptedServer, run: Run) -> None:
    long_job = served.job(JOB["id"], url="http://a-rather-long-host-name.example.com/with/a/long/path?and=a&query=too")
    server.script = lambda _: Answer(200, {"data": [long_job], "next_cursor": None})
    _, out, _ = run("jobs", "list")
    header, row = out.splitlines()
    assert header.split()[:3] == ["ID", "STATE", "TRIES"]
    assert row.startswith(JOB["id"])
    assert f" {long_job['url']} " in row


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ("-o ids", ["j1", "j2"]),
        ("-o tsv --columns state,id", ["STATE\tID", "dead\tj1", "dead\tj2"]),
        ("--output=wide --columns ID,LAST", ["ID  LAST", "j1  500 no room", "j2  500 no room"]),
    ],
)
def test_a_list_comes_in_the_form_that_is_asked_for(
    server: ScriptedServer, run: Run, options: str, lines: list[str]
) -> None:
    last = {name: ATTEMPT[name] for name in ("number", "outcome", "started_at", "duration_ms")}
    last |= {"status": 500, "error": "no room"}
    jobs = [served.job(name, state="dead", last_attempt=last) for name in ("j1", "j2")]
    server.script = lambda _: Answer(200, {"data": jobs, "next_cursor": None})
    code, out, err = run("jobs", "list", *options.split())
    assert (code, out.splitlines(), err) == (0, lines, "")
    _, out, _ = run("jobs", "list", "-o", "json")
    assert [job["id"] for job in json.loads(out)["data"]] == ["j1", "j2"]


def test_how_long_an_attempt_took_that_nobody_saw_the_end_of_is_not_made_up(server: ScriptedServer, run: Run) -> None:
    lost = ATTEMPT | {"outcome": "unknown", "status": None, "duration_ms": None, "error": "the node was lost"}
    last = {name: lost[name] for name in ("number", "outcome", "status", "error", "started_at", "duration_ms")}
    server.script = lambda asked: Answer(
        200, {"data": [lost]} if asked.path.endswith("/attempts") else served.job("j1", last_attempt=last)
    )
    _, out, _ = run("jobs", "attempts", "j1", "--columns", "took")
    assert out.split() == ["TOOK", "?", "ms"]
    _, out, _ = run("jobs", "get", "j1")
    assert "#1 unknown, the node was lost, ? ms, at 2026" in out


@pytest.mark.parametrize("list_", ["jobs list", "schedules list", "destinations list", "jobs attempts j1"])
def test_a_column_that_is_none_is_named_with_those_there_are(server: ScriptedServer, run: Run, list_: str) -> None:
    code, out, err = run(*list_.split(), "--columns", "id,tail")
    assert (code, out) == (2, "")
    assert "there is no column" in err
    assert "there are " in err


def test_watching_a_dead_job_says_why_it_is_dead(server: ScriptedServer, run: Run) -> None:
    last = {name: ATTEMPT[name] for name in ("number", "outcome", "status", "error", "started_at", "duration_ms")}
    server.script = lambda _: Answer(200, served.job("j1", state="dead", attempts_made=1, last_attempt=last))
    code, _, err = run("jobs", "watch", "j1")
    assert code == 1
    assert err == "j1 is dead after 1 attempt: 410\n"


def test_who_stops_waiting_is_told_the_id_and_how_to_go_on(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("hookline.cli.calls.Calls.finished", interrupted)
    code, out, err = run("jobs", "create", "http://e.example/", "--wait")
    assert (code, out) == (130, "")
    assert err == f"Job {JOB['id']} goes on without you: hookline jobs watch {JOB['id']}\n"
    code, out, err = run("jobs", "create", "http://e.example/", "--wait", "--json")
    assert (code, json.loads(out)["code"]) == (130, "interrupted")


def test_everything_that_can_be_said_about_a_job_is_sent(server: ScriptedServer, run: Run, tmp_path: Path) -> None:
    data = tmp_path / "data.json"
    data.write_bytes(b' {"b": 1.0,  "a": [2]}\n')
    code, _, err = run(
        *("jobs", "create", "http://127.0.0.1:9000/hook", "--delay", "90s", "--id", "mine", "-X", "PUT"),
        *("--data", f"@{data}", "-H", "x-a: 1", "--header", "x-b:2:3", "--timeout", "2.5", "--retry-max", "3"),
        *("--retry-schedule", "1s,10", "--retry-budget", "1h", "--retry-on", "404, 5xx", "--retry-not-on", "410"),
        *("--at-most-once", "--priority", "7"),
        *("-l", "team=a", "--label", "env=b", "--secret", "whsec_x"),
    )
    assert (code, err) == (0, "")
    assert b'"payload":{"b": 1.0,  "a": [2]}' in server.asked[0].body, "byte for byte"
    assert server.asked[0].json == {
        "url": "http://127.0.0.1:9000/hook",
        "delay": "90s",
        "id": "mine",
        "method": "PUT",
        "payload": {"b": 1.0, "a": [2]},
        "headers": {"x-a": "1", "x-b": "2:3"},
        "timeout": 2.5,
        "retry": {"max_attempts": 3, "schedule": ["1s", 10.0], "on": ["404", "5xx"], "not_on": ["410"], "budget": "1h"},
        "guarantee": "at_most_once",
        "priority": 7,
        "labels": {"team": "a", "env": "b"},
        "secret": "whsec_x",
    }


def test_other_bytes_key_time_and_plain_labels(server: ScriptedServer, run: Run) -> None:
    when = "2026-11-24T13:00:00Z"
    run("jobs", "create", "http://e.example/", "--body", "hi", "--key", "k", "--at", when, "-l", "a", "-l", "b=c")
    assert server.asked[0].headers["idempotency-key"] == "k"
    assert server.asked[0].json == {
        "url": "http://e.example/",
        "body_base64": "aGk=",
        "run_at": when,
        "labels": ["a", "b=c"],
    }


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("dead", 1)])
def test_waiting_says_by_the_exit_code_how_it_ended(server: ScriptedServer, run: Run, state: str, code: int) -> None:
    server.script = lambda asked: Answer(200, served.job(state="pending" if asked.method == "POST" else state))
    exited, out, _ = run("jobs", "create", "http://e.example/", "--wait", "--json")
    assert (exited, json.loads(out)["state"]) == (code, state)
    exited, out, _ = run("jobs", "watch", "j1", "j2", "--json")
    assert (exited, len(json.loads(out)["data"])) == (code, 2)


def test_schedule_options_are_sent(server: ScriptedServer, run: Run) -> None:
    run(
        *("schedules", "create", "0 9 * * *", "http://e.example/", "--timezone", "Europe/Berlin", "--catch-up", "all"),
        *("--catch-up-window", "2h", "--overlap", "skip", "--jitter", "30s", "--id", "s1", "--paused", "-d", "[1]"),
    )
    assert server.asked[0].json == {
        "cron": "0 9 * * *",
        "job": {"url": "http://e.example/", "payload": [1]},
        "timezone": "Europe/Berlin",
        "catch_up": {"policy": "all", "window": "2h"},
        "overlap": "skip",
        "jitter": "30s",
        "id": "s1",
        "paused": True,
    }


def test_limits_of_a_tenant_are_sent_and_reset(server: ScriptedServer, run: Run) -> None:
    line = ("tenants", "set", "acme", "--pending-jobs", "5", "--reset", "creates-per-second", "--reset", "weight")
    code, out, _ = run(*line)
    assert server.asked[0].json == {"pending_jobs": 5, "creates_per_second": None, "weight": 1}
    assert (code, "3 of 5" in out) == (0, True)
    assert run("tenants", "set", "acme")[0] == 2
    assert run("tenants", "set", "acme", "--reset", "all")[0] == 2


def test_a_command_acts_for_a_tenant(server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("jobs", "list", "--tenant", "acme")
    monkeypatch.setenv("HOOKLINE_TENANT", "globex")
    run("jobs", "list")
    run("jobs", "list", "--tenant", "acme")
    named = [dict(asked.headers).get("hookline-tenant") for asked in server.asked]
    assert named == ["acme", "globex", "acme"]
    assert run("jobs", "list", "--tenant", "a/b")[0] == 1


def test_destination_settings_are_sent_and_reset(server: ScriptedServer, run: Run) -> None:
    run(
        "destinations",
        "set",
        "https://h",
        "--concurrency",
        "3",
        "--paused",
        "--secret",
        "a",
        "--secret",
        "b",
        "--reset",
        "rate",
    )
    assert server.asked[0].json == {"rate": None, "concurrency": 3, "paused": True, "secrets": ["a", "b"]}


@pytest.mark.parametrize(("text", "per"), [("10/s", "1s"), ("10/m", "1m"), ("10/min", "1m"), ("10/5s", "5s")])
def test_a_rate_is_understood_as_people_write_it(server: ScriptedServer, run: Run, text: str, per: str) -> None:
    assert run("destinations", "set", "https://h", "--rate", text)[0] == 0
    assert server.asked[0].json == {"rate": {"limit": 10, "per": per}}


def test_a_destination_without_a_scheme_is_said_or_refused(server: ScriptedServer, run: Run) -> None:
    code, _, err = run("destinations", "set", "shop:9000", "--rate", "1/s")
    assert (code, err) == (0, "shop:9000 is taken to be https://shop:9000\n")
    assert server.asked[-1].path == "/destinations/https%3A%2F%2Fshop%3A9000"
    code, _, err = run("destinations", "set", "127.0.0.1:9000", "--rate", "1/s")  # jobs go there by http
    assert code == 2
    assert "there is http://127.0.0.1:9000, and nothing with https; say which is meant" in err
    assert server.asked[-1].method == "GET"


def test_bulk_changes_go_on_until_all_is_done(server: ScriptedServer, run: Run) -> None:
    counted = BULK | {"matched": 1_500, "changed": 0, "dry_run": True}
    server.script = None
    server.answers = [
        Answer(200, counted),
        Answer(200, BULK | {"matched": 1_000, "changed": 1_000, "more": True}),
        Answer(200, BULK | {"matched": 500, "changed": 500}),
    ]
    code, out, _ = run("jobs", "retry-all", "--state", "dead", "--to", "http://e.example/", "-y", "--json")
    assert (code, json.loads(out)) == (0, {"matched": 1_500, "changed": 1_500, "dry_run": False})
    assert [asked.json["dry_run"] for asked in server.asked] == [True, False, False]
    assert server.asked[2].json["overrides"] == {"url": "http://e.example/"}


@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_clusters_that_a_bulk_change_leaves_out_are_named(
    server: ScriptedServer, run: Run, json_flag: tuple[str, ...]
) -> None:
    server.script = None
    server.answers = [
        Answer(200, BULK | {"changed": 0, "dry_run": True, "incomplete": ["c1"]}),
        Answer(200, BULK | {"more": True, "incomplete": ["c1"], "unclear": ["c2"]}),
        Answer(200, BULK | {"incomplete": ["c1"]}),
    ]
    code, out, err = run("jobs", "retry-all", "-y", *json_flag)
    assert code == 1
    assert "c1 could not be reached" in err
    assert "c2 did not answer" in err
    if json_flag:
        assert (json.loads(out)["incomplete"], json.loads(out)["unclear"]) == (["c1"], ["c2"])


def test_a_cluster_that_is_missing_in_a_list_is_named(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: Answer(200, {"data": [JOB], "next_cursor": None, "incomplete": ["c1"]})
    code, out, err = run("jobs", "list", "--json")
    assert (code, len(json.loads(out)["data"])) == (0, 1)
    assert err == "warning: c1 could not be reached; what is there is missing here\n"


def test_a_list_that_may_miss_a_job_on_its_way_says_so(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: Answer(200, {"data": [JOB], "next_cursor": None, "moving": ["c0", "c1"]})
    code, _, err = run("jobs", "list")
    assert code == 0
    assert err.startswith("warning: jobs move out of c0, c1; one on its way may be missing here")
    server.script = lambda _: Answer(200, BULK | {"moving": ["c0"]})
    for option in ("--yes", "--dry-run"):
        code, _, err = run("jobs", "cancel-all", option)
        assert code == 0
        assert "warning: jobs move out of c0" in err


def test_a_bulk_change_without_a_terminal_needs_yes(server: ScriptedServer, run: Run) -> None:
    code, out, err = run("jobs", "cancel-all")
    assert (code, out) == (2, "")
    assert "add --yes" in err
    assert all(asked.json["dry_run"] for asked in server.asked)


def test_import_reports_each_refused_line(server: ScriptedServer, run: Run, tmp_path: Path) -> None:
    lines = tmp_path / "jobs.jsonl"
    lines.write_text(
        '{"url": "http://a.example/", "payload": {"a":  1.0}}\n\n{"nope": 1}\n{"url": "http://b.example/"}\n'
        '{"url": "http://c.example/", "id": "c"}\n'
    )
    server.script = lambda _: Answer(
        200,
        {
            "results": [
                {"status": 201, "job": _short("a")},
                {"status": 400, "error": {"code": "invalid_url", "detail": "bad"}},
                {"status": 200, "job": _short("c") | {"deduplicated": True}},
            ]
        },
    )
    code, out, err = run("jobs", "import", str(lines), "--json")
    assert (code, err) == (1, "")
    told = json.loads(out)
    assert (told["created"], told["existed"], told["refused"]) == (1, 1, 2)
    assert [error["line"] for error in told["errors"]] == [3, 4]
    assert b'"payload":{"a":  1.0}' in server.asked[0].body
    assert server.asked[0].headers["prefer"] == "return=minimal", "it only counts"
    code, out, err = run("jobs", "import", str(lines))
    assert out == "created 1, existed already 1, refused 2\n"
    assert "line 4: bad (invalid_url)" in err


def test_a_line_that_cannot_be_read_costs_no_other_line(server: ScriptedServer, run: Run, tmp_path: Path) -> None:
    good = b'{"url":"http://a.example/"}'
    bad = [
        b'{"url":"http://a.example/","payload":"\xff"}',
        b'{"url":"http://a.example/","payload":' + b"[" * 2_000 + b"]" * 2_000 + b"}",
        b'{"url":"http://a.example/","url":"http://b.example/"}',
        b'{"url":"http://a.example/","headers":{"a":"1","a":"2"}}',
        b'{"url":1}',
        b"\x00",
        b"[]",
    ]
    lines = tmp_path / "jobs.jsonl"
    lines.write_bytes(b"\xef\xbb\xbf" + b"\n".join([good, *bad, good]))
    server.script = lambda _: Answer(200, {"results": [{"status": 201, "job": _short(name)} for name in "ab"]})
    code, out, err = run("jobs", "import", str(lines), "--json")
    assert (code, err) == (1, "")
    told = json.loads(out)
    assert (told["created"], [error["line"] for error in told["errors"]]) == (2, [2, 3, 4, 5, 6, 7, 8])


@pytest.mark.parametrize("text", ['{"b":1e400}', " [1] "])
def test_data_is_what_the_service_takes(server: ScriptedServer, run: Run, text: str) -> None:
    assert run("jobs", "create", "http://a.example/", "--data", text)[0] == 0
    assert b'"payload":' + text.strip().encode() in server.asked[0].body


def test_the_health_of_a_proxy_names_its_clusters(server: ScriptedServer, run: Run) -> None:
    nodes = [{"url": "http://a:1", "state": "up"}, {"url": "http://a:2", "state": "down"}]
    cluster = {"name": "c7", "state": "up", "breaker": "closed", "leader": "http://a:1", "nodes": nodes}
    server.script = lambda _: Answer(200, {"status": "ok", "role": "proxy", "epoch": 1, "clusters": [cluster]})
    code, out, _ = run("cluster", "health")
    assert code == 0
    told = " ".join(out.split())
    assert "c7 up, breaker closed, led by http://a:1, not up: http://a:2" in told


def test_one_of_several_clusters_can_be_named(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: Answer(200, CLUSTER)
    assert run("cluster", "show", "c1")[0] == 0
    assert server.asked[0].path == "/clusters/c1"


def test_without_a_name_a_proxy_shows_all_of_its_clusters(server: ScriptedServer, run: Run) -> None:
    many = {"status": 400, "code": "invalid_request", "title": "t", "detail": "there are 2 clusters", "type": "x"}
    both = {"data": [CLUSTER, CLUSTER | {"name": "c7"}], "incomplete": ["c9"]}
    server.script = lambda asked: Answer(200, both) if asked.path == "/clusters" else Answer(400, many)
    code, out, err = run("cluster", "show")
    assert code == 0
    assert ("cluster c7" in out, f"cluster {CLUSTER['name']}" in out) == (True, True)
    assert "c9 could not be reached" in err
    assert len(json.loads(run("cluster", "show", "--json")[1])["data"]) == 2


@pytest.mark.parametrize("command", ["show", "route x"])
def test_a_node_that_is_asked_for_a_topology_is_said_to_be_no_proxy(
    server: ScriptedServer, run: Run, command: str
) -> None:
    missing = {"status": 404, "code": "route_not_found", "title": "t", "detail": "there is no such call", "type": "x"}
    server.script = lambda _: Answer(404, missing)
    code, _, err = run("topology", *command.split())
    assert code == 1
    assert "is not a proxy" in err
    assert "give --url of a proxy" in err


def test_an_unfit_node_shows_in_the_exit_code(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: Answer(503, HEALTH | {"status": "unavailable", "detail": "starting"})
    code, out, _ = run("cluster", "health")
    assert code == 1
    assert "starting" in out


def test_a_destination_takes_a_retry_policy_and_says_which_it_has(server: ScriptedServer, run: Run) -> None:
    server.script = lambda _: Answer(200, DESTINATION | {"retry": {"max_attempts": 9, "not_on": [404, "3xx"]}})
    code, _, err = run("destinations", "set", "https://h:443", "--retry-max", "9", "--retry-not-on", "404,3xx")
    assert (code, err) == (0, "")
    assert server.asked[0].json == {"retry": {"max_attempts": 9, "not_on": ["404", "3xx"]}}
    assert "404, 3xx" in run("destinations", "get", "https://h:443")[1]
    run("destinations", "set", "https://h:443", "--reset", "retry")
    assert server.asked[-1].json == {"retry": None}


def test_a_job_says_when_it_is_tried_again(server: ScriptedServer, run: Run) -> None:
    _, out, _ = run("jobs", "get", "j1")
    assert "on connection, timeout, 4xx, 5xx but 410; after up to 1s" in " ".join(out.split())


def test_a_dead_job_is_shown_in_full(server: ScriptedServer, run: Run) -> None:
    last = {name: ATTEMPT[name] for name in ("number", "outcome", "status", "error", "started_at", "duration_ms")}
    server.script = lambda _: Answer(
        200,
        served.job(
            state="dead", last_attempt=last, waiting_for=None, next_attempt_at=None, payload={"x": 1}, labels=["a"]
        ),
    )
    _, out, _ = run("jobs", "get", "j1")
    assert "#1 permanent_failure, HTTP 410, 12 ms" in out
    assert '{"x": 1}' in out


USAGE_ERRORS = [
    "jobs nope",
    "jobs get",
    "jobs get a b",
    "jobs get a --nope",
    "jobs create http://e.example/ --data {",
    f"jobs create http://e.example/ --data {'[' * 2_000}{']' * 2_000}",
    "jobs create http://e.example/ --data @/does/not/exist",
    "jobs create http://e.example/ -H nocolon",
    "jobs create http://e.example/ -H a:1 -H A:2",
    "jobs create http://e.example/ -l a=1 -l a=2",
    "jobs create http://e.example/ -l a -l a=2",
    "jobs create http://e.example/ --delay 1s --at 2026-11-24T13:00:00Z",
    "jobs update j1",
    "jobs list --limit -1",
    "jobs import /does/not/exist",
    "schedules update s1",
    "schedules update s1 --data 1",
    "schedules delete s1",
    "jobs delete j1",
    "jobs delete-payload j1",
    "destinations set h",
    "destinations set h --rate fast",
    "destinations set h --reset all",
    "up --nodes 2",
    "serve",
    "serve --data-dir x --listen 7070",
    "up --retention never",
    "up --destination-ports 0",
    "listen --status 99",
    "completion tcsh",
]


@pytest.mark.parametrize("line", USAGE_ERRORS)
def test_wrong_usage_exits_with_2_and_one_line(server: ScriptedServer, run: Run, line: str) -> None:
    code, out, err = run(*line.split(" "))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert server.asked == []
    for more in (["--json"], ["-o", "json"]):
        code, out, _ = run(*line.split(" "), *more)
        assert code == 2
        assert json.loads(out)["code"] == "invalid_usage"
        assert json.loads(out)["detail"]


HYPHENS: list[tuple[tuple[str, ...], str]] = [
    *(((f"jobs {verb}", "-x2"), "/jobs/-x2") for verb in ("get", "attempts", "cancel", "retry", "run")),
    (("jobs update", "-x2", "--to", "http://e.example/"), "/jobs/-x2"),
    (("jobs list", "--label", "-x2"), "/jobs?label=-x2"),
    *(((f"schedules {verb}", "-x2"), "/schedules/-x2") for verb in ("get", "pause", "resume", "run")),
    (("schedules delete", "-x2", "--yes"), "/schedules/-x2"),
    (("schedules update", "-x2", "--cron", "-1 * * * *"), "/schedules/-x2"),
    (("schedules preview", "-1 * * * *"), "/schedules/preview?cron=-1"),
    (("schedules create", "-1 * * * *", "http://e.example/"), "/schedules"),
    (("destinations get", "-x2"), "/destinations/-x2"),
]


@pytest.mark.parametrize(("tokens", "path"), HYPHENS, ids=[tokens[0] for tokens, _ in HYPHENS])
@pytest.mark.parametrize("json_first", [True, False])
def test_what_begins_with_a_hyphen_is_no_option(
    server: ScriptedServer, run: Run, tokens: tuple[str, ...], path: str, json_first: bool
) -> None:
    command, *rest = tokens
    code, out, err = run(*command.split(), *(["--json", *rest] if json_first else [*rest, "--json"]))
    assert (code, err) == (0, "")
    json.loads(out)
    assert server.asked[0].path.startswith(path)


def test_each_positional_argument_may_begin_with_a_hyphen() -> None:
    refused = [name for name, argument in positional_arguments(app.app) if not argument.parameter.allow_leading_hyphen]
    choices = ["cluster mode mode", "completion shell", "config check what", "config show what", "doctor what"]
    assert sorted(refused) == choices, "a choice of words"


def positional_arguments(root: App, *path: str) -> Iterator[tuple[str, Argument]]:
    for name in root:
        if not name.startswith("-"):
            yield from positional_arguments(root[name], *path, name)
    if path and root.default_command:
        for argument in root.assemble_argument_collection():
            if argument.field_info.kind is not argument.field_info.KEYWORD_ONLY and len(argument.keys) == 0:
                yield f"{' '.join(path)} {argument.field_info.name}", argument


def test_ids_keys_headers_and_labels_of_a_new_job_may_begin_with_a_hyphen(server: ScriptedServer, run: Run) -> None:
    options = ("--id", "-i", "--key", "-k", "-l", "-l=1", "-H", "-x: 1")
    assert run("jobs", "create", "http://e.example/", *options)[0] == 0
    asked = server.asked[0]
    assert asked.headers["idempotency-key"] == "-k"
    sent = json.loads(asked.body)
    assert (sent["id"], sent["labels"], sent["headers"]) == ("-i", {"-l": "1"}, {"-x": "1"})


def test_spaces_behind_the_commas_of_a_list_do_not_matter(server: ScriptedServer, run: Run) -> None:
    assert run("jobs", "create", "http://e.example/", "--retry-schedule", "1s, 2s ,3")[0] == 0
    assert json.loads(server.asked[0].body)["retry"]["schedule"] == ["1s", "2s", 3]
    assert inputs.ports("443, 8443") == {443, 8443}


def test_a_label_or_a_header_that_is_given_twice_is_named(run: Run) -> None:
    assert "the label a is given twice" in run("jobs", "create", "http://e.example/", "-l", "a=1", "-l", "a=2")[2]
    assert "the header A is given twice" in run("jobs", "create", "http://e.example/", "-H", "a:1", "-H", "A:2")[2]


@pytest.mark.parametrize("verb", ["update", "retry"])
def test_the_secret_of_a_job_can_be_taken_away(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("HOOKLINE_JOB_SECRET", "whsec_" + "a" * 32)
    assert run("jobs", verb, "j1", "--no-secret")[0] == 0
    assert json.loads(server.asked[0].body) == {"secret": None}


def test_an_export_leaves_out_what_has_gone_meanwhile_and_says_so(server: ScriptedServer, run: Run) -> None:
    jobs = {name: served.job(name, state="dead") for name in ("there", "gone", "retried", "away")}
    page = {"data": list(jobs.values()), "next_cursor": None}
    replies = {
        "/jobs/there": Answer(200, jobs["there"]),
        "/jobs/gone": problem(404, "job_not_found", "none"),
        "/jobs/retried": Answer(200, jobs["retried"] | {"state": "pending"}),
        "/jobs/away": problem(503, "cluster_unavailable", "c1 is away"),
    }
    server.script = lambda asked: replies.get(asked.path, Answer(200, page))
    code, out, err = run("jobs", "export", "--state", "dead", "--http-timeout", "1")
    assert (code, [json.loads(line)["id"] for line in out.splitlines()]) == (1, ["there"])
    assert err.splitlines() == [
        "exported 1 job",
        "warning: 2 jobs left out: they went or changed while the export ran",
        "warning: 1 job could not be read: missing here",
    ]


def test_an_export_that_ends_early_leaves_no_half_file(server: ScriptedServer, run: Run, tmp_path: Path) -> None:
    pages = {
        "/jobs?limit=1000": Answer(200, {"data": [served.job("a")], "next_cursor": "2"}),
        "/jobs?limit=1000&cursor=2": problem(400, "invalid_cursor", "no such page"),
    }
    server.script = lambda asked: pages.get(asked.path, Answer(200, served.job("a")))
    code, out, err = run("jobs", "export", str(tmp_path / "jobs.jsonl"))
    assert (code, out, list(tmp_path.iterdir())) == (1, "", [])
    assert err.startswith("ended early, after 1 job; start it again\nerror: no such page\n")


@pytest.mark.parametrize("file", ["/does/not/exist/jobs", "/", ""])
def test_an_export_that_cannot_be_written_is_refused(server: ScriptedServer, run: Run, file: str) -> None:
    code, out, err = run("jobs", "export", file)
    assert (code, out) == (2, "")
    assert "cannot be written" in err


@pytest.mark.parametrize("payload", ['{"price":1.10,"n":1e400,"id":' + "7" * 5_000 + "}", "1.0", '"\\u00e4"', "[]"])
def test_what_the_service_said_is_printed_as_it_said_it(server: ScriptedServer, run: Run, payload: str) -> None:
    job = json.dumps(served.job(payload="@")).replace('"@"', payload)
    schedule = json.dumps(served.schedule(job={"url": "http://e.example/", "payload": "@"})).replace('"@"', payload)
    server.script = lambda asked: Answer(200, text=job if asked.path.startswith("/jobs") else schedule)
    for command, said in ((("jobs", "get", "j1"), job), (("schedules", "get", "s1"), schedule)):
        code, out, _ = run(*command, "--json")
        assert code == 0
        assert "".join(payload.split()) in "".join(out.split())
        for time in re.findall(r'"[a-z_]+_at": "[^"]+"', said):
            assert time in out
        assert run(*command)[0] == 0
