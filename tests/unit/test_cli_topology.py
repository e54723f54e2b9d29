"""``hookline topology``: files that are read, changes that are foreseen, and what a proxy answers."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from hookline.cli import app
from hookline.protocol.topology import Move, Topology, parse_topology_file
from hookline.protocol.topology_change import placement_of
from tests.scripted_proxy import BALANCED, PLAN, ScriptedProxy, file_of, moving, topology
from tests.scripted_server import Answer, Asked, ScriptedServer, scripted_server


def test_a_file_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = file_of(tmp_path, topology(2))
    assert app.run(["topology", "validate", str(file)]) == 0
    assert "c1" in capsys.readouterr().out
    file.write_text(file.read_text().replace("shard = 1", "shard = 0"))
    assert app.run(["topology", "validate", str(file)]) == 1
    assert "the shard 0 is there 2 times" in capsys.readouterr().err
    assert app.run(["topology", "validate", str(tmp_path / "none.toml")]) == 1


@pytest.mark.parametrize("command", ["validate", "apply", "plan"])
def test_a_file_may_come_from_stdin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    text = file_of(tmp_path, topology(2)).read_bytes().replace(b"shard = 1", b"shard = 0")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert app.run(["topology", command, "-"]) == 1
    assert "the shard 0 is there 2 times" in capsys.readouterr().err


def test_a_password_in_a_nodes_url_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "t.toml"
    file.write_text('epoch = 1\n[[cluster]]\nname = "c0"\nshard = 0\nnodes = ["http://u:geheim@127.0.0.1:7070"]\n')
    assert app.run(["topology", "validate", str(file)]) == 1
    err = capsys.readouterr().err
    assert "***@127.0.0.1" in err
    assert "geheim" not in err


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


def rows_of(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


def run(server: ScriptedServer, *words: object) -> int:
    return app.run(["topology", *map(str, words), "--url", server.url])


# --- plan -------------------------------------------------------------------------------------------------------


def test_a_plan_says_what_moves_and_for_how_long(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = ScriptedProxy(server, topology(1))
    file = file_of(tmp_path, topology(2, epoch=2))
    assert run(server, "plan", file, "--rate", 50, "--with-finished") == 0
    out, err = capsys.readouterr()
    assert ["c0", "c1", "50.0%", "12,000", "3", "4,194,304"] in rows_of(out)
    assert "12,000 jobs (4 MiB) and 3 schedules move, in about 6s: each cluster gives away 2,000 jobs a second" in out
    assert "assumed" in out
    assert "On apply: it is added." in out
    assert 'With strategy = "ring"' in out
    assert err == ""
    sent = proxy.asked("POST /topology/plan").json
    assert (sent["epoch"], sent["move"]) == (2, {"rate": 50, "with_finished": True})


def test_a_plan_that_is_refused_says_why(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = ScriptedProxy(server, topology(1))
    proxy.plan = PLAN | {"problems": [{"code": "invalid_topology", "detail": "so it is"}], "unreachable": ["c7"]}
    file = file_of(tmp_path, topology(2, epoch=2))
    assert run(server, "plan", file) == 1
    out, err = capsys.readouterr()
    assert "c7 does not answer" in out
    assert err == "It would be refused: so it is (invalid_topology)\n"
    assert run(server, "plan", file, "--json") == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["detail"] == "so it is"


# --- apply ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reply", "code"), [("ok", 0), ("it cannot be reached", 1)])
def test_apply_says_who_has_it(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], reply: str, code: int
) -> None:
    proxy = ScriptedProxy(server, topology(1), told={"c0": reply})
    assert run(server, "apply", file_of(tmp_path, topology(1, epoch=2))) == code
    assert proxy.asked("PUT /topology").json["epoch"] == 2
    out = capsys.readouterr().out
    assert reply in out
    assert "it was added" in out


def test_a_file_without_an_epoch_is_the_next_one(server: ScriptedServer, tmp_path: Path) -> None:
    proxy = ScriptedProxy(server, topology(2, epoch=7))
    file = file_of(tmp_path, topology(3))
    file.write_text(file.read_text().replace("epoch = 1\n", ""))
    assert app.run(["topology", "validate", str(file)]) == 0
    assert run(server, "plan", file) == 0
    assert proxy.asked("POST /topology/plan").json["epoch"] == 8
    assert run(server, "apply", file, "--no-wait") == 0
    assert proxy.asked("PUT /topology").json["epoch"] == 8
    server.asked.clear()
    proxy.has = topology(3, epoch=8)
    assert run(server, "apply", file, "--no-wait") == 0
    assert proxy.asked("PUT /topology").json["epoch"] == 8, "the same again is the same"


def test_a_file_of_the_change_that_is_under_way_does_not_end_it(server: ScriptedServer, tmp_path: Path) -> None:
    before = placement_of(topology(2))
    change = replace(topology(3, epoch=8), previous=before, move=Move(paused=True), retired=(9,))
    proxy = ScriptedProxy(server, change)
    file = file_of(tmp_path, topology(3))
    file.write_text(file.read_text().replace("epoch = 1\n", ""))
    assert run(server, "apply", file, "--no-wait") == 0
    assert msgspec.convert(proxy.asked("PUT /topology").json, Topology) == change
    server.asked.clear()
    assert run(server, "apply", file, "--no-wait", "--rate", 5) == 0
    sent = msgspec.convert(proxy.asked("PUT /topology").json, Topology)
    assert sent == replace(change, epoch=9, move=Move(paused=True, rate=5))


@pytest.mark.usefixtures("no_pause")
def test_a_change_that_somebody_takes_back_meanwhile_is_not_done(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = ScriptedProxy(server, topology(2))
    proxy.statuses = [moving(4, 6), moving(4, 6), {"epoch": 4, "state": "stable"}]

    def answered(asked: Asked) -> Answer:
        found = proxy.answer(asked)
        if found.json["epoch"] == 4:
            proxy.has = topology(2, epoch=4)
        return found

    server.script = answered
    assert run(server, "apply", file_of(tmp_path, topology(1, epoch=2))) == 1
    out, err = capsys.readouterr()
    assert "epoch 4 is another topology by now" in err
    assert "switched off" not in out


def test_apply_can_be_forced(server: ScriptedServer, tmp_path: Path) -> None:
    proxy = ScriptedProxy(server, topology(1))
    assert run(server, "apply", file_of(tmp_path, topology(1, epoch=2)), "--force") == 0
    assert proxy.asked("PUT /topology?force=true").json["epoch"] == 2


def test_the_ids_of_clusters_that_can_be_reached_are_written_into_it(server: ScriptedServer, tmp_path: Path) -> None:
    given = "b" * 32
    file = file_of(tmp_path, topology(3, epoch=2))
    file.write_text(file.read_text().replace("shard = 2", f'shard = 2\nid = "{given}"'))
    proxy = ScriptedProxy(server, topology(1))
    assert run(server, "apply", file, "--with-ids") == 0
    sent = proxy.asked("PUT /topology").json["cluster"]
    assert [entry.get("id") for entry in sent] == ["a" * 32, None, given]


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hookline.cli.move_view.time.sleep", lambda _seconds: None)


@pytest.mark.usefixtures("no_pause")
def test_apply_shows_how_it_goes_until_it_has_ended(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = ScriptedProxy(server, topology(2))
    proxy.statuses = [
        moving(0, 10, counting=True),
        moving(0, 10, counting=True),
        moving(4, 6, seconds_left=3),
        moving(4, 6, seconds_left=3),
        moving(9, 1, waits_for=["c0: a job runs"]),
        moving(9, 1, waits_for=["c0: a job runs"]),
        {"epoch": 3, "state": "stable", "longest_freeze_ms": 31},
        {"epoch": 3, "state": "stable", "can_be_switched_off": ["c1"]},
    ]
    assert run(server, "apply", file_of(tmp_path, topology(1, epoch=2))) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "moving: 0 jobs and 0 schedules moved, counting what is left, 20 jobs/s",
        "moving: 4 of 10 jobs and 0 of 0 schedules moved, 20 jobs/s, about 3s to go",
        "moving: 9 of 10 jobs and 0 of 0 schedules moved, 20 jobs/s; c0: a job runs",
    ]
    assert "epoch 3: the change has ended. 9 jobs and 0 schedules have moved" in out
    assert "nothing stood still for more than 31 ms" in out
    assert "cluster c1 can be switched off" in out


@pytest.mark.usefixtures("no_pause")
def test_on_a_terminal_a_bar_shows_it(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    proxy = ScriptedProxy(server, topology(1))
    proxy.statuses = [moving(0, 10), moving(4, 6), {"epoch": 3, "state": "stable"}]
    assert run(server, "apply", file_of(tmp_path, topology(2, epoch=2))) == 0
    out, err = capsys.readouterr()
    assert "moving" in err
    assert "4 of 10 jobs" in err
    assert "the change has ended" in out


@pytest.mark.usefixtures("no_pause")
def test_a_proxy_that_is_away_for_a_while_is_waited_for(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = ScriptedProxy(server, topology(1))
    proxy.statuses = [moving(4, 6)]
    looks = 0

    def answered(asked: Asked) -> Answer:
        nonlocal looks
        if asked.path == "/topology/status":
            looks += 1
            if 3 <= looks < 40:
                return Answer(503, {"code": "shutting_down", "detail": "it stops"})
            if looks == 40:
                proxy.statuses = [{"epoch": 3, "state": "stable"}]
        return proxy.answer(asked)

    server.script = answered
    assert run(server, "apply", file_of(tmp_path, topology(2, epoch=2))) == 0
    assert "the change has ended" in capsys.readouterr().out


@pytest.mark.usefixtures("no_pause")
def test_apply_as_json_waits_and_says_nothing_else(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = ScriptedProxy(server, topology(1))
    proxy.statuses = [moving(0, 10), moving(4, 6), {"epoch": 3, "state": "stable"}]
    assert run(server, "apply", file_of(tmp_path, topology(2, epoch=2)), "--json") == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads(out)
    assert (found["epoch"], found["clusters"], found["status"]["state"]) == (2, {"c0": "ok"}, "stable")


def test_ctrl_c_leaves_it_running_and_says_so(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hookline.cli.move_view.time.sleep", interrupted)
    proxy = ScriptedProxy(server, topology(1))
    proxy.statuses = [moving(0, 10)]
    assert run(server, "apply", file_of(tmp_path, topology(2, epoch=2))) == 130
    assert "The change goes on without this command" in capsys.readouterr().err
    assert {one.method for one in server.asked} == {"GET", "PUT"}, "nothing was taken back"


# --- a change that is under way ---------------------------------------------------------------------------------


def test_a_change_is_looked_at_and_steered(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    proxy = ScriptedProxy(server, topology(1))
    proxy.statuses = [moving(4, 6, unreachable=["c2"], waits_for=["c0: a job runs"])]
    for words in (["status"], ["pause"], ["resume"], ["resume", "--rate", "7"], ["resume", "--full-speed"], ["abort"]):
        assert run(server, *words) == 0
        out = capsys.readouterr().out
        assert "epoch 2, moving: 4 of 10 jobs" in out
        assert "waits: c0: a job runs" in out
        assert "c2 does not say how far it is" in out
        assert run(server, *words, "--json") == 0
        assert json.loads(capsys.readouterr().out)["pairs"][0]["from"] == "c0"
    bodies = [one.body for one in server.asked if one.path == "/topology/resume"]
    assert bodies == [b"{}", b"{}", b'{"rate":7}', b'{"rate":7}', b'{"rate":null}', b'{"rate":null}']
    assert run(server, "resume", "--rate", 7, "--full-speed") == 2


def test_weights_are_proposed_and_written(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = ScriptedProxy(server, topology(1))
    file = tmp_path / "balanced.toml"
    assert run(server, "balance", "--seconds", 2, "--out", file) == 0
    assert [one.path for one in proxy.server.asked] == ["/topology/balance?seconds=2"]
    out = capsys.readouterr().out
    assert ["c0", "1", "2", "9.0", "6.0", "9.0", "3.0", "12", "ms", "4", "of", "100", "7"] in rows_of(out)
    assert "25.0% of the ids" in out
    assert parse_topology_file(file.read_text(), epoch=2) == BALANCED
    assert run(server, "balance", "--out", file) == 2, "it exists"


def test_a_node_is_no_proxy(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [Answer(404, {"code": "route_not_found", "detail": "no such call"})]
    assert run(server, "status") == 1
    assert "is not a proxy" in capsys.readouterr().err


def test_a_route_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    found = {"id": "j1", "rule": "modulo", "hash": 5, "cluster": "c1", "shard": 1, "steps": ["because it is so"]}
    with scripted_server() as server:
        server.answers = [Answer(200, found)]
        assert app.run(["topology", "route", "j1", "--url", server.url]) == 0
    out = capsys.readouterr().out
    assert "1. because it is so" in out
    assert "j1 is at home in c1 (shard 1)" in out
