"""`hookline doctor` where something is really wrong: disks, limits, ports, etcd, clocks, keys, certificates."""

import asyncio
import base64
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd.client import EtcdAddress, EtcdClient
from hookline.version import __version__
from tests.certificates import Authority
from tests.end_to_end.processes import UNMEASURED, NodeProcess, running_node, until
from tests.etcd_members import EtcdMembers, free_ports
from tests.integration.live_clusters import LiveClusters
from tests.wrong_clock import set_clock

Checks = dict[str, dict[str, Any]]
ROOT_KEY = "the-root-key-of-these-tests"


def doctor(*options: str, before: Sequence[str] = (), environment: dict[str, str] | None = None) -> Checks:
    """All checks by name; the exit code says whether one is wrong."""
    command = [*before, sys.executable, "-m", "hookline.cli.app", "doctor", "--json", *options]
    clean = {name: value for name, value in UNMEASURED.items() if not name.startswith("HOOKLINE_")}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=clean | (environment or {}),
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    checks = {check["name"]: check for check in told["checks"]}
    assert len(checks) == len(told["checks"])
    assert done.returncode == int(not told["ok"])
    assert told["ok"] is all(check["ok"] for check in told["checks"])
    for check in told["checks"]:
        assert check["detail"], check
        assert (check["fix"] is None) is (check["state"] in ("ok", "not_checked")), check
    return checks


def wrong(checks: Checks) -> set[str]:
    return {name for name, check in checks.items() if not check["ok"]}


def on_tmpfs(place: Path, options: str) -> list[str]:
    """Before a command: it sees a small disk at that place, and nobody else does."""
    place.mkdir()
    return ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o {options} none {place} && exec "$@"', "sh"]


def node_of(data_dir: Path, *flags: str) -> list[str]:
    return ["node", "--", "--data-dir", str(data_dir), *flags]


# --- before the first start -----------------------------------------------------------------------------------


