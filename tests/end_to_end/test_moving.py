"""A fleet grows and shrinks while it works, by the command line alone; all of it real processes."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.fleet import Fleet, ServedNode, running
from tests.end_to_end.processes import Journal, journal_receiver, until

PENDING = 200


def hookline(*words: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "hookline.cli.app", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def told(*words: object) -> Any:
    """The JSON that a command prints."""
    done = hookline(*words, "--json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


class Load:
    """Creates a job through each proxy in turn, waits until it was delivered, and goes on; each call has to succeed."""

    def __init__(self, fleet: Fleet, port: int, journal: Journal) -> None:
        self.names: list[str] = []
        self.failures: list[object] = []
        self._fleet = fleet
        self._url = f"http://127.0.0.1:{port}/"
        self._journal = journal
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._is_over.is_set() and not self.failures:
            name = f"load-{len(self.names)}"
            proxy = self._fleet.proxies[len(self.names) % len(self._fleet.proxies)]
            status, job = proxy.call("POST", "/jobs", {"id": name, "url": self._url})
            if status != 201:
                self.failures.append((status, job))
                return
            self.names.append(name)
            with self._journal.arrived:
                if not self._journal.arrived.wait_for(lambda name=name: self._journal.count(name), 60):  # type: ignore[misc]
                    self.failures.append(f"{name} was not delivered")

    def goes_on(self) -> bool:
        """More jobs were delivered since."""
        before = len(self.names)
        until(lambda: len(self.names) > before + 5 or bool(self.failures), "the load goes on")
        return not self.failures


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with running(Fleet([ServedNode(tmp_path / "c0", 0)], 2, tmp_path, {})) as fleet:
        yield fleet


@pytest.fixture
def others(tmp_path: Path) -> Iterator[list[ServedNode]]:
    """Clusters c1 and c2, which the fleet does not know yet."""
    nodes = [ServedNode(tmp_path / f"c{shard}", shard) for shard in (1, 2)]
    try:
        for node in nodes:
            node.start()
        yield nodes
    finally:
        for node in nodes:
            node.kill()


def file_of(directory: Path, *nodes: ServedNode) -> Path:
    """A topology of these clusters, without an epoch."""
    file = directory / f"{'-'.join(node.cluster for node in nodes)}.toml"
    entries = (
        f'[[cluster]]\nname = "{node.cluster}"\nshard = {node.shard}\nnodes = ["http://{node.address}"]\n'
        for node in nodes
    )
    file.write_text("".join(entries))
    return file


@pytest.mark.slow
def test_a_laptop_is_outgrown_and_left(fleet: Fleet, others: list[ServedNode], tmp_path: Path) -> None:
    """1 → 2, taken back on the way; 1 → 2; 2 → 1. No call fails, nothing is lost or doubled."""
    first, (given_up, second) = fleet.nodes["c0"], others
    at = ["--url", f"http://{fleet.proxies[0].address}"]
    with journal_receiver() as (port, journal):
        url = f"http://127.0.0.1:{port}/"
        pending = [f"pending-{number}" for number in range(PENDING)]
        jobs = [{"id": name, "url": url, "delay": "1h"} for name in pending]
        status, made = fleet.proxies[0].call("POST", "/jobs/batch", {"jobs": jobs})
        assert status == 200, made
        status, minted = fleet.proxies[0].call("POST", "/jobs", {"url": url, "delay": "1h"})
        assert status == 201, minted
        pending.append(minted["id"])
        with Load(fleet, port, journal) as load:
            grow = file_of(tmp_path, first, given_up)
            plan = told("topology", "plan", grow, *at)
            assert (plan["problems"], plan["pairs"][0]["to"]) == ([], "c1")
            assert plan["jobs"] > PENDING / 3
            applied = told("topology", "apply", grow, "--rate", 40, "--no-wait", *at)
            assert (applied["epoch"], applied["status"]["state"]) == (2, "moving")
            assert told("topology", "pause", *at)["state"] == "paused"
            assert load.goes_on()
            assert told("topology", "abort", *at)["state"] == "aborting"
            assert told("topology", "resume", "--full-speed", *at)["state"] in ("aborting", "stable")
            assert told("topology", "status", "--watch", *at)["state"] == "stable"
            assert [one["name"] for one in told("topology", "show", *at)["cluster"]] == ["c0"]
            assert load.goes_on()

            grown = hookline("topology", "apply", file_of(tmp_path, first, second), *at)
            assert grown.returncode == 0, grown
            assert "the change has ended" in grown.stdout
            assert load.goes_on()
            left = told("topology", "plan", file_of(tmp_path, first, second), *at)
            assert (left["jobs"], left["problems"]) == (0, [])

            shrunk = hookline("topology", "apply", file_of(tmp_path, second), *at)
            assert shrunk.returncode == 0, shrunk
            assert "cluster c0 can be switched off" in shrunk.stdout
            assert load.goes_on()
            archive = tmp_path / "c0.jsonl"
            kept = hookline("export", archive, "--attempts", "--url", f"http://{first.address}")
            assert kept.returncode == 0, kept
            first.stop()
            assert load.goes_on()
        assert not load.failures, load.failures
        for name in pending:
            for proxy in fleet.proxies:
                status, job = proxy.call("GET", f"/jobs/{name}")
                assert (status, job["state"]) == (200, "pending"), job
            assert fleet.proxies[1].call("POST", f"/jobs/{name}/run")[0] == 200
        everything = [*pending, *load.names]
        until(lambda: all(journal.count(name) for name in everything), "all are delivered")
        until(lambda: fleet.proxies[0].call("GET", "/jobs?state=running")[1]["data"] == [], "that is recorded")
        assert [name for name in everything if journal.count(name) != 1] == []
    lines = [json.loads(line) for line in archive.read_text().splitlines()]
    assert {line["job"]["state"] for line in lines} == {"succeeded"}
    assert {line["job"]["id"] for line in lines} <= set(load.names)
    assert all(line["attempts"][0]["status"] == 200 for line in lines)
    assert lines
