"""Measures what the proxy adds: ``python benchmarks/proxy.py`` (about 2 minutes; HAProxy has to be installed).

The same creates go straight to a stub of a node, through HAProxy that only forwards, and through ``hookline proxy``,
in turn and in one run; the stub answers at once, so what is measured is what stands before it.
"""

import argparse
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node_process import ENVIRONMENT, HERE, Process, script

STUB, HAPROXY, PROXY = 19_300, 19_301, 19_302
HAPROXY_CONFIG = f"""
global
    nbthread 1
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 3s
listen door
    bind 127.0.0.1:{HAPROXY}
    server node 127.0.0.1:{STUB}
"""
TOPOLOGY = f"""
epoch = 1
[[cluster]]
name = "c0"
shard = 0
nodes = ["http://127.0.0.1:{STUB}"]
"""


@contextmanager
def running(command: list[str], ready: str | None) -> Iterator[subprocess.Popen[str]]:
    """A process, once it has printed ``ready``; ended at the end."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT, text=True)
    try:
        assert process.stdout
        if ready is not None:
            assert any(re.match(ready, line) for line in process.stdout), command
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        config, topology = Path(directory) / "haproxy.cfg", Path(directory) / "topology.toml"
        config.write_text(HAPROXY_CONFIG)
        topology.write_text(TOPOLOGY)
        proxy = [sys.executable, "-m", "hookline.cli.app", "proxy", "--listen", f"127.0.0.1:{PROXY}"]
        with (
            running([sys.executable, str(HERE / "stub_node.py"), str(STUB)], "ready"),
            running(["haproxy", "-db", "-f", str(config)], None) as haproxy,
            running([*proxy, "--topology", str(topology)], "ready") as hookline,
        ):
            doors = {"straight to the stub": (STUB, 0), "HAProxy, one thread": (HAPROXY, haproxy.pid)}
            doors["hookline proxy"] = (PROXY, hookline.pid)
            print("| way | requests/s median (min–max) | CPU µs a request | p50 / p99 ms at 1,000/s |")
            print("|---|---|---|---|")
            figures: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in doors}
            for _ in range(options.runs):
                for name, (port, pid) in doors.items():
                    figures[name].append(measure(port, pid, options.count))
            for name, runs in figures.items():
                rates = sorted(run[0] for run in runs)
                cpu, p50, p99 = (statistics.median(run[index] for run in runs) for index in (1, 2, 3))
                spread = f"{statistics.median(rates):,.0f} ({rates[0]:,.0f}–{rates[-1]:,.0f})"
                print(f"| {name} | {spread} | {cpu:.0f} | {p50:.2f} / {p99:.2f} |", flush=True)


def measure(port: int, pid: int, count: int) -> tuple[float, float, float, float]:
    """(requests/s at full speed over 32 connections, CPU µs a request, p50 and p99 ms at 1,000/s)."""
    script("load.py", port, STUB, 1_000, 1, 32)
    before = Process(pid, port).cpu_seconds() if pid else 0.0
    full = script("load.py", port, STUB, count, 1, 32)
    cpu = ((Process(pid, port).cpu_seconds() if pid else 0.0) - before) / count * 1e6
    paced = script("load.py", port, STUB, 5_000, 1, 32, 1_000)["latencies_ms"]
    return full["created"] / full["seconds"], cpu, paced["p50"], paced["p99"]


if __name__ == "__main__":
    main()
