"""``hookline plan``: how many clusters and machines a load needs, and what they cost."""

from typing import TYPE_CHECKING

from hookline.cli.inputs import read_file
from hookline.cli.output import print_json, stdout, usage_error
from hookline.cli.parameters import File, Flag
from hookline.cli.sheet import Facts, Words

if TYPE_CHECKING:
    from hookline.cli.plan.calibration import Calibration
    from hookline.cli.plan.model import CapacityPlan, LoadShape
    from hookline.cli.plan.prices import Cloud


def plan(
    *,
    rate: float,
    webhook_ms: float = 200.0,
    payload: int = 500,
    pending: int | None = None,
    retention_days: float = 7.0,
    attempts: float = 1.02,
    batch: int = 1,
    nodes: int = 3,
    slots: int | None = None,
    no_spare: Flag = False,
    cloud: str | None = None,
    prices: File | None = None,
    json: Flag = False,
) -> int:
    """Say how many clusters, nodes, slots, cores, memory and disk a load needs, and what that costs a month.

    It asks no running Hookline. Its model is calibrated with measurements, and says by how much it missed others.
    Prices are a table with its date and source; give your own with --prices.

    For example: hookline plan --rate 1050 --webhook-ms 200

    Args:
        rate: Jobs a second at the busiest time.
        webhook_ms: Milliseconds that a receiver takes for its answer.
        payload: Bytes of a payload.
        pending: Jobs that wait at once, such as those for tomorrow. [an hour's]
        retention_days: For how many days finished jobs are kept.
        attempts: Attempts of a job, on average.
        batch: Jobs in one create.
        nodes: Nodes of each cluster, 1 or 3.
        slots: Attempts at once in each cluster. [as many as are needed, up to 2,000]
        no_spare: The load need not fit when one cluster is lost.
        cloud: Where machines are rented, by its name in the table. [its first]
        prices: A table of prices, as TOML, or - for stdin. [that of this release]
        json: Print exactly one JSON document on stdout.
    """
    from hookline.cli.plan.calibration import calibration
    from hookline.cli.plan.model import LoadShape, decide
    from hookline.cli.plan.prices import price_table

    if not 0 < rate <= 10_000_000:
        raise usage_error("--rate must be more than 0 and at most 10,000,000.")
    if not 0 <= webhook_ms <= 86_400_000:
        raise usage_error("--webhook-ms must be between 0 and a day's 86,400,000.")
    if payload < 0 or (pending or 0) < 0 or not retention_days >= 0 or not 1 <= attempts <= 1_000 or batch < 1:
        raise usage_error(
            "--payload, --pending and --retention-days must be 0 or more, --attempts 1 to 1,000, --batch 1 or more."
        )
    if nodes not in (1, 3):
        raise usage_error("--nodes must be 1 or 3: a cluster is one node, or three.")
    if slots is not None and not 1 <= slots <= 10_000:
        raise usage_error("--slots must be between 1 and 10,000.")
    table = price_table() if prices is None else price_table(read_file(str(prices)), str(prices))
    load = LoadShape(
        rate=rate,
        webhook_ms=webhook_ms,
        payload=payload,
        pending=round(rate * 3_600) if pending is None else pending,
        retention_days=retention_days,
        attempts=attempts,
        batch=batch,
    )
    where, known = table.of(cloud), calibration()
    found = decide(load, known, where, table.service, nodes=nodes, slots=slots, spare=not no_spare)
    if json:
        print_json(found)
    else:
        _show(found, load, where, known)
    return 0


def _show(found: "CapacityPlan", load: "LoadShape", cloud: "Cloud", known: "Calibration") -> None:
    out = stdout()
    per_million = found.monthly_cost / (load.rate * 730 * 3_600 / 1e6)
    facts = [
        ("clusters", f"{found.clusters} of {found.nodes // found.clusters} nodes, {found.slots} slots each"),
        ("proxies", str(found.proxies) if found.proxies else "none needed"),
        ("each node", f"{found.cores:g} cores, {found.memory_gib:g} GiB of memory, {found.disk_gib:,.1f} GiB of disk"),
        ("etcd", f"about {found.etcd_mib:,.0f} MiB a member" if found.etcd_mib else "none"),
        ("mode", found.mode),
        ("a cluster can do", f"{found.capacity:,.0f} jobs/s; the load takes {found.filled:.0%} of all"),
        ("with one cluster lost", _after_loss(found)),
        (
            "when a leader is lost",
            f"{found.late_at_failover:,} jobs are up to 2 s late, at most {found.twice_at_failover:,} sent twice",
        ),
        (
            "a month",
            f"{found.monthly_cost:,.2f} {found.currency}: {found.machines} machines, nodes on {found.machine or '?'};"
            f" {per_million:,.2f} for a million jobs",
        ),
        ("prices of", f"{cloud.name}, {cloud.date}. {cloud.source}"),
        ("model", f"misses a measured case by {found.model_error:.0%} at most; {known.machine}, {known.date}"),
    ]
    out.print(Facts([(name, Words(value)) for name, value in facts]))
    for line in found.advice:
        out.print(f"- {line}", soft_wrap=True)


def _after_loss(found: "CapacityPlan") -> str:
    if found.clusters == 1:
        return "nothing is delivered until a node of it is back; three nodes outlive the loss of one"
    if found.filled_after_loss > 1:
        return f"the others would have to do {found.filled_after_loss:.0%} of what they can: jobs wait"
    return f"the others do {found.filled_after_loss:.0%} of what they can"
