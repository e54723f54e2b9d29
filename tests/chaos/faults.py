"""Faults of a cluster on one machine, each as a function that does it to a run under load.

A fault checks that it visibly acted: a run in which nothing went wrong proves nothing.
"""

import time
from collections.abc import Callable

from tests.chaos.cluster import Cluster, ClusterNode
from tests.chaos.directories import DAMAGED_BYTES, damage
from tests.chaos.scenario import Run
from tests.end_to_end.processes import CLOCK, until

Fault = Callable[[Run], None]


def leader_killed(run: Run) -> None:
    """SIGKILL of the leading node."""
    _kill_leader(run)
    run.cluster.start_nodes()
    run.cluster.wait_until_serving()


def both_leaders_killed(run: Run) -> None:
    """SIGKILL of the leading node and of the leading etcd member at the same moment."""
    _kill_leader(run, with_etcd=True)
    run.cluster.heal()


def leader_killed_after_claim(run: Run) -> None:
    """SIGKILL of the leading node 2 ms after a request arrived, so that its claim is open."""
    leader, term = run.cluster.leader(), run.term()
    run.rest_a_moment()
    run.wait_for_requests(1)
    time.sleep(0.002)
    lost_ms = CLOCK.wall_ms()
    leader.kill()
    run.wait_for_later_term(term, lost_ms)
    run.cluster.start_nodes()
    run.cluster.wait_until_serving()


def _kill_leader(run: Run, *, with_etcd: bool = False) -> None:
    run.rest_a_moment()
    leader = run.cluster.leader()
    member = run.cluster.etcd.leader() if with_etcd else None
    run.wait_for_requests(3)
    term, lost_ms = run.term(), CLOCK.wall_ms()
    if member is not None:
        member.kill()
    leader.kill()
    run.wait_for_later_term(term, lost_ms)
    run.wait_for_requests(20)


def leader_paused(seconds: float) -> Fault:
    """SIGSTOP of the leading node for so long, then SIGCONT."""

    def fault(run: Run) -> None:
        run.rest_a_moment()
        leader, term, began_ms = run.cluster.leader(), run.term(), CLOCK.wall_ms()
        leader.pause()
        run.rest(seconds)
        if seconds > 2.5:
            run.wait_for_later_term(term, began_ms)
        leader.resume()
        run.wait_for_requests(30)
        run.cluster.wait_until_serving()

    return fault


def etcd_leader_paused(run: Run) -> None:
    """SIGSTOP of etcd's leader for 5 s."""
    run.rest_a_moment()
    member, began = run.cluster.etcd.leader(), time.monotonic()
    member.pause()
    other = _other_etcd_leader(run, member.name)
    run.rest(max(0, 5 - (time.monotonic() - began)))
    member.resume()
    run.acted.append(f"{other} led etcd")
    run.wait_for_requests(30)
    run.cluster.wait_until_serving()


def etcd_leader_killed(run: Run) -> None:
    """SIGKILL of etcd's leader; the nodes live."""
    run.rest_a_moment()
    member = run.cluster.etcd.leader()
    member.kill()
    _other_etcd_leader(run, member.name)
    run.wait_for_requests(30)
    run.cluster.heal()


def _other_etcd_leader(run: Run, than: str) -> str:
    found: list[str] = []

    def look() -> bool:
        others = [member for member in run.cluster.etcd.members if member.name != than and member.is_running]
        found[:] = [member.name for member in others if member.is_leader()]
        return bool(found)

    until(look, f"another member than {than} leads etcd")
    return found[0]


def follower_killed(run: Run) -> None:
    """SIGKILL of a node that follows; it comes back and catches up."""
    run.rest_a_moment()
    follower = run.chance.choice(run.cluster.followers())
    follower.kill()
    run.wait_for_requests(50)
    run.cluster.start_nodes()
    wait_until_level(run.cluster, follower)


def all_nodes_killed(run: Run) -> None:
    """SIGKILL of all three nodes at once; they start again."""
    run.rest_a_moment()
    term, lost_ms = run.term(), CLOCK.wall_ms()
    for node in run.cluster.nodes:
        node.kill()
    run.cluster.start_nodes()
    run.cluster.wait_until_serving()
    run.acted.append(f"cold start in {run.wait_for_later_term(term, lost_ms)} ms")


def everything_killed(run: Run) -> None:
    """SIGKILL of all nodes and all members of etcd at once; they start again."""
    run.rest_a_moment()
    term, lost_ms = run.term(), CLOCK.wall_ms()
    run.cluster.kill_all()
    run.cluster.etcd.start()
    run.cluster.start_nodes()
    run.cluster.start_workers()
    run.cluster.wait_until_serving()
    run.wait_for_later_term(term, lost_ms)


def rolling_restart(run: Run) -> None:
    """SIGTERM and start of each node, one after the other."""
    term = run.term()
    for node in run.cluster.nodes:
        assert node.stop() == 0, f"{node.name} did not end in good order"
        run.wait_for_requests(20)
        node.start()
        run.cluster.wait_until_serving()
        run.wait_for_requests(20)
    assert run.term() > term, "the lead never changed hands"


