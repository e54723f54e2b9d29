"""Metrics of three nodes over a real etcd: who leads, how the lead changes, etcd's size, a state that is replaced."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.cluster import Cluster, ClusterNode
from tests.chaos.directories import damage
from tests.end_to_end.processes import until

Figures = dict[str, float]


def figures(node: ClusterNode) -> Figures:
    """``name{label values}`` to value."""
    text = node.raw_call("GET", "/metrics", None, {})[1].decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {_named(sample.name, sample.labels): sample.value for sample in samples}


def _named(name: str, labels: dict[str, str]) -> str:
    return name.removeprefix("hookline_") + "".join(f"{{{labels[label]}}}" for label in sorted(labels))


def test_the_lead_the_log_and_etcd_are_seen_from_each_node(tmp_path: Path) -> None:
    with Cluster(tmp_path, "--attempt-processes", "0", "--api-processes", "0") as cluster:
        cluster.wait_until_serving()
        first = cluster.leader()
        for node in cluster.nodes:
            until(lambda node=node: _is_seen(figures(node)), f"{node.name} has looked at etcd")  # type: ignore[misc]
        seen = {node.name: figures(node) for node in cluster.nodes}
        assert {name: one["is_leader"] for name, one in seen.items()} == {
            node.name: float(node is first) for node in cluster.nodes
        }
        for one in seen.values():
            assert one["log_index"] >= one["applied_index"] > 0
            assert one["apply_lag_entries"] == one["log_index"] - one["applied_index"]
        assert seen[first.name]["failovers_total"] == 0
        assert seen[first.name][f"runner_slots_max{{leader}}{{{first.name}}}"] == 100

        assert first.call("POST", "/cluster/handover")[0] == 202
        until(lambda: figures(first)["leads_ended_total{handed_over}"] == 1, "it handed over")
        second = cluster.leader()
        until(lambda: figures(second)["failovers_total"] == 1, "another one leads")
        assert figures(first)["failovers_total"] == 0

        damaged = first if second is not first else cluster.followers()[0]
        damaged.stop()
        (damaged.data_dir / "state.db-wal").unlink(missing_ok=True)
        damage(damaged.data_dir / "state.db")
        damaged.start()
        assert figures(damaged)["snapshot_installs_total{damaged}"] == 1


def _is_seen(one: Figures) -> bool:
    members = [value for name, value in one.items() if name.startswith("etcd_database_bytes{")]
    return len(members) == 3 and all(0 < value < one["etcd_quota_bytes"] for value in members)
