"""Decides how many clusters, machines and how much disk a load needs. Pure."""

import math
from typing import Final

from msgspec import Struct

from hookline.cli.plan.calibration import Calibration
from hookline.cli.plan.prices import Cloud, DeliveryService, Machine

SLOTS: Final = (100, 200, 500, 1_000, 2_000)
_FILL: Final = 0.7  # of what a cluster can do, in everyday use
_FILL_AFTER_LOSS: Final = 0.95
_CORE_FILL: Final = 0.6
_LEADER_CORES: Final = 0.8  # of the one core that a Python process can use
_PENDING_BYTES: Final = 442  # on disk, beside the payload: docs/reference/benchmarks.md, many pending jobs
_PENDING_MEMORY_MIB: Final = 90 / 1e7  # each
_FINISHED_BYTES: Final = 700  # with one attempt, beside the payload
_DISK_FILL: Final = 0.6
_ETCD_MIB: Final = 400
_LOG_BYTES_EACH: Final = 900  # of a job through etcd: create, claim, outcome, without its payload
_LOG_SECONDS: Final = 60  # of entries that etcd keeps, and the revisions until it compacts
_SYSTEM_MIB: Final = 500
_FAILOVER_S: Final = 2.0
_PROXY_US: Final = 450  # of a create one by one through a proxy


class LoadShape(Struct, frozen=True):
    """Tells what is to be delivered.

    Attributes:
        rate: jobs a second at the busiest time.
        webhook_ms: that a receiver takes.
        payload: bytes.
        pending: jobs that wait at once.
        retention_days: for which finished jobs are kept.
        attempts: of a job, on average.
        batch: jobs in one create.
    """

    rate: float
    webhook_ms: float
    payload: int
    pending: int
    retention_days: float
    attempts: float
    batch: int


class CapacityPlan(Struct, frozen=True):
    """Tells what that needs. Memory, disk and cores are those of one node; costs are a month's.

    Attributes:
        capacity: jobs a second of one cluster at best.
        filled: share of the capacity of all clusters that the load takes.
        filled_after_loss: the same with one cluster lost; above 1 it has to wait.
        late_at_failover: jobs that are up to two seconds late when a leader is lost.
        twice_at_failover: jobs that may be sent twice then.
        model_error: the largest share by which the model missed a measured case.
    """

    clusters: int
    nodes: int
    slots: int
    cores: float
    memory_gib: float
    disk_gib: float
    etcd_mib: float
    proxies: int
    machine: str
    machines: int
    monthly_cost: float
    currency: str
    capacity: float
    filled: float
    filled_after_loss: float
    late_at_failover: int
    twice_at_failover: int
    model_error: float
    mode: str
    advice: list[str]


def decide(
    load: LoadShape,
    known: Calibration,
    cloud: Cloud,
    services: list[DeliveryService],
    *,
    nodes: int = 3,
    slots: int | None = None,
    spare: bool = True,
) -> CapacityPlan:
    """Find the fewest clusters, and for those the fewest slots.

    Args:
        load: what is to be delivered.
        known: what was measured.
        cloud: where the machines are rented.
        services: to compare with.
        nodes: of each cluster, 1 or 3.
        slots: of each cluster; None: as many as are needed.
        spare: with one cluster lost the others shall do all; not of a single cluster.
    """
    attempts = load.rate * load.attempts
    options = [(_clusters(load, known, nodes, one, spare=spare), one) for one in ([slots] if slots else SLOTS)]
    clusters, chosen = min(options)
    capacity = known.capacity(nodes, load.webhook_ms, chosen)
    share = load.rate / clusters
    cores = _cores(load, known, nodes, share)
    memory = (
        known.memory_mib(nodes, chosen)
        + load.pending / clusters * _PENDING_MEMORY_MIB
        + (_ETCD_MIB if nodes > 1 else 0)
        + _SYSTEM_MIB
    ) / 1_024
    disk = _disk_gib(load, clusters)
    proxies = 0 if clusters == 1 else max(2, math.ceil(load.rate * _PROXY_US / load.batch / 1e6 / _CORE_FILL) + 1)
    machine = cloud.cheapest(cores, memory)
    machines = clusters * nodes
    return CapacityPlan(
        clusters=clusters,
        nodes=machines,
        slots=chosen,
        cores=round(cores, 1),
        memory_gib=round(memory, 1),
        disk_gib=round(disk, 1),
        etcd_mib=round(_etcd_mib(load, share)) if nodes > 1 else 0,
        proxies=proxies,
        machine=machine.name if machine else "",
        machines=machines + proxies,
        monthly_cost=round(_cost(cloud, machine, machines, proxies, disk), 2),
        currency=cloud.currency,
        capacity=round(capacity, 1),
        filled=round(attempts / (clusters * capacity), 3),
        filled_after_loss=round(attempts / ((clusters - 1) * capacity), 3) if clusters > 1 else 0.0,
        late_at_failover=round(share * _FAILOVER_S),
        twice_at_failover=round(min(chosen, share * load.webhook_ms / 1_000) * 1.125),
        model_error=round(known.error(), 3),
        mode=_mode(load, known, nodes, share),
        advice=_advice(load, known, machine, services, nodes=nodes, clusters=clusters),
    )


