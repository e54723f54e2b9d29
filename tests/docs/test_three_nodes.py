"""The guides for who runs three nodes, followed: on one machine and on three, a backup, a lost node, a lost etcd."""

import json
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import hookline
from hookline import Client
from tests.docs.here import Here
from tests.docs.machines import GUIDE, Machines
from tests.docs.pages import ROOT
from tests.docs.reader import Reader
from tests.end_to_end.processes import until

ROOT_KEY = "the-root-key-of-three-machines"


def test_three_nodes_on_one_machine_and_their_backup(tmp_path: Path) -> None:
    directory = tmp_path / "reader"
    words = {"apt-get install etcd-server": "etcd --version", "/home/me/demo": f"{directory}/demo"}
    with Reader(GUIDE, directory, Here(words), is_measured=True) as page:
        page.follow("1. Two keys")
        page.leave()
        page.client.create_job("https://shop.example.com/hook", id="waits", delay="1h")
        stack = page.served("hookline up")
        leader = page.client.cluster().leader
        page.run(f"pkill -9 -f '{directory}/demo/{leader} '")
        until(lambda: f"{leader} ended with code -9" in stack.shown(), "it is reported")
        until(lambda: _leads(page.client), "another one leads")
        stack.signal()
        page.run(f"pgrep -f {directory}/demo", fails=True)
        page.run("hookline up --nodes 3 --data-dir demo")
        assert page.client.get_job("waits").state == "pending"
        _back_up_and_restore(tmp_path, page)


def _leads(client: Client) -> bool:
    try:
        return client.cluster().term > 1
    except hookline.HooklineError:
        return False


def _back_up_and_restore(tmp_path: Path, stack: Reader) -> None:
    demo = stack.directory / "demo"
    nodes = json.loads((demo / "stack.json").read_text())["nodes"]
    words = {
        "http://10.0.0.2:7070": f"http://127.0.0.1:{nodes['n2']}",
        "/backups": f"{tmp_path}/backups",
        "/var/lib/hookline-new": f"{tmp_path}/new",
        "/safe/secret.key": f"{demo}/secret.key",
        "FILE": f"{tmp_path}/backups/hookline-2026-11-24.db",
        "/tmp/trial": f"{tmp_path}/trial",
    }
    (tmp_path / "backups").mkdir()
    here = Here(words, stack.here.ports)
    guide = "docs/how-to/backup-and-restore.md"
    with Reader(guide, tmp_path / "backup", here, COLUMNS="250") as page:  # wide, as paths are long here
        page.follow("Restore a single node")
        stack.served("hookline up").signal()
        page.follow("Try it")
        assert page.client.get_job("waits").state == "pending"
        page.served("hookline up").signal()
        page.follow()
        for node in ("n1", "n2", "n3"):  # "on one machine", which stands in the text
            page.run(f"hookline restore --from FILE --data-dir {tmp_path}/DIR/{node}")
        page.run(f"cp {demo}/secret.key {tmp_path}/DIR/secret.key")
        page.run(f"hookline up --nodes 3 --data-dir {tmp_path}/DIR")
        assert page.client.get_job("waits").state == "pending"
        assert page.client.cancel_job("waits").state == "cancelled", "it takes writes"
        page.served("hookline up").signal()


def test_three_nodes_on_three_machines_one_lost_and_etcd_lost(tmp_path: Path) -> None:
    words = {
        " -o root -g hookline": "",
        "systemctl enable --now hookline": "true",  # the machines do that
        "openssl rand -hex 32": f"echo {ROOT_KEY}",
    }
    with (
        Machines(tmp_path / "machines") as machines,
        Reader(
            GUIDE,
            tmp_path / "reader",
            Here(words, usual=machines.words),
            url="http://10.0.0.1:7070",
            api_key=ROOT_KEY,
        ) as page,
    ):
        page.leave("1. Two keys")
        page.follow("2. etcd")
        machines.start_etcd()
        machines.start_nodes(1, 2, 3)
        for number in (1, 2, 3):
            until(partial(machines.is_halted, number), "it serves, and waits for the cluster's id")
        page.follow()
        for number in (1, 2, 3):
            until(partial(machines.is_ready, number), "it is ready")
        page.client.create_job("https://shop.example.com/hook", id="waits", delay="1h")
        _clock_wrong(tmp_path, machines)
        _replace_a_node(tmp_path, machines)
        _etcd_was_lost(tmp_path, machines, page.client)


def _opened(guide: str, directory: Path, here: Here) -> Reader:
    """One of "docs/how-to/clock-wrong.md", "docs/how-to/replace-a-node.md", "docs/how-to/etcd-was-lost.md"."""
    url = "http://10.0.0.1:7070"
    return Reader(f"docs/how-to/{guide}.md", directory, here, url=url, HOOKLINE_API_KEY=ROOT_KEY)


def _clock_wrong(tmp_path: Path, machines: Machines) -> None:
    here = Here(usual=machines.words)
    with _opened("clock-wrong", tmp_path / "clock", here) as page:
        page.follow()


def _replace_a_node(tmp_path: Path, machines: Machines) -> None:
    machines.nodes[2].signal(signal.SIGKILL)
    here = Here({"/var/lib/hookline": f"{machines.data_dir(9)}"}, usual=machines.words)
    with _opened("replace-a-node", tmp_path / "replacing", here) as page:
        page.follow()
        shown = json.loads(page.run("hookline cluster show --json --url http://10.0.0.9:7070"))
        assert ("n2", "http://10.0.0.9:7070") in [(node["name"], node["url"]) for node in shown["nodes"]]
        page.served("hookline serve").signal(signal.SIGKILL)
        page.run("export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=http://10.0.0.1:2379")
        assert page.run("etcdctl del /hookline/c0/nodes/n2") == "1\n"  # as the text says


def _etcd_was_lost(tmp_path: Path, machines: Machines, client: Client) -> None:
    machines.nodes[3].signal()
    machines.nodes[1].signal(signal.SIGKILL)
    machines.stop_etcd()
    for number in (1, 2, 3):
        shutil.rmtree(machines.etcd_dir(number))
    shutil.rmtree(machines.data_dir(2))
    shutil.move(machines.data_dir(9), machines.data_dir(2))
    shutil.move(machines.data_dir(3) / "state.db", machines.data_dir(1) / "state.db.replaced-1204200")
    shutil.rmtree(machines.data_dir(3))
    words = {"http://10.0.0.1:2379,… ": "http://10.0.0.1:2379 ", "/var/lib/hookline": str(machines.data_dir(1))}
    with _opened("etcd-was-lost", tmp_path / "lost", Here(words, usual=machines.words)) as page:
        machines.start_etcd()
        machines.start_nodes(1, 2, 3)
        for number in (1, 2, 3):
            until(partial(machines.is_halted, number), "it says that it waits for a person")
        page.follow("Jobs that are in a state that was kept aside")
        until(lambda: machines.is_ready(1), "it goes on")
        client.delete_job("waits")
        page.follow()
        assert "1 jobs are not known to the service, 1 were made" in page.shown
        assert client.get_job("waits").state == "pending"


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd")
    for unit in (ROOT / "deploy" / "systemd").glob("*.service"):
        text = unit.read_text().replace("/opt/hookline/bin/hookline", str(Path(sys.executable).with_name("hookline")))
        (tmp_path / unit.name).write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", tmp_path / unit.name], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
