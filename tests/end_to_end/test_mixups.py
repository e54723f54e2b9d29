"""Directories swapped, emptied and set back, etcd lost or set back, rows changed: nothing is lost, doubled or accepted.

Each case is a row of docs/explanation/identity-and-history.md.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.chaos.cluster import AWAY, ClusterNode
from tests.chaos.directories import (
    copy_etcd,
    copy_state,
    edit,
    empty_etcd,
    flip,
    lose_disk,
    put_state,
    set_etcd_back,
)
from tests.end_to_end.mixed_up import LoneNode, hookline, mixed_up
from tests.end_to_end.processes import CLOCK, journal_receiver, until
from tests.etcd_members import EtcdMembers, free_ports
from tests.etcd_parts import disable_users, enable_users

CHANGE_PAYLOAD = "UPDATE specs SET spec = CAST(replace(spec, '100.00', '900.00') AS BLOB)"


def foreign_state(directory: Path, jobs: int) -> Path:
    """The data directory of another cluster that is called c0 too."""
    node = LoneNode(directory / "foreign")
    node.data_dir.mkdir()
    node.start()
    for _ in range(jobs):
        assert node.call("POST", "/jobs", {"url": "http://127.0.0.1:9/", "delay": "1h"})[0] == 201
    assert node.stop() == 0
    return node.data_dir


@pytest.mark.parametrize("jobs", [2, 60], ids=["behind", "ahead"])
def test_a_foreign_state_is_refused_and_changes_nothing(tmp_path: Path, jobs: int) -> None:
    foreign = foreign_state(tmp_path, jobs)
    with mixed_up(tmp_path / "c") as mixed:
        mixed.delivered(mixed.create(20))
        mixed.level()
        victim = next(node for node in mixed.nodes if node is not mixed.cluster.leader())
        victim.kill()
        own = tmp_path / "own"
        copy_state(victim, own)
        put_state(foreign, victim)
        mixed.spawn(victim)
        mixed.halted(victim, "another cluster", "own directory")
        for node in mixed.nodes:  # the others are gone for a moment: it must not lead
            if node is not victim:
                node.kill()
        mixed.nothing_is_accepted()
        mixed.spawn(*[node for node in mixed.nodes if not node.is_running])
        for node in mixed.nodes:
            if node is not victim:
                node.wait_until_ready()
        mixed.delivered(mixed.create(20, node=next(node for node in mixed.nodes if node is not victim)))
        view = next(node for node in mixed.nodes if node is not victim).call("GET", "/cluster")[1]
        assert next(it for it in view["nodes"] if it["name"] == victim.name)["role"] == "halted"
        victim.kill()
        put_state(own, victim)
        victim.start()
        mixed.all_are_there()


@pytest.mark.parametrize(
    ("running", "empty"), [(True, False), (False, True)], ids=["nodes run", "nodes are restarted, a disk is lost too"]
)
def test_an_emptied_etcd_accepts_nothing_until_a_person_decides(tmp_path: Path, running: bool, empty: bool) -> None:
    with mixed_up(tmp_path) as mixed:
        mixed.delivered(mixed.create(30))
        mixed.create(5, delay="1h")
        mixed.level()
        if not running or empty:
            mixed.stop_nodes()
        empty_etcd(mixed.cluster)
        first, *others = mixed.nodes
        if empty:
            lose_disk(first)
            mixed.spawn(first)
            mixed.halted(first, "no cluster c0")
            mixed.spawn(*others)
        elif not running:
            mixed.spawn()
        for node in others:
            mixed.halted(node, "etcd was emptied")
        mixed.nothing_is_accepted()
        assert hookline("cluster", "init", "--etcd", ",".join(mixed.cluster.etcd.endpoints)) == 1, "it is not new"
        mixed.recover(mixed.newest())
        for node in mixed.nodes:
            if empty or not running:
                node.wait_until_ready()
        mixed.cluster.wait_until_serving()
        mixed.delivered(mixed.create(10))
        mixed.all_are_there()


@pytest.mark.parametrize("case", ["nodes run", "nodes are restarted", "an old node comes first"])
def test_an_etcd_that_was_set_back_accepts_nothing_until_a_person_decides(tmp_path: Path, case: str) -> None:
    with mixed_up(tmp_path / "c") as mixed:
        mixed.delivered(mixed.create(20))
        mixed.level()
        old = next(node for node in mixed.nodes if node is not mixed.cluster.leader())
        if case == "an old node comes first":
            old.kill()
            mixed.create(3)
        copy_etcd(mixed.cluster, tmp_path / "copy")
        mixed.cluster.wait_until_serving()
        mixed.delivered(mixed.create(20))
        mixed.create(5, delay="1h")
        mixed.level()
        if case == "nodes are restarted":
            mixed.stop_nodes()
        set_etcd_back(mixed.cluster, tmp_path / "copy")
        if case != "nodes run":
            mixed.spawn(*[node for node in mixed.nodes if not node.is_running])
        for node in mixed.nodes:
            mixed.halted(node, "set back")
        mixed.nothing_is_accepted()
        mixed.recover(mixed.newest())
        mixed.cluster.wait_until_serving()
        mixed.delivered(mixed.create(10))
        mixed.all_are_there()


@pytest.mark.parametrize(
    ("what", "leads"),
    [
        ("rows are gone", True),
        ("rows are gone", False),
        ("a payload is changed", True),
        ("a byte is changed", False),
        ("a state is changed", True),
    ],
)
def test_a_state_whose_rows_were_changed_is_replaced_and_kept(tmp_path: Path, what: str, leads: bool) -> None:
    with mixed_up(tmp_path) as mixed:
        mixed.delivered(mixed.create(30))
        late = mixed.create(10, delay="1h")
        mixed.level()
        victim = next(node for node in mixed.nodes if node is not mixed.cluster.leader())
        assert victim.stop() == 0
        state = victim.data_dir / "state.db"
        if what == "rows are gone":
            assert edit(state, "DELETE FROM jobs WHERE seq > 5 AND seq < 20") == 14
        elif what == "a payload is changed":
            assert edit(state, CHANGE_PAYLOAD + " WHERE seq = 33") == 1
        elif what == "a state is changed":
            assert edit(state, "UPDATE jobs SET state = 2 WHERE seq = 33") == 1
        else:
            edit(state, "PRAGMA wal_checkpoint(TRUNCATE)")
            flip(state, b"100.00", b"900.00")
        if leads:
            others = [node for node in mixed.nodes if node is not victim]
            for node in others:
                node.kill()
            mixed.spawn(victim)
            mixed.spawn(*others)
        else:
            mixed.spawn(victim)
        mixed.cluster.wait_until_serving()
        mixed.all_are_there()
        (kept,) = victim.data_dir.glob("state.db.replaced-*[0-9]")  # and not its -wal
        assert victim.health()["kept_aside"] == [kept.name]
        assert victim.call("GET", f"/jobs/{late[0]}")[1]["payload"] == {"amount": "100.00"}


def test_restored_nodes_wait_for_the_one_whose_directory_was_left_empty(tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    with mixed_up(tmp_path / "c") as mixed:
        mixed.delivered(mixed.create(30))
        mixed.create(5, delay="1h")
        assert hookline("backup", "--out", str(backup), "--url", mixed.cluster.leader().url) == 0
        mixed.stop_nodes()
        empty_etcd(mixed.cluster)
        empty, *restored = mixed.nodes
        for node in mixed.nodes:
            lose_disk(node)
        for node in restored:
            assert hookline("restore", "--from", str(backup), "--data-dir", str(node.data_dir)) == 0
        mixed.spawn(empty)
        mixed.halted(empty, "no cluster c0")
        mixed.spawn(*restored)
        for node in restored:
            mixed.halted(node, "restored from a backup")
        mixed.nothing_is_accepted()
        mixed.recover(restored[0].name)
        for node in mixed.nodes:
            node.wait_until_ready()
        mixed.all_are_there()


def test_what_a_replaced_state_had_more_is_salvaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The operator chose the older state by mistake; the newer one was kept aside."""
    with mixed_up(tmp_path) as mixed:
        mixed.delivered(mixed.create(10))
        mixed.level()
        old = next(node for node in mixed.nodes if node is not mixed.cluster.leader())
        old.kill()
        lost = mixed.create(7, delay="1h")
        mixed.level()
        mixed.stop_nodes()
        empty_etcd(mixed.cluster)
        mixed.spawn()
        for node in mixed.nodes:
            mixed.halted(node)
        capsys.readouterr()
        with pytest.raises(AssertionError):
            mixed.recover(old.name)
        assert "has more" in capsys.readouterr().err
        old.kill()
        with pytest.raises(AssertionError):  # it may have come further, or lost its disk
            mixed.recover(old.name, "--force")
        assert "does not answer" in capsys.readouterr().err
        mixed.spawn(old)
        mixed.halted(old)
        mixed.recover(old.name, "--force")
        for node in mixed.nodes:
            node.wait_until_ready()
        mixed.cluster.wait_until_serving()
        newer = next(node for node in mixed.nodes if node is not old)
        (kept,) = newer.data_dir.glob("state.db.replaced-*[0-9]")
        url = mixed.cluster.leader().url
        capsys.readouterr()
        assert hookline("state", "show", str(kept), "--json") == 0
        (shown,) = json.loads(capsys.readouterr().out).values()
        assert shown["damage"] is None
        assert hookline("state", "salvage", str(kept), "--url", url, "--json") == 0
        assert sorted(json.loads(capsys.readouterr().out)["missing"]) == sorted(lost)
        assert hookline("state", "salvage", str(kept), "--url", url, "--create", "--json") == 0
        assert json.loads(capsys.readouterr().out)["created"] == 7
        mixed.all_are_there()


