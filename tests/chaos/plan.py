"""Lists the faults that a chaos run makes, how often, and what is allowed to follow."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import clock_faults as clocks
from tests.chaos import faults
from tests.chaos import mixup_faults as mixups
from tests.chaos import storage_faults as storage
from tests.chaos import worker_faults as workers
from tests.chaos.cluster import NAMES, Cluster
from tests.chaos.disks import Disks, loop_mounts_work
from tests.chaos.faults import Fault
from tests.chaos.networks import Network, namespaces_work
from tests.chaos.scenario import SLOTS

MODES = ("leader", "hybrid", "workers")
_WORKERS = 2


@dataclass(frozen=True)
class Row:
    """One line of the table: a cluster of its own under load, and a fault made ``times`` times.

    Attributes:
        is_planned: no call may fail and no request be made twice.
        is_proxied: the nodes reach etcd through proxies that can be told to harm.
        quota_bytes: of etcd; its default unless given.
        disk_bytes: of a disk for each place of ``disk_places``; needs root and loop devices.
        program: that has to be on PATH.
        has_clocks: each node has a wall clock of its own.
        has_network: each node in a network namespace of its own; needs root.
        modes: in which it is run.
    """

    name: str
    fault: Fault
    times: int
    is_planned: bool = False
    is_proxied: bool = False
    quota_bytes: int | None = None
    disk_bytes: int = 0
    disk_places: tuple[str, ...] = ()
    program: str = "etcd"
    has_network: bool = False
    has_clocks: bool = False
    modes: tuple[str, ...] = MODES

    @property
    def early_ms(self) -> int:
        """How much too soon a request may come."""
        return clocks.EARLY_MS if self.has_clocks else 0

    def cluster(self, directory: Path, mode: str) -> Cluster:
        """As the fault needs it, not started."""
        disks = Disks(directory, self.disk_places, self.disk_bytes) if self.disk_places else None
        options = ("--slots", str(SLOTS))
        return Cluster(
            directory,
            *options,
            proxied=self.is_proxied,
            etcd_quota_bytes=self.quota_bytes,
            disks=disks,
            network=Network(NAMES) if self.has_network else None,
            clocks=self.has_clocks,
            mode=mode,
            workers=_WORKERS if mode == "workers" else 0,
            worker_slots=SLOTS,
        )

    def why_not(self, directory: Path) -> str | None:
        """Says what this machine lacks for it; None when it has all."""
        if shutil.which(self.program) is None:
            return f"{self.program} is not on PATH"
        if self.disk_places and not loop_mounts_work(directory):
            return "needs root and loop devices"
        if self.has_network and not namespaces_work():
            return "needs root and network namespaces"
        return None


_ROWS_GONE = "DELETE FROM jobs WHERE seq % 3 = 0"
_PAYLOAD_CHANGED = "UPDATE specs SET spec = spec || x'00' WHERE seq % 7 = 0"
_SMALL_DISK = 32 * 2**20
_DISK = 512 * 2**20  # etcd takes 64 MiB for each file of its log beforehand
_ETCD_PLACES = ("etcd/e1", "etcd/e2", "etcd/e3")
_ALL_PLACES = (*NAMES, *_ETCD_PLACES)

LEADER_KILLED = "leader killed"
BOTH_KILLED = "leader and etcd's leader killed"
TIMED = (LEADER_KILLED, BOTH_KILLED)


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
        Row("leader partitioned", faults.partitioned(can_send=False, can_hear=False), 2, has_network=True),
        Row("leader partitioned, can send", faults.partitioned(can_send=True, can_hear=False), 2, has_network=True),
        Row("leader partitioned, can hear", faults.partitioned(can_send=False, can_hear=True), 2, has_network=True),
        Row("follower on another cluster's state", mixups.foreign_directory, 1),
        Row("follower on an old state of its own", mixups.old_directory, 2),
        Row("follower on the other follower's state", mixups.others_directory, 2),
        Row("rows taken out of a node that would lead", mixups.rows_changed(_ROWS_GONE), 2),
        Row("payload changed on a node that would lead", mixups.rows_changed(_PAYLOAD_CHANGED), 2),
        Row("etcd emptied", mixups.etcd_emptied(with_a_disk=False), 2),
        Row("etcd emptied and a follower's disk lost", mixups.etcd_emptied(with_a_disk=True), 2),
        Row("etcd set back", mixups.etcd_set_back(with_an_old_node=False), 1),
        Row("etcd set back and an old node", mixups.etcd_set_back(with_an_old_node=True), 1),
        Row("leader's clock an hour ahead for 12 s", clocks.leader_clock(clocks.HOUR_MS, 12), 1, has_clocks=True),
        Row("leader's clock an hour behind for 12 s", clocks.leader_clock(-clocks.HOUR_MS, 12), 1, has_clocks=True),
        Row("leader's clock 2 s ahead for 12 s", clocks.leader_clock(2_000, 12), 1, has_clocks=True),
        Row("leader's clock an hour ahead for 2.5 s", clocks.leader_clock(clocks.HOUR_MS, 2.5), 2, has_clocks=True),
        Row("nodes at −30, 0 and +30 s", clocks.three_times, 1, has_clocks=True),
        Row("etcd full (NOSPACE)", storage.etcd_full, 2, quota_bytes=storage.SMALL_QUOTA_BYTES),
        Row("etcd's fdatasync slow by 100 ms", storage.fsync_slow, 1, program="strace"),
        Row("etcd's fdatasync fails", storage.fsync_fails, 2, program="strace"),
        Row(
            "disk of a follower full", storage.disk_full(storage.follower), 1, disk_bytes=_SMALL_DISK, disk_places=NAMES
        ),
        Row("disk of the leader full", storage.disk_full(storage.leader), 1, disk_bytes=_SMALL_DISK, disk_places=NAMES),
        Row("disks of all etcd members full", storage.etcd_disks_full, 2, disk_bytes=_DISK, disk_places=_ETCD_PLACES),
        Row("power of all nodes and etcd lost", storage.power_lost, 2, disk_bytes=_DISK, disk_places=_ALL_PLACES),
        Row("worker killed", workers.worker_killed, 3, modes=("workers",)),
        Row("worker paused for 9 s", workers.worker_paused(9), 2, modes=("workers",)),
        Row("worker stopped", workers.worker_stopped, 3, is_planned=True, modes=("workers",)),
        Row("mode changed", workers.mode_changed, 2, is_planned=True, modes=("workers",)),
    ]


def slots_of(mode: str) -> int:
    """All runners' together."""
    return SLOTS * {"leader": 1, "hybrid": len(NAMES), "workers": _WORKERS}[mode]
