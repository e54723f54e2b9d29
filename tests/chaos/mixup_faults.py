"""Mix-ups of directories and of etcd, under load, and what the operator does then: docs/how-to/etcd-was-lost.md."""

from pathlib import Path
from typing import Any

from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.protocol.codec import VERSION, Entry
from hookline.protocol.commands import AnyCommand, BeginLog
from tests.chaos import directories
from tests.chaos.cluster import ClusterNode
from tests.chaos.faults import Fault, wait_until_level
from tests.chaos.scenario import Run
from tests.end_to_end.processes import until
from tests.node_parts import create, job_spec

_FOREIGN_JOBS = 40


def foreign_directory(run: Run) -> None:
    """A follower is started on the state of another cluster that has the same name; later on its own again."""
    follower = _stopped_follower(run)
    own = run.cluster.directory / "own"
    directories.copy_state(follower, own)
    follower.data_dir.joinpath("state.db").unlink()
    _write_foreign(follower.data_dir / "state.db")
    _until_halted(run, follower)
    run.wait_for_requests(30)
    follower.kill()
    directories.put_state(own, follower)
    follower.start()
    wait_until_level(run.cluster, follower)


def old_directory(run: Run) -> None:
    """A follower is started on what it had some hundred entries before."""
    follower = _stopped_follower(run)
    old = run.cluster.directory / "old"
    directories.copy_state(follower, old)
    follower.start()
    run.wait_for_requests(200)
    follower.kill()
    directories.put_state(old, follower)
    follower.start()
    wait_until_level(run.cluster, follower)


def others_directory(run: Run) -> None:
    """A follower is started on the state of the other follower."""
    follower = _stopped_follower(run)
    other = next(node for node in run.cluster.followers() if node is not follower)
    other.kill()
    copy = run.cluster.directory / "other"
    directories.copy_state(other, copy)
    other.start()
    directories.put_state(copy, follower)
    follower.start()
    wait_until_level(run.cluster, follower)


def rows_changed(statement: str) -> Fault:
    """Somebody edits a follower's database while it is stopped; then it would lead."""

    def fault(run: Run) -> None:
        follower = _stopped_follower(run)
        changed = directories.edit(follower.data_dir / "state.db", statement)
        assert changed > 0, "there was nothing to change"
        follower.spawn()
        run.cluster.leader().kill()
        follower.wait_until_ready()
        run.cluster.start_nodes()
        wait_until_level(run.cluster, follower)
        assert list(follower.data_dir.glob("state.db.replaced-*")), "the state was not kept aside"

    return fault


def etcd_emptied(*, with_a_disk: bool) -> Fault:
    """All members of etcd lose their data, and perhaps a follower its disk; the operator recovers.

    Not the leader: what etcd held alone and the leader had applied, but no follower yet, would be lost with both.
    """

    def fault(run: Run) -> None:
        run.rest_a_moment()
        nodes = run.cluster.nodes
        if with_a_disk:
            unlucky = run.chance.choice(run.cluster.followers())
            for node in nodes:
                node.kill()
            directories.lose_disk(unlucky)
            unlucky.data_dir.mkdir()
        directories.empty_etcd(run.cluster)
        if with_a_disk:
            for node in nodes:
                node.spawn()
        _recover(run, ready=nodes if with_a_disk else ())

    return fault


def etcd_set_back(*, with_an_old_node: bool) -> Fault:
    """All members of etcd go back to what they had before, and perhaps a node is as old; the operator recovers."""

    def fault(run: Run) -> None:
        old = _stopped_follower(run) if with_an_old_node else None
        copy = run.cluster.directory / "etcd-copy"
        directories.copy_etcd(run.cluster, copy)
        run.wait_for_requests(100)
        directories.set_etcd_back(run.cluster, copy)
        if old is not None:
            old.spawn()
        _recover(run, ready=(old,) if old is not None else ())

    return fault


def _stopped_follower(run: Run) -> ClusterNode:
    run.rest_a_moment()
    run.wait_for_requests(60)
    follower = run.chance.choice(run.cluster.followers())
    assert follower.stop() == 0
    return follower


def _until_halted(run: Run, node: ClusterNode) -> None:
    node.spawn()
    until(node.is_halted, f"{node.name} waits for a person")
    run.acted.append(f"{node.name} halted")


def _recover(run: Run, ready: "tuple[ClusterNode, ...] | list[ClusterNode]") -> None:
    """All nodes halt; the newest state is chosen."""
    nodes = run.cluster.nodes
    for node in nodes:
        until(node.is_halted, f"{node.name} waits for a person")

    def newest() -> ClusterNode:
        return max(nodes, key=lambda node: next(int(it["applied"]) for it in _view(node) if it["name"] == node.name))

    run.cluster.run("recover", "--from", newest().name)
    for node in ready:
        node.wait_until_ready()
    run.cluster.wait_until_serving()
    run.wait_for_requests(30)


def _view(node: ClusterNode) -> list[dict[str, Any]]:
    view: list[dict[str, Any]] = node.call("GET", "/cluster")[1]["nodes"]
    return view


def _write_foreign(state: Path) -> None:
    database = open_state(state, durable=False)
    machine = StateMachine(database)
    commands: list[AnyCommand] = [BeginLog("f" * 32, 1, "c0", 0)]
    commands += [create(f"foreign-{n}", job_spec()) for n in range(_FOREIGN_JOBS)]
    machine.apply(Entry(VERSION, 1, 1, 1, b"nonce", b"", tuple(commands)))
    machine.commit()
    database.close()
