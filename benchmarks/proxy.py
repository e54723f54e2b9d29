"""Measures what the proxy adds: ``python benchmarks/proxy.py`` (about 2 minutes; HAProxy has to be installed).

The same creates go straight to a stub of a node, through HAProxy that only forwards, and through ``hookline proxy``,
in turn and in one run; the stub answers at once, so what is measured is what stands before it.
"""

import argparse
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node_process import ENVIRONMENT, HERE, Process, ready_port, script

HAPROXY_CONFIG = """
global
    nbthread 1
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 3s
listen door
    bind 127.0.0.1:{door}
    server node 127.0.0.1:{stub}
"""
TOPOLOGY = """
epoch = 1
[[cluster]]
name = "c0"
shard = 0
nodes = ["http://127.0.0.1:{stub}"]
"""


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process; ended at the end."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def free_port() -> int:
    """Finds one for HAProxy, which cannot tell which one it took."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=20_000)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        running([sys.executable, str(HERE / "stub_node.py")]) as stub,
    ):
        config, topology = Path(directory) / "haproxy.cfg", Path(directory) / "topology.toml"
        target, door = ready_port(stub), free_port()
        config.write_text(HAPROXY_CONFIG.format(door=door, stub=target))
        topology.write_text(TOPOLOGY.format(stub=target))
        proxy = [sys.executable, "-m", "hookline.cli.app", "proxy", "--listen", "127.0.0.1:0"]
        with (
            running(["haproxy", "-db", "-f", str(config)]) as haproxy,
            running([*proxy, "--topology", str(topology)]) as hookline,
        ):
            doors = {"straight to the stub": (target, 0), "HAProxy, one thread": (door, haproxy.pid)}
            doors["hookline proxy"] = (ready_port(hookline), hookline.pid)
            print("| way | requests/s median (min–max) | CPU µs a request | p50 / p99 ms at 1,000/s |")
            print("|---|---|---|---|")
            figures: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in doors}
            for _ in range(options.runs):
                for name, (port, pid) in doors.items():
                    figures[name].append(measure(port, pid, target, options.count))
            for name, runs in figures.items():
                rates = sorted(run[0] for run in runs)
                cpu, p50, p99 = (statistics.median(run[index] for run in runs) for index in (1, 2, 3))
                spread = f"{statistics.median(rates):,.0f} ({rates[0]:,.0f}–{rates[-1]:,.0f})"
                print(f"| {name} | {spread} | {cpu:.0f} | {p50:.2f} / {p99:.2f} |", flush=True)


def measure(port: int, pid: int, target: int, count: int) -> tuple[float, float, float, float]:
    """(requests/s at full speed over 32 connections, CPU µs a request, p50 and p99 ms at 1,000/s)."""
    script("load.py", port, target, 1_000, 1, 32)
    before = Process(pid, port).cpu_seconds() if pid else 0.0
    full = script("load.py", port, target, count, 1, 32)
    cpu = ((Process(pid, port).cpu_seconds() if pid else 0.0) - before) / count * 1e6
    paced = script("load.py", port, target, count // 4, 1, 32, 1_000)["latencies_ms"]
    return full["created"] / full["seconds"], cpu, paced["p50"], paced["p99"]


if __name__ == "__main__":
    main()
