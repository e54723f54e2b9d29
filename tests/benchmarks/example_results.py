"""Results of each part as they may come, with invented figures, for tests of the report."""

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def spread(median: float, around: float = 0.05) -> dict[str, float]:
    """A figure of several runs."""
    return {"median": median, "min": median * (1 - around), "max": median * (1 + around)}


def _clusters() -> list[Row]:
    rows = []
    for nodes, asked, most in ((1, 0, 4_700.0), (1, 100, 10_000.0), (3, 0, 2_500.0), (3, 40, 10_000.0)):
        for count in (1, 2, 3, 5, 10):
            rate = min(most, count * (asked or 500.0))
            row = {
                "clusters": count,
                "nodes": nodes,
                "asked": asked,
                "linear": rate / count / (asked or 500),
                "rate": rate,
            }
            rows.append(row | {"cpu_us": 400.0 * nodes, "busy": min(0.995, rate / most), "lag_p99": 12.5})
    return rows


def _modes() -> list[Row]:
    rows = []
    for slots in (10, 100):
        for mode, runners in (
            ("leader", 1),
            ("hybrid", 3),
            ("workers", 1),
            ("workers", 3),
            ("workers", 6),
            ("workers", 9),
        ):
            lost = {"leader": 0.01, "hybrid": 0.02, "workers": 0.03}[mode]
            at_best = runners * slots / 0.2
            rate = min(1_900.0, at_best * (1 - lost))
            rows.append(
                {
                    "mode": mode,
                    "nodes": 3,
                    "runners": runners,
                    "slots": slots,
                    "rate_200": spread(rate),
                    "overhead": spread(1 - rate / at_best),
                    "rate_0": spread(2_900.0),
                    "lag_p50": spread(4.5),
                    "lag_p99": spread(17.0),
                }
            )
    return rows


def rows() -> dict[str, list[Row]]:
    """The rows of each part, fresh ones that a test may change."""
    creators = [(nodes, *one) for nodes in (1, 3) for one in ((1, 1), (8, 1), (32, 1), (128, 1), (4, 100))]
    return {
        "creating": [
            {"nodes": nodes, "connections": connections, "batch": batch, "rate": spread(800.0 * batch)}
            | {"p50_ms": spread(2.0 * nodes + connections / 4), "p99_ms": spread(4.0 * nodes + connections / 2)}
            for nodes, connections, batch in creators
        ],
        "lag": [
            {"nodes": nodes, "per_s": 350, "p50_ms": spread(2.0), "p99_ms": spread(8.0 * nodes), "max_ms": spread(60.0)}
            for nodes in (1, 3)
        ],
        "herd": [
            {"nodes": nodes, "count": count, "drain_per_s": spread(5_000.0 / nodes)}
            | {
                f"{name}_ms": spread(share * count * nodes / 5.0)
                for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
            }
            for nodes in (1, 3)
            for count in (2_000, 10_000, 100_000)
        ],
        "clusters": _clusters(),
        "modes": _modes(),
        "failover": [
            {"pending": pending, "kills": 5, "gap_ms": spread(100.0 + pending / 4_000)} for pending in (0, 1_000_000)
        ],
        "plan": [
            {
                "nodes": 3,
                "webhook_ms": 200,
                "slots": 150,
                "planned": 740.0,
                "rate": spread(725.0),
                "error": 740 / 725 - 1,
            }
            | {"planned_leader_us": 600.0, "leader_us": spread(650.0)},
        ],
        "backlog": [
            {"pending": pending, "disk_gib": pending / 2.4e6, "start_s": spread(start_s), "rate": spread(rate)}
            | {"ready_mib": spread(mib), "after_mib": spread(mib + 20)}
            for pending, start_s, rate, mib in ((0, 0.8, 5_300.0, 90.0), (10_000_000, 4.0, 4_300.0, 210.0))
        ],
    }


def write(directory: Path, given: dict[str, list[Row]]) -> None:
    """A file of each part, as ``measure`` writes them."""
    for name, its in given.items():
        found = {
            "part": name,
            "command": f"make numbers ARGS='--only {name}'",
            "machine": "a machine",
            "date": "2026-01-02",
        }
        (directory / f"{name}.json").write_text(json.dumps(found | {"runs": 3, "rows": its}))
