"""TLS with real processes: three nodes, workers and proxies that let in only each other, while things go wrong."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

import hookline
from hookline import Client
from hookline.tls.files import TlsFiles
from hookline.tls.live import LiveTls
from tests.certificates import Authority
from tests.chaos import faults
from tests.chaos.checker import Findings
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Fault
from tests.chaos.scenario import SLOTS, Run, running
from tests.end_to_end.processes import CLOCK, UNMEASURED, NodeProcess, journal_receiver, until
from tests.etcd_members import free_ports

CLI = (sys.executable, "-m", "hookline.cli.app")


class Served(NodeProcess):
    """``hookline serve``, alone, with a second address for other processes."""

    def __init__(self, data_dir: Path, inner_port: int, files: TlsFiles) -> None:
        super().__init__(data_dir)
        self._listen = ("--listen", "127.0.0.1:0", "--listen-internal", f"127.0.0.1:{inner_port}", *options(files))

    def command(self) -> list[str]:
        return [*CLI, "serve", "--data-dir", str(self.data_dir), *self._listen]


@contextmanager
def fleet(data_dir: Path, *stack: str, files: TlsFiles) -> Iterator[NodeProcess]:
    """``hookline up``; its front door is called as these files say."""
    node = NodeProcess(data_dir, *stack)
    node.tls = LiveTls(files, CLOCK).client_context()
    node.start()
    try:
        yield node
    finally:
        node.kill()


def cli(*arguments: str) -> str:
    return subprocess.run([*CLI, *arguments], env=UNMEASURED, capture_output=True, text=True, check=True).stdout


def lets_in_nobody_else(url: str, authority: Authority) -> None:
    with (
        Client(url, ca_file=authority.ca, retries=0) as stranger,
        pytest.raises(hookline.ConnectionFailed, match="asks for a client certificate"),
    ):
        stranger.health()
    with (
        Client(url.replace("https:", "http:"), retries=0) as plain,
        pytest.raises(hookline.InvalidRequest, match="https://"),
    ):
        plain.health()


def options(files: TlsFiles) -> list[str]:
    return [part for option, file in files.named().items() for part in (option, str(file))]


def shown(node: NodeProcess) -> bytes | None:
    """The certificate that a new connection is shown."""
    assert node.tls is not None
    with (
        socket.create_connection((node.host, node.port), timeout=60) as wire,
        node.tls.wrap_socket(wire, server_hostname=node.host) as connection,
    ):
        return connection.getpeercert(binary_form=True)


def certificates_changed(authority: Authority) -> Fault:
    """New ones in the place of the old, as an operator copies them: one file after the other."""

    def fault(run: Run) -> None:
        for _ in range(3):
            before = {node.name: shown(node) for node in run.cluster.nodes}
            authority.pair("all")
            for node in run.cluster.nodes:
                os.kill(node.pid, signal.SIGHUP)
            for node in run.cluster.nodes:
                until(partial(_shows_another, node, before[node.name]), f"{node.name} shows the new one")
            run.rest_a_moment()

    return fault


def _shows_another(node: NodeProcess, than: bytes | None) -> bool:
    return shown(node) != than


def survive(cluster: Cluster, *what: Fault) -> tuple[Findings, int]:
    """The account after these faults under load, and how many nodes took over the state of another one."""
    seed = CLOCK.wall_ms() % 10**6
    print(f"seed {seed}")
    with running(cluster, seed) as run:
        with run.load():
            for fault in what:
                fault(run)
        findings = run.settle_and_check()
        installed = sum(node.log.read_text().count("state_installed") for node in cluster.nodes)
    assert not findings.broken()
    assert findings.jobs > 100, "there was hardly any load"
    return findings, installed


def test_three_nodes_that_let_in_only_each_other_survive_what_others_do(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    cluster = Cluster(tmp_path / "cluster", "--slots", str(SLOTS), tls=authority.files("all", mutual=True))
    _, installed = survive(cluster, faults.leader_killed, faults.flipped_bit, faults.leader_killed)
    assert installed, "the one whose disk was harmed has got the state of another, over TLS"


def test_certificates_change_and_nodes_restart_under_load_and_no_call_fails(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    tls = authority.files("all", mutual=True)
    cluster = Cluster(
        tmp_path / "cluster", "--slots", str(SLOTS), tls=tls, mode="workers", workers=1, worker_slots=SLOTS
    )
    findings, _ = survive(cluster, certificates_changed(authority), faults.handover, faults.rolling_restart)
    assert not findings.failed_calls
    assert findings.explained == 0


def test_a_fleet_speaks_tls_on_every_port_and_lets_in_nobody_else(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    files = authority.files("all", mutual=True)
    cert, key = authority.pair("client")
    stack = ("--nodes", "3", "--proxies", "1", "--mode", "hybrid", *options(files))
    with journal_receiver() as (port, journal), fleet(tmp_path / "data", *stack, files=files) as up:
        url = f"https://127.0.0.1:{up.port}"
        with Client(url, ca_file=authority.ca, cert=(cert, key)) as client:
            until(lambda: len(client.cluster().nodes) == 3, "each node has told the others of itself")
            urls = [url, *(node.url for node in client.cluster().nodes)]
            assert all(each.startswith("https://") for each in urls)
            job = client.create_job(f"http://127.0.0.1:{port}/", payload={"n": 1})
            assert client.wait_for_job(job.id, timeout=60).state == "succeeded"
        for each in urls:
            lets_in_nobody_else(each, authority)
        trust = ("--ca-file", str(authority.ca), "--client-cert", str(cert), "--client-key", str(key))
        listed = cli("jobs", "list", "--url", url, *trust, "--json")
        assert [one["id"] for one in json.loads(listed)["data"]] == [job.id]
        cli("backup", "--url", urls[1], *trust, "--out", str(tmp_path / "backup.db"))
        refused = subprocess.run(
            [*CLI, "jobs", "list", "--url", url], env=UNMEASURED, capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1
        assert "the server's certificate is not trusted" in refused.stderr
        assert "--ca-file" in refused.stderr
    assert journal.count(job.id) == 1


def test_api_processes_speak_tls_and_take_new_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    files = authority.files("all")
    with fleet(tmp_path / "data", "--api-processes", "2", *options(files), files=files) as node:
        before = shown(node)
        with Client(f"https://127.0.0.1:{node.port}", ca_file=authority.ca) as client:
            assert client.create_job("http://127.0.0.1:9/", delay="1h").state == "pending"
            assert client.cluster().nodes[0].url.startswith("https://127.0.0.1:")
        authority.pair("all")
        until(lambda: all(shown(node) != before for _ in range(8)), "both show the new one, without being told")
        assert node.stop() == 0


def test_both_addresses_of_a_node_speak_tls_and_let_in_nobody_else(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    files = authority.files("node", mutual=True)
    [inner] = free_ports(1)
    node = Served(tmp_path / "data", inner, files)
    node.tls = LiveTls(files, CLOCK).client_context()
    node.start()
    try:
        pair = authority.pair("client")
        for port in (node.port, inner):
            with Client(f"https://127.0.0.1:{port}", ca_file=authority.ca, cert=pair) as client:
                assert client.health().status == "ok"
            lets_in_nobody_else(f"https://127.0.0.1:{port}", authority)
        with Client(f"https://127.0.0.1:{node.port}", ca_file=authority.ca, cert=pair) as client:
            assert [each.url for each in client.cluster().nodes] == [f"https://127.0.0.1:{inner}"]
        trust = ("--ca-file", str(authority.ca), "--client-cert", str(pair[0]), "--client-key", str(pair[1]))
        cli("backup", "--url", f"https://127.0.0.1:{inner}", *trust, "--out", str(tmp_path / "backup.db"))
    finally:
        assert node.stop() == 0


def test_hookline_up_makes_certificates_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "tls"
    node = NodeProcess(tmp_path / "data", "--tls")
    node.tls = ssl.create_default_context()
    made = []
    for _ in range(2):
        node.start()
        try:
            with Client(f"https://127.0.0.1:{node.port}", ca_file=folder / "ca.pem") as client:
                assert client.health().status == "ok"
        finally:
            assert node.stop() == 0
        made.append((folder / "server.pem").read_bytes())
    assert made[0] == made[1], "it is taken again"
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir())
    assert f"export HOOKLINE_CA_FILE={folder / 'ca.pem'}" in node.log.read_text()
