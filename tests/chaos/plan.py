"""Which faults a chaos run makes, how often, and what is allowed to follow."""

from dataclasses import dataclass

from tests.chaos import faults
from tests.chaos.faults import Fault


@dataclass(frozen=True)
class Row:
    """One line of the table: a cluster of its own under load, and a fault made ``times`` times.

    Attributes:
        is_planned: no call may fail and no request be made twice.
        is_proxied: the nodes reach etcd through proxies that can be told to harm.
    """

    name: str
    fault: Fault
    times: int
    is_planned: bool = False
    is_proxied: bool = False


LEADER_KILLED = "leader killed"
BOTH_KILLED = "leader and etcd's leader killed"


def rows(kills: int) -> list[Row]:
    """All of them; ``kills`` of each kind whose failover is measured."""
    return [
        Row(LEADER_KILLED, faults.leader_killed, kills),
        Row(BOTH_KILLED, faults.both_leaders_killed, kills),
        Row("leader killed 2 ms after a claim", faults.leader_killed_after_claim, 5),
        Row("leader paused for 1 s", faults.leader_paused(1), 3),
        Row("leader paused for 3 s", faults.leader_paused(3), 2),
        Row("leader paused for 10 s", faults.leader_paused(10), 1),
        Row("etcd's leader paused for 5 s", faults.etcd_leader_paused, 2),
        Row("etcd's leader killed", faults.etcd_leader_killed, 3),
        Row("follower killed", faults.follower_killed, 3, is_planned=False),
        Row("all nodes killed at once", faults.all_nodes_killed, 3),
        Row("all nodes and etcd killed at once", faults.everything_killed, 2),
        Row("nodes killed one after the other", faults.rolling_kill, 2),
        Row("nodes restarted one after the other", faults.rolling_restart, 2, is_planned=True),
        Row("hand-over", faults.handover, 10, is_planned=True),
        Row("leader cut from etcd, connections reset", faults.cut_from_etcd(silently=False), 2, is_proxied=True),
        Row("leader cut from etcd, silence", faults.cut_from_etcd(silently=True), 2, is_proxied=True),
        Row("etcd's answers lost", faults.answers_lost, 2, is_proxied=True),
        Row("etcd slow by 75 ms each way", faults.etcd_slow, 2, is_proxied=True),
        Row("follower lost its disk", faults.follower_lost_its_disk, 2),
        Row("damaged page on a follower", faults.flipped_bit, 1),
    ]
