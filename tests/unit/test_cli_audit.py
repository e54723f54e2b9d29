"""``hookline audit``: the table, the document, and what comes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from hookline.cli import app
from tests.scripted_server import Answer, ScriptedServer, scripted_server


def row(number: int, **fields: Any) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": f"r{number}",
        "at": f"2026-11-28T09:00:0{number}.000Z",
        "cluster": "c0",
        "action": "putDestination",
    }
    told |= {"target": "https://shop.example:443", "actor": "k1", "actor_name": "operator", "tenant": "default"}
    told |= {"address": "10.0.0.5", "via": "", "summary": "paused", "outcome": "done", "code": "", "changed": 1}
    return told | {"trace": ""} | fields


def page(*rows: dict[str, Any], **fields: Any) -> Answer:
    return Answer(200, {"data": list(rows), "next_cursor": None} | fields)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


def test_the_newest_rows_are_a_table(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    refused = row(2, actor="", actor_name="", outcome="refused", code="forbidden", action="createKey")
    server.answers = [page(refused, row(1), incomplete=["c1"])]
    line = ["audit", "--action", "createKey", "--actor", "k1", "--after", "2026-11-28T09:00:00Z", "--url", server.url]
    assert app.run(line) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == ["TIME", "WHO", "ACTION", "TARGET", "OUTCOME", "CHANGED", "FROM", "CLUSTER", "SUMMARY"]
    assert lines[1].split()[1:3] == ["-", "createKey"]
    assert "refused forbidden" in lines[1]
    assert "operator" in lines[2]
    assert "c1 could not be reached" in captured.err
    asked = server.asked[0].path
    for part in ("action=createKey", "actor=k1", "after=2026-11-28T09%3A00%3A00", "limit=50"):
        assert part in asked


def test_all_rows_are_one_document(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [Answer(200, {"data": [row(2)], "next_cursor": "x"}), page(row(1))]
    assert app.run(["audit", "--limit", "0", "--json", "--url", server.url]) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)["data"]] == ["r2", "r1"]


@pytest.mark.parametrize("as_json", [False, True])
def test_what_comes_is_shown_once(
    server: ScriptedServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    as_json: bool,
) -> None:
    server.answers = [page(row(2), row(1)), page(row(3), row(2), row(1))]
    rests: list[float] = []

    def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("hookline.cli.audit.time.sleep", rest)
    assert app.run(["audit", "--follow", *(["--json"] if as_json else []), "--url", server.url]) == 130
    out = capsys.readouterr().out
    places = [out.index(f"2026-11-28T09:00:0{number}") for number in (1, 2, 3)]
    assert places == sorted(places)
    assert out.count("putDestination") == 3
    assert ("operator  10.0.0.5  putDestination" in out) is not as_json