def rolling_kill(run: Run) -> None:
    """SIGKILL of each node, one after the other, as soon as the one before is back."""
    for node in run.cluster.nodes:
        node.kill()
        run.wait_for_requests(20)
        node.start()
        run.cluster.wait_until_serving()


def handover(run: Run) -> None:
    """``POST /cluster/handover``."""
    run.rest_a_moment()
    run.wait_for_requests(3)
    leader, term, began_ms = run.cluster.leader(), run.term(), CLOCK.wall_ms()
    status, answer = leader.call("POST", "/cluster/handover")
    assert status == 202, answer
    run.wait_for_later_term(term, began_ms)
    run.wait_for_requests(20)
    run.cluster.wait_until_serving()


def cut_from_etcd(*, silently: bool) -> Fault:
    """The leading node reaches etcd no more: connections are reset, or stay and fall silent. After 4 s it does."""

    def fault(run: Run) -> None:
        run.rest_a_moment()
        leader, term, began_ms = run.cluster.leader(), run.term(), CLOCK.wall_ms()
        for proxy in run.cluster.proxies[leader.name]:
            proxy.is_black_hole = True
            if not silently:
                proxy.reset_connections()
        run.wait_for_later_term(term, began_ms)
        run.rest(4)
        for proxy in run.cluster.proxies[leader.name]:
            proxy.is_black_hole = False
            proxy.reset_connections()
        run.wait_for_requests(30)
        wait_until_level(run.cluster, leader)

    return fault


def partitioned(*, can_send: bool, can_hear: bool) -> Fault:
    """The leading node and its etcd member are cut from the other two for 5 s; clients and receivers reach them."""

    def fault(run: Run) -> None:
        run.rest_a_moment()
        network, leader = run.cluster.network, run.cluster.leader()
        assert network is not None
        term, began_ms = run.term(), CLOCK.wall_ms()
        for other in network.address:
            if other != leader.name and not can_send:
                network.cut(leader.name, other)
            if other != leader.name and not can_hear:
                network.cut(other, leader.name)
        run.wait_for_later_term(term, began_ms)
        run.rest(5)
        network.heal()
        run.wait_for_requests(30)
        wait_until_level(run.cluster, leader)

    return fault


def answers_lost(run: Run) -> None:
    """Of etcd's answers to the leading node every few are lost: the transaction acted, and nobody said so."""
    leader = run.cluster.leader()
    lost = 0
    for _ in range(12):
        for proxy in run.cluster.proxies[leader.name]:
            if proxy.connections:
                proxy.lose_by_reset = run.chance.random() < 0.7
                proxy.answers_to_lose = 1
        run.wait_for_requests(10)
        lost += sum(1 for proxy in run.cluster.proxies[leader.name] if proxy.connections and not proxy.answers_to_lose)
    for proxy in run.cluster.proxies[leader.name]:
        proxy.answers_to_lose = 0
    assert lost >= 3, "hardly any answer was lost"
    run.acted.append(f"{lost} answers lost")
    run.wait_for_requests(30)


def etcd_slow(run: Run) -> None:
    """etcd's answers take 75 ms more, and its requests too, for 5 s."""
    _set_delays(run.cluster, 0.075)
    run.rest(5)
    _set_delays(run.cluster, 0.0)
    run.wait_for_requests(30)


def _set_delays(cluster: Cluster, delay_s: float) -> None:
    for proxies in cluster.proxies.values():
        for proxy in proxies:
            proxy.delay_s = delay_s


def follower_lost_its_disk(run: Run) -> None:
    """A node that follows is killed and its data deleted: it installs a snapshot from a peer by itself."""
    run.rest_a_moment()
    follower = run.chance.choice(run.cluster.followers())
    follower.kill()
    for path in sorted(follower.data_dir.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    run.wait_for_requests(20)
    run.cluster.start_nodes()
    wait_until_level(run.cluster, follower)


def flipped_bit(run: Run) -> None:
    """A node that follows is killed, and a page of its database damaged: it does not serve it, but reinstalls."""
    run.rest_a_moment()
    follower = run.chance.choice(run.cluster.followers())
    state = follower.data_dir / "state.db"
    until(lambda: state.stat().st_size > DAMAGED_BYTES, "there is a state to damage: a checkpoint was made")
    follower.kill()
    follower.data_dir.joinpath("state.db-wal").unlink(missing_ok=True)
    damage(state)
    installed = follower.log.read_text().count("state_installed")
    run.wait_for_requests(20)
    run.cluster.start_nodes()
    wait_until_level(run.cluster, follower)
    assert follower.log.read_text().count("state_installed") > installed, "it went on with a damaged state"


def wait_until_level(cluster: Cluster, node: ClusterNode) -> None:
    """Until a node has applied what the leader had when this was called."""
    goal = cluster.leader().applied()
    until(lambda: node.applied() >= goal, f"{node.name} has caught up with entry {goal}; see {cluster.directory}", 60)
