"""Measures what protections cost: ``python benchmarks/protections.py`` (about 7 minutes).

One node without any beside one with keys, with keys and TLS, with encrypted payloads, and one whose jobs are a
tenant's, in turn and in one run: jobs one by one and in batches, end to end; and calls that each make a connection.
"""

import argparse
import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from node_process import Process, node, receiver, script
from run import wait_delivered

from hookline.cli.own_certificate import with_own_certificate
from hookline.client.blocking import Client
from hookline.tls.files import NO_TLS


class LoadCase(NamedTuple):
    """A load on one node."""

    name: str
    jobs: int
    batch: int
    connections: int


CASES = (
    LoadCase("one by one, 32 connections", 6_000, 1, 32),
    LoadCase("batches of 100, 4 connections", 12_000, 100, 4),
)
PLAIN, *PROTECTED = ("none", "keys", "a tenant's key", "encrypted payloads", "keys and TLS")
_ROOT_KEY = "hkl_root_" + "b" * 40
_FRESH = 600  # also with --quick: CPU time is counted in steps of 10 ms, and a few calls may take none


@contextmanager
def serving(folder: Path, protection: str) -> Iterator[tuple[Process, dict[str, str]]]:
    """One node in one process, and the environment of a load on it."""
    options, environment = ["--attempt-processes", "0", "--api-processes", "0"], {}
    context = None
    if protection == "encrypted payloads":
        options.append("--encrypt-payloads")
    if protection == "keys and TLS":
        files = with_own_certificate(NO_TLS, folder, "127.0.0.1")
        options += [part for option, file in files.named().items() for part in (option, str(file))]
        environment["LOAD_CA_FILE"] = str(files.ca)
        context = ssl.create_default_context(cafile=files.ca)
    if protection in ("keys", "a tenant's key", "keys and TLS"):
        root_key = folder / "root.key"
        root_key.write_text(_ROOT_KEY + "\n")
        root_key.chmod(0o600)
        options += ["--auth", "--root-key-file", str(root_key)]
        environment["HOOKLINE_API_KEY"] = _ROOT_KEY
    with node(None, *options, tls=context, key=environment.get("HOOKLINE_API_KEY")) as process:
        if protection == "a tenant's key":
            with Client(f"http://127.0.0.1:{process.port}", api_key=_ROOT_KEY) as client:
                environment["HOOKLINE_API_KEY"] = client.create_key("load", ["read", "write"], tenant="acme").key or ""
        yield process, environment


def measure(case: LoadCase, folder: Path, protection: str) -> tuple[float, float, float]:
    """(jobs per second, CPU µs of the node a job, median ms of a create)."""
    with receiver(0) as target, serving(folder, protection) as (process, environment):
        warm = 2 * case.batch if case.batch > 1 else 200
        script("load.py", process.port, target.port, warm, case.batch, 2, **environment)
        wait_delivered(process, warm)
        target.get("/stats")
        cpu, started = process.cpu_seconds(), time.time()
        figures = script("load.py", process.port, target.port, case.jobs, case.batch, case.connections, **environment)
        created = figures["created"]
        wait_delivered(process, warm + created)
        used_us = (process.cpu_seconds() - cpu) / created * 1e6
        return created / (target.get("/stats")["last"] - started), used_us, figures["latencies_ms"]["p50"]


def fresh(folder: Path, protection: str) -> tuple[float, float, float]:
    """The same of calls that each make a connection."""
    with serving(folder, protection) as (process, _):
        process.get("/livez")
        cpu, started = process.cpu_seconds(), time.perf_counter()
        took = []
        for _ in range(_FRESH):
            begun = time.perf_counter()
            process.get("/livez")
            took.append(time.perf_counter() - begun)
        rate = _FRESH / (time.perf_counter() - started)
        return rate, (process.cpu_seconds() - cpu) / _FRESH * 1e6, statistics.median(took) * 1e3


def row(name: str, plain: list[tuple[float, float, float]], runs: list[tuple[float, float, float]]) -> str:
    """Medians, and the ratio of each run to the one without protection in the same round."""
    cells = [name]
    for index, form in ((0, "{:,.0f}"), (1, "{:,.0f}"), (2, "{:.2f}")):
        ratios = sorted(one[index] / other[index] for one, other in zip(runs, plain, strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
        cells += [form.format(statistics.median(run[index] for run in runs)), spread]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the work, for trying the script")
    options = parser.parse_args()
    scale = 20 if options.quick else 1
    print("| | a second | ratio | CPU µs | ratio | p50 ms | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        for case in CASES:
            smaller = case._replace(jobs=max(case.jobs // scale, case.batch))
            found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in (PLAIN, *PROTECTED)}
            for _ in range(options.runs):
                for name, its in found.items():
                    its.append(measure(smaller, folder, name))
            for name, its in found.items():
                print(row(f"jobs {case.name}: {name}", found[PLAIN], its), flush=True)
        found = {name: [] for name in (PLAIN, "keys and TLS")}
        for _ in range(options.runs):
            for name, its in found.items():
                its.append(fresh(folder, name))
        for name, its in found.items():
            print(row(f"calls, each over its own connection: {name}", found[PLAIN], its))


if __name__ == "__main__":
    main()
