"""``jobs export`` and ``jobs import``: what comes out of one Hookline goes into another."""

import json
from pathlib import Path
from typing import Any

import pytest

from hookline.cli import app
from hookline.protocol.jobs import Outcome
from tests.integration.conftest import StartNode
from tests.integration.node_under_test import NodeUnderTest, node_config
from tests.integration.proxy_under_test import JOB, Clusters

URL = "https://example.com/hook"
JOBS: list[dict[str, Any]] = [
    {"id": "plain", "url": URL, "delay": "1h"},
    {"id": "json", "url": URL, "payload": {"a": [1.0, "ü\n"], "b": {}}, "run_at": "2030-01-01T00:00:00Z"},
    {"id": "empty", "url": URL, "payload": {}, "run_at": "2030-01-01T00:00:00Z"},
    {"id": "null", "url": URL, "payload": None, "run_at": "2030-01-01T00:00:00Z"},
    {"id": "bytes", "url": URL, "body_base64": "/wAB", "method": "PUT", "run_at": "2030-01-01T00:00:00Z"},
    {"id": "names", "url": URL, "labels": ["b", "a=1"], "headers": {"X-A": "1"}, "redact": ["x-b"], "delay": "1h"},
    {"id": "pairs", "url": URL, "labels": {"tenant": "a1"}, "priority": -7, "timeout": "7s", "delay": "1h"},
    {"id": "once", "url": URL, "guarantee": "at_most_once", "delay": "1h"},
    {"id": "waits", "url": URL, "retry": {"max_attempts": 3, "initial": "7s", "budget": "1h"}, "delay": "1h"},
    {"id": "list", "url": URL, "retry": {"schedule": ["1s", "1m"]}, "delay": "1h"},
    {"id": "on", "url": URL, "retry": {"on": [404, "5xx", "timeout"]}, "delay": "1h"},
    {"id": "not-on", "url": URL, "retry": {"not_on": ["4xx", 503]}, "delay": "1h"},
    {"id": "never", "url": URL, "retry": {"on": []}, "delay": "1h"},
]


def here(node: NodeUnderTest) -> list[str]:
    return ["--url", f"http://127.0.0.1:{node.port}"]


