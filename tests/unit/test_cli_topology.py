"""``hookline topology``: files that are read, changes that are foreseen, and what a proxy answers."""

import io
import json
from pathlib import Path

import msgspec
import pytest

from hookline.cli import app
from hookline.cli.topology import moving
from hookline.protocol.http import Cluster, ClusterList
from hookline.protocol.topology import ClusterEntry, Strategy, Topology
from tests.scripted_server import Answer, scripted_server


def topology(count: int, strategy: Strategy = "modulo", epoch: int = 1) -> Topology:
    clusters = tuple(ClusterEntry(name=f"c{n}", shard=n, nodes=(f"http://10.0.0.{n}:7070",)) for n in range(count))
    return Topology(epoch=epoch, strategy=strategy, clusters=clusters)


def file_of(path: Path, value: Topology) -> Path:
    text = f'epoch = {value.epoch}\nstrategy = "{value.strategy}"\n'
    for entry in value.clusters:
        text += f'[[cluster]]\nname = "{entry.name}"\nshard = {entry.shard}\nnodes = ["{entry.nodes[0]}"]\n'
    file = path / "topology.toml"
    file.write_text(text)
    return file


def answer(value: object) -> Answer:
    return Answer(200, msgspec.to_builtins(value))


def test_a_ring_moves_the_share_of_the_new_cluster_and_only_to_it() -> None:
    moves = moving(topology(3, "ring"), topology(4, "ring", 2))
    assert {after for _, after in moves} == {"c3"}
    assert sum(moves.values()) == pytest.approx(0.25, abs=0.05)


def test_modulo_moves_most() -> None:
    assert sum(moving(topology(3), topology(4, epoch=2)).values()) == pytest.approx(0.75, abs=0.05)


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


def test_a_plan_compares_with_what_the_proxy_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = file_of(tmp_path, topology(4, epoch=2))
    with scripted_server() as server:
        server.answers = [answer(topology(3))]
        assert app.run(["topology", "plan", str(file), "--url", server.url]) == 0
    out, err = capsys.readouterr()
    assert "75" in out
    assert "ring" in out
    assert "`previous` was added" in out
    assert "epoch 3" in out
    assert err == ""


@pytest.mark.parametrize(("reply", "code"), [("ok", 0), ("it cannot be reached", 1)])
def test_apply_says_who_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], reply: str, code: int) -> None:
    file = file_of(tmp_path, topology(1, epoch=2))
    with scripted_server() as server:
        server.answers = [Answer(200, {"epoch": 2, "clusters": {"c0": reply}, "notes": ["`previous` was added"]})]
        assert app.run(["topology", "apply", str(file), "--url", server.url]) == code
        assert json.loads(server.asked[0].body)["epoch"] == 2
        assert server.asked[0].path == "/topology"
    out = capsys.readouterr().out
    assert reply in out
    assert "`previous` was added" in out


def test_apply_can_be_forced(tmp_path: Path) -> None:
    with scripted_server() as server:
        server.answers = [Answer(200, {"epoch": 2, "clusters": {"c0": "ok"}})]
        assert (
            app.run(["topology", "apply", str(file_of(tmp_path, topology(1, epoch=2))), "--force", "--url", server.url])
            == 0
        )
        assert server.asked[0].path == "/topology?force=true"


def test_the_ids_of_clusters_that_can_be_reached_are_written_into_it(tmp_path: Path) -> None:
    born, given = "a" * 32, "b" * 32
    file = file_of(tmp_path, topology(3, epoch=2))
    file.write_text(file.read_text().replace("shard = 2", f'shard = 2\nid = "{given}"'))
    clusters = [Cluster(name, shard, 1, "n1", [], id=born) for shard, name in ((0, "c0"), (2, "c2"))]
    with scripted_server() as server:
        server.answers = [answer(ClusterList(clusters)), Answer(200, {"epoch": 2, "clusters": {"c0": "ok"}})]
        assert app.run(["topology", "apply", str(file), "--with-ids", "--url", server.url]) == 0
        sent = json.loads(server.asked[1].body)["cluster"]
    assert [entry.get("id") for entry in sent] == [born, None, given]


def test_a_route_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    found = {"id": "j1", "rule": "modulo", "hash": 5, "cluster": "c1", "shard": 1, "steps": ["because it is so"]}
    with scripted_server() as server:
        server.answers = [Answer(200, found)]
        assert app.run(["topology", "route", "j1", "--url", server.url]) == 0
    out = capsys.readouterr().out
    assert "1. because it is so" in out
    assert "j1 is at home in c1 (shard 1)" in out