def _clusters(load: LoadShape, known: Calibration, nodes: int, slots: int, *, spare: bool) -> int:
    attempts, capacity = load.rate * load.attempts, known.capacity(nodes, load.webhook_ms, slots)
    by_leader = _leader_us(load, known, nodes, load.rate) * load.rate / 1e6 / _LEADER_CORES
    needed = max(1, math.ceil(attempts / (capacity * _FILL)), math.ceil(by_leader))
    if spare and needed > 1:
        needed = max(needed, math.ceil(attempts / (capacity * _FILL_AFTER_LOSS)) + 1)
    return needed


def _leader_us(load: LoadShape, known: Calibration, nodes: int, rate: float) -> float:
    return known.cpu_us(nodes, rate).leader * load.attempts + known.create_us(nodes, load.batch).leader


def _cores(load: LoadShape, known: Calibration, nodes: int, share: float) -> float:
    """Of the busiest node: any may come to lead."""
    deliver, create = known.cpu_us(nodes, share), known.create_us(nodes, load.batch)
    each = _leader_us(load, known, nodes, share) + (deliver.etcd * load.attempts + create.etcd) / nodes
    return max(2.0, share * each / 1e6 / _CORE_FILL)


def _disk_gib(load: LoadShape, clusters: int) -> float:
    finished = load.rate * load.retention_days * 86_400 * (_FINISHED_BYTES * load.attempts + load.payload)
    pending = load.pending * (_PENDING_BYTES + load.payload)
    return float(max(10.0, (finished + pending) / clusters / 2**30 / _DISK_FILL))


def _etcd_mib(load: LoadShape, share: float) -> float:
    return share * _LOG_SECONDS * (_LOG_BYTES_EACH * load.attempts + load.payload) / 2**20 + 20


def _cost(cloud: Cloud, machine: Machine | None, machines: int, proxies: int, disk_gib: float) -> float:
    if machine is None:
        return 0.0
    small = min(cloud.machine, key=lambda one: one.month)
    return machines * (machine.month + disk_gib * cloud.disk_gib) + proxies * small.month


def _mode(load: LoadShape, known: Calibration, nodes: int, share: float) -> str:
    """The leader alone unless its process has no core left for attempts."""
    if nodes == 1 or _leader_us(load, known, nodes, share) * share / 1e6 <= _LEADER_CORES:
        return "leader"
    return "hybrid"


def _advice(
    load: LoadShape,
    known: Calibration,
    machine: Machine | None,
    services: list[DeliveryService],
    *,
    nodes: int,
    clusters: int,
) -> list[str]:
    found = []
    if machine is None:
        found.append(
            "no machine of the table is as large: give a table with larger ones (--prices), or take more clusters"
        )
    if nodes == 1:
        found.append("a cluster of one node stands still while its machine does, and its disk is the only copy")
    if load.webhook_ms >= 60_000:
        found.append(
            "webhooks of minutes keep a slot for as long: let receivers answer 202 at once, or see the guide for long"
            " calls"
        )
    if load.webhook_ms >= 1_000 and nodes > 1:
        found.append(
            "slow webhooks cost slots, not CPU: raise --slots before you add clusters; workers are worth it only where"
            " calls must leave from other machines"
        )
    share = load.rate / clusters
    if share * _leader_us(load, known, nodes, share) / 1e6 > _LEADER_CORES / 2:
        found.append("the leader's process is busy: give nodes four cores and --attempt-processes auto")
    if load.rate * load.attempts < 0.4 and nodes > 1:
        found.append(
            "this is little: one node with a backup, or a service you pay by the call, does it with less to look after"
        )
    for service in services:
        cost = service.cost(load.rate)
        if cost is not None:
            found.append(f"{service.name}, for comparison: {cost:,.2f} {service.currency} a month ({service.date})")
    return found