def test_a_single_node_does_not_start_on_rows_that_were_changed(tmp_path: Path) -> None:
    with journal_receiver() as (port, journal):
        node = LoneNode(tmp_path / "n")
        node.data_dir.mkdir()
        node.start()
        body = {"url": f"http://127.0.0.1:{port}/", "delay": "8s", "payload": {"amount": "100.00"}}
        assert node.call("POST", "/jobs", body)[0] == 201
        created_ms = CLOCK.wall_ms()
        assert node.stop() == 0
        edit(node.data_dir / "state.db", CHANGE_PAYLOAD)
        until(lambda: CLOCK.wall_ms() > created_ms + 8_000, "it is due")
        assert "changed on the disk" in node.refused()
        assert not journal.requests


def test_a_directory_of_another_name_or_shard_is_refused(tmp_path: Path) -> None:
    foreign = foreign_state(tmp_path, 1)
    for options in (("--cluster", "c1"), ("--cluster", "c0", "--shard", "1")):
        assert "was started as" in LoneNode(foreign, *options).refused()


def test_a_second_node_of_the_same_name_ends_and_says_why(tmp_path: Path) -> None:
    with mixed_up(tmp_path / "c") as mixed:
        first = mixed.cluster.leader()
        (tmp_path / "twin").mkdir()
        twin = ClusterNode(first.name, tmp_path / "twin", first.etcd)
        shutil.copy(first.log.parent / "secret.key", tmp_path / "twin")
        twin.data_dir.mkdir()
        twin.spawn()
        said = twin.failed()
        assert f"another node called {first.name} runs in this cluster, at {first.url}" in said, said
        assert "another --node name, or stop that one" in said
        assert mixed.cluster.leader() is first
        view = first.call("GET", "/cluster")[1]
        assert next(it for it in view["nodes"] if it["name"] == first.name)["url"] == first.url
        mixed.delivered(mixed.create(5))
        assert "node_name_taken" not in first.log.read_text()


