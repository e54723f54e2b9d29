"""``hookline up --nodes 3`` as users start it: real etcd, three nodes, one of them killed, a backup, a clean end."""

import json
import os
import shutil
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from hookline import Client
from tests.end_to_end.processes import journal_receiver, supervised, until
from tests.end_to_end.test_cli_up import ended, start


def three_nodes(data_dir: Path) -> AbstractContextManager[tuple[subprocess.Popen[str], str]]:
    return supervised(data_dir, "--nodes", "3")


def cluster(url: str) -> Any:
    with Client(url) as client:
        return client.cluster()


def applied(url: str) -> list[int]:
    """The newest entry of each node that is known."""
    return [node.applied for node in cluster(url).nodes]


def pid_of(node: str, data_dir: Path) -> int:
    """Of the process that runs a node of this stack."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if "serve" in words and str(data_dir / node) in words:
                return int(process.name)
    raise AssertionError(f"{node} does not run")


def command(*tokens: str) -> tuple[int, str, str]:
    process = start(*tokens)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_three_nodes_survive_the_loss_of_one_and_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "stack"
    with journal_receiver() as (port, journal), three_nodes(data) as (process, url), Client(url) as client:
        hook = f"http://127.0.0.1:{port}/hook"
        first = client.create_job(hook)
        assert client.wait_for_job(first.id, timeout=20).state == "succeeded"
        until(lambda: len(cluster(url).nodes) == 3, "all nodes know of each other")
        nodes = {node.name: node for node in cluster(url).nodes}
        others = [node.url for name, node in nodes.items() if name != "n1"]
        with Client(others[0]) as other:
            assert other.get_job(first.id).state == "succeeded", "every node takes every request"

        killed = cluster(url).leader
        survivors = [node.url for name, node in nodes.items() if name != killed]
        os.kill(pid_of(killed, data), signal.SIGKILL)
        with Client(survivors[0]) as survivor:
            second = survivor.create_job(hook)
            assert survivor.wait_for_job(second.id, timeout=20).state == "succeeded"
        until(lambda: f"{killed} ended with code -9" in data.with_suffix(".err").read_text(), "it is reported")
        with Client(url, timeout=5) as front:
            until(lambda: _is_up(front), "the front door, which may have been the node that was killed, serves again")
            later = front.create_job(hook, delay="1h")

        code, out, err = command("backup", "--url", survivors[0], "--out", str(tmp_path / "b.db"), "--json")
        assert code == 0, err
        assert json.loads(out)["index"] > 0
        assert ended(process, signal.SIGINT)[0] == 0
        assert [journal.count(job.id) for job in (first, second)] == [1, 1]

    with three_nodes(data) as (process, url), Client(url) as client:
        assert client.get_job(later.id).state == "pending"
        assert ended(process)[0] == 0

    restore(tmp_path / "b.db", tmp_path / "alone")
    copy_key(data, tmp_path / "alone")
    single = start("up", "--port", "0", "--data-dir", str(tmp_path / "alone"))
    try:
        assert single.stdout
        check_restored(single.stdout.readline().removeprefix("ready ").strip(), first.id, later.id)
        assert ended(single)[0] == 0
    finally:
        single.kill()
        single.communicate()

    for name in ("n1", "n2", "n3"):
        restore(tmp_path / "b.db", tmp_path / "new" / name)
    copy_key(data, tmp_path / "new")
    with three_nodes(tmp_path / "new") as (process, url):
        check_restored(url, first.id, later.id)
        until(lambda: len(applied(url)) == 3 and len(set(applied(url))) == 1, "all nodes are at the same entry")
        assert ended(process)[0] == 0


def restore(backup: Path, data_dir: Path) -> None:
    code, _, err = command("restore", "--from", str(backup), "--data-dir", str(data_dir))
    assert code == 0, err


def copy_key(old: Path, new: Path) -> None:
    shutil.copy2(old / "secret.key", new / "secret.key")


def check_restored(url: str, delivered: str, planned: str) -> None:
    with Client(url) as client:
        assert client.get_job(delivered).state == "succeeded"
        assert client.get_job(planned).state == "pending"
        assert client.cancel_job(planned).state == "cancelled", "it takes writes"


def _is_up(client: Client) -> bool:
    try:
        return client.health().status == "ok"
    except Exception:  # noqa: BLE001 - whatever it is, it is not up
        return False