def test_what_is_exported_is_imported_as_the_same_jobs(
    node: NodeUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [node.post("/jobs", job).json for job in JOBS]
    file = tmp_path / "jobs.jsonl"
    assert app.run(["jobs", "export", str(file), *here(node)]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"exported {len(JOBS)} jobs\n")
    assert [json.loads(line)["id"] for line in file.read_bytes().splitlines()] == [job["id"] for job in JOBS[::-1]]
    with NodeUnderTest(node_config(tmp_path / "other", shard=3, cluster="c3"), None).running() as other:
        for told in (f"created {len(JOBS)}, existed already 0", f"created 0, existed already {len(JOBS)}"):
            assert app.run(["jobs", "import", str(file), *here(other)]) == 0
            assert capsys.readouterr().out == f"{told}, refused 0\n"
        for job in made:
            found = other.get(f"/jobs/{job['id']}").json
            if job["id"] == "not-on":  # the same policy, said more briefly
                assert found["retry"].pop("on") == [word for word in job["retry"].pop("on") if word != "4xx"]
            assert {**found, "created_at": 0} == {**job, "created_at": 0}


def test_a_job_whose_payload_is_hidden_is_left_out(
    node: NodeUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node.create(id="hidden", payload={"a": 1}, redact=["payload"], delay="1h")
    node.create(id="nothing", redact=["payload"], delay="1h")
    file = tmp_path / "jobs.jsonl"
    assert app.run(["jobs", "export", str(file), *here(node)]) == 0
    assert [json.loads(line)["id"] for line in file.read_bytes().splitlines()] == ["nothing"]
    assert "1 job left out: their payload is not shown" in capsys.readouterr().err


def test_a_dead_job_keeps_its_minted_id_and_what_is_not_shown_is_counted(
    node: NodeUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = node.create(headers={"Authorization": "Bearer t0p", "X-Tenant": "a"}, secret="whsec_" + "c2VjcmV0" * 4)
    node.create(delay="1h")
    node.run(dead["id"], Outcome.PERMANENT_FAILURE)
    assert app.run(["jobs", "export", "--state", "dead", *here(node)]) == 0
    out, err = capsys.readouterr()
    line = json.loads(out)
    assert (line["id"], line["headers"]) == (dead["id"], {"X-Tenant": "a"})
    assert "secret" not in line
    assert err.splitlines() == [
        "exported 1 job",
        "warning: 1 header left out, since Hookline does not show what they hold",
        "warning: 1 of them signed: secrets are never given away, so a job's own is missing",
    ]
    file = tmp_path / "dead"
    assert app.run(["jobs", "export", str(file), "--state=dead", "--json", *here(node)]) == 0
    assert json.loads(capsys.readouterr().out) == {"exported": 1, "headers_left_out": 1, "signed": 1}
    assert app.run(["jobs", "export", str(file), *here(node)]) == 2
    assert "it exists" in capsys.readouterr().err
    assert json.loads(file.read_bytes())["id"] == dead["id"]


def test_a_job_whose_payload_was_deleted_is_left_out_and_counted(
    node: NodeUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    done = node.create(payload={"name": "Ada"})
    node.run(done["id"], Outcome.SUCCESS)
    assert node.call("DELETE", f"/jobs/{done['id']}/payload").status == 200
    assert app.run(["jobs", "export", "--state", "succeeded", *here(node)]) == 0
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", ["exported 0 jobs", "warning: 1 job left out: what they sent was deleted"])


def test_a_payload_of_many_lines_becomes_one(
    start_node: StartNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with start_node() as node:
        assert node.call("POST", "/jobs", b'{"url": "' + URL.encode() + b'", "payload": {\r\n"a":\n1.0}}').status == 201
        assert app.run(["jobs", "export", *here(node)]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert '"payload":{  "a": 1.0}' in out


def test_a_filter_that_is_refused_leaves_no_file(
    node: NodeUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["jobs", "export", str(tmp_path / "out"), "--state", "rotten", *here(node)]) == 1
    assert "field: state" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("out")] == []
    assert app.run(["jobs", "export", "--json", *here(node)]) == 2


def test_through_a_proxy_a_missing_cluster_is_named(
    three: Clusters, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    door = three.start_proxy()
    for number in range(9):
        assert door.post("/jobs", JOB | {"id": f"j{number}"}).status == 201
    url = ["--url", f"http://127.0.0.1:{door.port}"]
    capsys.readouterr()
    assert app.run(["jobs", "export", *url]) == 0
    whole, _ = capsys.readouterr()
    assert sorted(json.loads(line)["id"] for line in whole.splitlines()) == [f"j{number}" for number in range(9)]
    three.stop("c1")
    assert app.run(["jobs", "export", *url]) == 1
    part, err = capsys.readouterr()
    assert 0 < len(part.splitlines()) < 9
    assert "warning: c1 could not be reached" in err


# --- to be kept -------------------------------------------------------------------------------------------------------


def archived(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def test_jobs_are_kept_as_they_are(node: NodeUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node.create(id="done", payload={"a": 1})
    node.run("done")
    node.create(id="waits", delay="1h")
    file = tmp_path / "kept.jsonl"
    assert app.run(["export", str(file), "--attempts", *here(node)]) == 0
    assert capsys.readouterr().err == "exported 2 jobs\n"
    waits, done = archived(file)
    assert waits["job"] == node.get("/jobs/waits").json
    assert (waits["job"]["state"], waits["attempts"]) == ("pending", [])
    assert done["job"] == node.get("/jobs/done").json
    assert done["attempts"] == node.get("/jobs/done/attempts").json["data"]
    brief = tmp_path / "brief.jsonl"
    assert app.run(["export", str(brief), "--state", "succeeded", "--json", *here(node)]) == 0
    assert json.loads(capsys.readouterr().out) == {"exported": 1}
    assert archived(brief) == [{"job": done["job"]}]
    assert app.run(["export", str(brief), *here(node)]) == 2, "it exists"


def test_what_is_kept_of_a_cluster_that_is_away_is_said(
    tmp_path: Path, three: Clusters, capsys: pytest.CaptureFixture[str]
) -> None:
    door = three.start_proxy(list_timeout_ms=200)
    three.stop("c1")
    assert app.run(["export", str(tmp_path / "kept.jsonl"), "--url", f"http://127.0.0.1:{door.port}"]) == 1
    assert "c1 could not be reached" in capsys.readouterr().err