def test_it_works_before_the_first_start_and_says_what_it_did_not_check(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    checks = doctor(*node_of(tmp_path / "data", "--listen", f"127.0.0.1:{port}"))
    assert not wrong(checks)
    fine = {name for name, check in checks.items() if check["state"] != "not_checked"}
    assert {"config", "environment", "disk-space", "disk-write", "open-files", "ports", "time-zones"} <= fine
    for name in ("etcd-version", "topology", "certificates"):
        assert checks[name]["state"] == "not_checked"
    assert f"127.0.0.1:{port} is free" in checks["ports"]["detail"]
    assert not (tmp_path / "data").exists()  # it changes nothing


def test_settings_that_do_not_hold_are_told(tmp_path: Path) -> None:
    file = tmp_path / "hookline.toml"
    file.write_text(f'[node]\ndata-dir = "{tmp_path}"\nslots = 0\nretentoin = "7d"\n')
    checks = doctor("--config", str(file))
    assert "config" in wrong(checks)
    assert "slots" in checks["config"]["detail"]
    assert "did you mean retention" in checks["config"]["detail"]


def test_a_variable_that_nothing_reads_is_told() -> None:
    given = {"HOOKLINE_SLOT": "5", "HOOKLINE_SERVICE_PORT": "80", "HOOKLINE_PORT": "tcp://10.0.0.1:80"}
    checks = doctor(environment=given)
    assert wrong(checks) == {"environment"}
    assert checks["environment"]["detail"] == "nothing reads the variable HOOKLINE_SLOT"
    assert "HOOKLINE_SLOTS" in checks["environment"]["fix"]


def test_it_shows_a_person_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hookline.cli.app", "doctor", "--url", f"http://127.0.0.1:{free_ports(1)[0]}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=UNMEASURED)
    assert done.returncode == 1
    assert "WRONG   service" in done.stdout
    assert "→ Start it, or correct --url" in done.stdout
    assert "-       disk-space, disk-write, disk-kind: no data directory is named" in done.stdout
    assert "1 wrong" in done.stdout.splitlines()[-1]


# --- the machine ----------------------------------------------------------------------------------------------


def test_a_disk_with_little_room_and_one_of_memory_are_told(tmp_path: Path) -> None:
    place = tmp_path / "small"
    checks = doctor(*node_of(place), before=on_tmpfs(place, "size=1m"))
    assert {"disk-space", "disk-kind"} <= wrong(checks)
    assert "only 1 MiB of 1 MiB are free" in checks["disk-space"]["detail"]
    assert "tmpfs" in checks["disk-kind"]["detail"]


def test_a_disk_without_inodes_is_told(tmp_path: Path) -> None:
    place = tmp_path / "few"
    checks = doctor(*node_of(place), before=on_tmpfs(place, "size=2g,nr_inodes=50"))
    assert "more files fit" in checks["disk-space"]["detail"]
    assert not checks["disk-space"]["ok"]


def test_a_disk_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    place = tmp_path / "readonly"
    checks = doctor(*node_of(place), before=on_tmpfs(place, "ro"))
    assert "disk-write" in wrong(checks)
    assert "Read-only file system" in checks["disk-write"]["detail"]


def test_few_open_files_are_told(tmp_path: Path) -> None:
    checks = doctor(before=["prlimit", "--nofile=1024:1024"])
    assert wrong(checks) == {"open-files"}
    assert "1,024 files" in checks["open-files"]["detail"]


def test_a_port_that_somebody_else_holds_is_told_with_who_it_is(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen(1)
        port = held.getsockname()[1]
        checks = doctor(*node_of(tmp_path, "--listen", f"127.0.0.1:{port}"))
    assert "ports" in wrong(checks)
    assert f"(process {os.getpid()})" in checks["ports"]["detail"]


def test_an_address_of_another_machine_cannot_be_listened_at(tmp_path: Path) -> None:
    checks = doctor(*node_of(tmp_path, "--listen", "192.0.2.1:7070", "--no-auth"))
    assert "ports" in wrong(checks)
    assert "cannot be listened at" in checks["ports"]["detail"]


# --- etcd -----------------------------------------------------------------------------------------------------


def test_a_healthy_etcd_is_fine_but_for_advice(tmp_path: Path) -> None:
    with EtcdMembers(tmp_path / "etcd", 1) as etcd:
        checks = doctor("--etcd", etcd.endpoints[0])
    assert not wrong(checks)
    assert "one member" in checks["etcd-members"]["detail"]
    assert {checks[name]["state"] for name in ("etcd-alarms", "etcd-size", "etcd-settings")} == {"ok"}
    assert "agree within a second" in checks["clocks"]["detail"]


def test_a_sick_etcd_is_told(tmp_path: Path) -> None:
    options = ("--auto-compaction-retention=1", "--unsafe-no-fsync")
    with EtcdMembers(tmp_path / "etcd", 1, *options, quota_backend_bytes=25_000) as etcd:
        url = etcd.endpoints[0]
        asyncio.run(_raise_alarm(url))
        dead = f"http://127.0.0.1:{free_ports(1)[0]}"
        checks = doctor("--etcd", f"{url},{dead}")
    assert wrong(checks) == {"etcd-alarms", "etcd-members", "etcd-settings", "etcd-size"}
    assert "NOSPACE" in checks["etcd-alarms"]["detail"]
    assert f"{dead} does not answer" in checks["etcd-members"]["detail"]
    assert "--auto-compaction-retention=1" in checks["etcd-settings"]["detail"]
    assert "--unsafe-no-fsync" in checks["etcd-settings"]["detail"]
    assert "new jobs are refused" in checks["etcd-size"]["detail"]


async def _raise_alarm(url: str) -> None:
    client = EtcdClient(EtcdAddress((url,)))
    try:
        (status,) = await client.statuses(60)
        assert status is not None
        await client.alarms(rpc.AlarmRequest(action="ACTIVATE", memberID=status.header.member_id, alarm="NOSPACE"), 60)
    finally:
        await client.close()


# --- what runs ------------------------------------------------------------------------------------------------


def test_a_running_node_is_fine(tmp_path: Path) -> None:
    with running_node(tmp_path / "data") as node:
        url = f"http://127.0.0.1:{node.port}"
        checks = doctor("--url", url, *node_of(node.data_dir, "--listen", f"127.0.0.1:{node.port}"))
    assert not wrong(checks)
    assert checks["ports"]["detail"] == f"Hookline serves at 127.0.0.1:{node.port}"
    assert "1 node answers" in checks["nodes"]["detail"]
    assert checks["versions"]["detail"] == f"all are {__version__}"
    assert checks["secret-key"]["detail"].endswith("secret.key holds it")  # it asks nobody for a proof
    assert checks["clocks"]["state"] == "ok"
    assert "asks nobody for a key" in checks["api-keys"]["detail"]


def test_a_node_with_a_wrong_clock_is_told(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    set_clock(file, 3_600_000)
    (tmp_path / "data").mkdir()
    node = _WithClock(tmp_path / "data", file)
    node.start()
    try:
        checks = doctor("--url", f"http://127.0.0.1:{node.port}", *node_of(node.data_dir, "--listen", "127.0.0.1:0"))
    finally:
        node.kill()
    assert "clocks" in wrong(checks)
    assert re.search(f"127.0.0.1:{node.port} is \\+3,(600|599)", checks["clocks"]["detail"])


class _WithClock(NodeProcess):
    def __init__(self, data_dir: Path, clock: Path) -> None:
        super().__init__(data_dir)
        self._clock = clock

    def command(self) -> list[str]:
        python, m, _, *rest = super().command()
        return [python, m, "tests.wrong_clock", str(self._clock), *rest]


def test_another_key_than_that_of_the_node_is_told(tmp_path: Path) -> None:
    own, other = tmp_path / "root.key", tmp_path / "other.key"
    own.write_text(ROOT_KEY)
    other.write_text("another-root-key-of-these-tests")
    with running_node(tmp_path / "data", "--root-key-file", str(own)) as node:
        url = f"http://127.0.0.1:{node.port}"

        def with_key(file: Path) -> Checks:
            flags = ("--listen", "127.0.0.1:0", "--root-key-file", str(file))
            return doctor("--url", url, *node_of(node.data_dir, *flags))

        assert f"{url} has the same" in with_key(own)["secret-key"]["detail"]
        checks = with_key(other)
    assert "secret-key" in wrong(checks)
    assert f"{url} has another root key or secret key" in checks["secret-key"]["detail"]


def test_a_secret_key_that_others_may_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    file.write_text(base64.b64encode(b"x" * 32).decode())
    file.chmod(0o644)
    checks = doctor(*node_of(tmp_path, "--listen", "127.0.0.1:0", "--secret-key-file", str(file)))
    assert wrong(checks) == {"secret-key"}
    assert "open to other users" in checks["secret-key"]["detail"]


def test_a_key_that_ends_soon_is_told(tmp_path: Path) -> None:
    file = tmp_path / "root.key"
    file.write_text(ROOT_KEY)
    with running_node(tmp_path / "data", "--root-key-file", str(file)) as node:
        url, key = f"http://127.0.0.1:{node.port}", f"Bearer {ROOT_KEY}"
        for name, expires in (("soon", "3d"), ("never", None)):
            status, told = node.call(
                "POST", "/keys", {"name": name, "scopes": ["read"], "expires": expires}, authorization=key
            )
            assert status == 201, told
        assert "API key" in doctor("--url", url)["api-keys"]["detail"]  # without one it cannot know
        checks = doctor("--url", url, environment={"HOOKLINE_API_KEY": ROOT_KEY})
    assert wrong(checks) == {"api-keys"}
    assert "the key soon" in checks["api-keys"]["detail"]
    assert "the key never" in checks["api-keys"]["detail"]
    assert ROOT_KEY not in json.dumps(checks)


def test_certificates_that_end_soon_are_told_from_files_and_from_what_is_shown(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    cert, key = authority.pair("node", days=3)
    tls = ("--tls-cert", str(cert), "--tls-key", str(key), "--tls-ca", str(authority.ca))
    checks = doctor(*node_of(tmp_path / "new", "--listen", "127.0.0.1:0", *tls))
    assert "certificates" in wrong(checks)
    assert f"{cert} (--tls-cert) ends in 3.0 days" in checks["certificates"]["detail"]
    node = NodeProcess(tmp_path / "data", *tls)
    node.tls = authority_context(authority)
    node.data_dir.mkdir()
    node.start()
    try:
        url = f"https://127.0.0.1:{node.port}"
        checks = doctor("--url", url, "--ca-file", str(authority.ca))
    finally:
        node.kill()
    assert wrong(checks) == {"certificates"}
    assert f"what {url} shows ends in 3.0 days" in checks["certificates"]["detail"]


def authority_context(authority: Authority) -> Any:
    import ssl

    return ssl.create_default_context(cafile=str(authority.ca))


def test_clusters_behind_a_proxy_are_examined_and_one_that_is_down_is_told(tmp_path: Path) -> None:
    clusters = LiveClusters(tmp_path, 2)
    try:
        door = clusters.open_proxy(clusters.topology(1, "c0", "c1"))
        url = f"http://127.0.0.1:{door.port}"
        until(lambda: bool(door.get("/health").json["epoch"] == 1), "the proxy knows")
        until(lambda: not wrong(doctor("--url", url)), "the nodes know the epoch, too")
        checks = doctor("--url", url)
        assert "all know epoch 1 with 2 clusters" in checks["topology"]["detail"]
        assert checks["moves"]["detail"] == "the topology is stable"
        clusters.stop("c1")
        until(lambda: door.get("/clusters").json["incomplete"] == ["c1"], "the proxy has noticed")
        checks = doctor("--url", url)
        assert "nodes" in wrong(checks)
        assert "of c1 does not answer from here: " in checks["nodes"]["detail"]
    finally:
        clusters.close()


def test_a_proxy_that_knows_another_document_is_told(tmp_path: Path) -> None:
    clusters = LiveClusters(tmp_path, 2)
    try:
        first = clusters.open_proxy(clusters.topology(1, "c0"))
        second = clusters.open_proxy(clusters.topology(1, "c1"))
        for door in (first, second):
            until(_knows(door), "the proxy knows")
        checks = doctor("--url", f"http://127.0.0.1:{first.port}", "--also", f"http://127.0.0.1:{second.port}")
    finally:
        clusters.close()
    assert "topology" in wrong(checks)
    assert "2 documents with the epoch 1" in checks["topology"]["detail"]


def _knows(door: Any) -> Callable[[], bool]:
    return lambda: bool(door.get("/health").json["epoch"] == 1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}"])
def test_a_closed_port_is_told(url: str) -> None:
    checks = doctor("--url", url.format(port=free_ports(1)[0]))
    assert wrong(checks) == {"service"}
    assert "Connection refused" in checks["service"]["detail"]


@pytest.mark.parametrize("text", [None, "garbage"])
def test_a_topology_file_that_a_proxy_cannot_start_with_is_wrong(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "topology.toml"
    if text is not None:
        file.write_text(text)
    checks = doctor("proxy", "--", "--topology", str(file), "--listen", "127.0.0.1:0")
    assert "config" in wrong(checks)
    assert "topology" in checks["config"]["detail"]