def test_a_node_that_etcd_does_not_let_in_says_why_and_goes_on_by_itself(tmp_path: Path) -> None:
    with EtcdMembers(tmp_path / "etcd", 1) as members:
        enable_users(members)
        (tmp_path / "n").mkdir()
        node = LoneNode(tmp_path / "n", "--etcd", members.endpoints[0], "--new-cluster", port=free_ports(1)[0])
        node.spawn()
        try:
            until(lambda: '"etcd_denied"' in node.log.read_text(), "the log says what etcd wants")
            assert "give --etcd-user and HOOKLINE_ETCD_PASSWORD" in node.log.read_text()
            node.kill()
            (tmp_path / "key").write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
            (tmp_path / "key").chmod(0o600)
            node = LoneNode(
                node.data_dir,
                "--etcd",
                members.endpoints[0],
                "--new-cluster",
                "--secret-key-file",
                str(tmp_path / "key"),
                port=node.port,
            )
            node.spawn()
            until(lambda: "give --etcd-user" in health(node), "its health says what etcd wants")
            assert node.log.read_text().count("node_halted") == 1
            assert node.call("GET", "/livez")[0] == 200
            status, ready = node.call("GET", "/readyz")
            assert (status, "give --etcd-user" in ready["detail"]) == (503, True)
            disable_users(members)
            node.wait_until_ready()
        finally:
            node.kill()


class NodeOfALoopback(LoneNode):
    """May call what listens at 127.0.0.1, but for Hookline's own processes."""

    def command(self) -> list[str]:
        loopback = {"--allow-private-destinations": "--allow-destinations=127.0.0.0/8"}
        return [loopback.get(token, token) for token in super().command()]


def test_no_job_calls_a_member_of_etcd_that_no_option_names(tmp_path: Path) -> None:
    with EtcdMembers(tmp_path / "etcd") as members:
        (tmp_path / "n").mkdir()
        node = NodeOfALoopback(tmp_path / "n", "--etcd", members.endpoints[0], "--new-cluster", port=free_ports(1)[0])
        node.spawn()
        try:
            node.wait_until_ready()
            until(lambda: _is_refused(node, members.members[2].peer_url), "what listens for other members is closed")
            assert _is_refused(node, members.endpoints[1])
        finally:
            node.kill()


def _is_refused(node: LoneNode, url: str) -> bool:
    """Once the node knows whose it is; before, etcd answers that it has no such page."""
    job = node.call("POST", "/jobs", {"url": url, "retry": {"max_attempts": 1}})[1]
    until(lambda: node.call("GET", f"/jobs/{job['id']}")[1]["state"] == "dead", "the attempt is made")
    return "leads back to this service" in str(node.call("GET", f"/jobs/{job['id']}")[1]["last_attempt"]["error"])


def health(node: LoneNode) -> str:
    try:
        return str(node.call("GET", "/health")[1])
    except AWAY:
        return ""
