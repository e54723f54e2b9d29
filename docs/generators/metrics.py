"""The reference of metrics, from the registries of a node, a proxy and a worker."""

from collections.abc import Sequence

from hookline.node.metrics import NodeMetrics
from hookline.proxy.metrics import ProxyMetrics
from hookline.telemetry.process_metrics import ProcessMetrics
from hookline.telemetry.tallies import MetricRow
from hookline.worker.metrics import WorkerMetrics

_INTRODUCTION = """\
# Metrics

Written by `docs/generate.py` from the registries in the source.

`GET /metrics` of every node, proxy and worker answers in the Prometheus text format, or as
[OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/) to whom asks for
`Accept: application/openmetrics-text`, as Prometheus does. A key with the scope `read` opens it.
[Monitor Hookline](../how-to/monitor.md) sets Prometheus, its alerts and Grafana up.

- Every node has its own; what concerns deliveries and the slots of the cluster is at the leader. Counters begin at 0
  when a process starts.
- The number of series is bounded: it does not grow with jobs, destinations, receivers, ids or keys. Where names come
  from outside (tenants, runners), the busiest are named and all others are one series.
- Units are the base units of Prometheus, at the end of the name: seconds and bytes. A counter ends in `_total`.
- A histogram has `_bucket`, `_sum` and `_count`; beside a counter and a histogram `…_created` tells when it began.
- In OpenMetrics a bucket carries a `trace_id` as its exemplar where the attempt or call was traced.

"""
_UNITS = ("seconds", "bytes", "entries", "commands", "jobs", "schedules")


def render() -> str:
    """The page as Markdown."""
    shared = {row.name for row in ProcessMetrics().registry.rows}
    parts = [_INTRODUCTION, "## Every process\n\n", _table(ProcessMetrics().registry.rows)]
    kinds: tuple[tuple[str, ProcessMetrics], ...] = (
        ("A node", NodeMetrics()),
        ("A proxy", ProxyMetrics()),
        ("A worker", WorkerMetrics()),
    )
    for title, metrics in kinds:
        parts += [f"\n## {title}\n\n", _table([row for row in metrics.registry.rows if row.name not in shared])]
    return "".join(parts)


def _table(rows: Sequence[MetricRow]) -> str:
    lines = ["| Metric | Type | Unit | Labels | Meaning |", "|---|---|---|---|---|"]
    for row in rows:
        labels = ", ".join(f"`{label}`" for label in row.labels)
        lines.append(f"| `{row.name}` | {row.kind} | {_unit(row.name)} | {labels} | {row.meaning} |")
    return "\n".join(lines) + "\n"


def _unit(name: str) -> str:
    last = name.removesuffix("_total").rpartition("_")[2]
    return last if last in _UNITS else ""
