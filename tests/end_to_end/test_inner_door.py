"""Three nodes that ask for keys and have a door of their own for each other, a proxy and a worker, as processes."""

import base64
import json
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.chaos import faults
from tests.chaos.cluster import NAMES, Cluster
from tests.chaos.scenario import running
from tests.end_to_end.guarded import ROOT, GuardedNode, guarded, proxy_before
from tests.end_to_end.processes import CLOCK, UNMEASURED, until

SECRET = "whsec_" + base64.b64encode(b"a signing secret that nobody finds").decode()
PAYLOAD = "a payload that everybody finds"
CLI = (sys.executable, "-m", "hookline.cli.app")


def test_nodes_proxies_and_workers_call_each_other_where_nobody_else_does(tmp_path: Path) -> None:
    seed = CLOCK.wall_ms() % 10**6
    print(f"seed {seed}")
    cluster, nodes = guarded(tmp_path, "--attempt-processes", "0")
    with running(cluster, seed) as run:
        run.timeout, run.slots = "2s", 3 * (16 + 2)
        cluster.wait_for_runners(*NAMES)
        with run.load():
            faults.leader_killed(run)
            faults.flipped_bit(run)  # the node installs the state of another one
            run.runners_lost = sum(node.losses for node in nodes)  # in the mode hybrid each of them attempts
            cluster.set_mode("workers")
            cluster.wait_for_runners("w1")
            run.wait_for_requests(30)
            faults.handover(run)
        findings = run.settle_and_check()
        assert not findings.broken()
        assert findings.jobs > 100
        refused = [line for node in nodes for line in node.log.read_text().splitlines() if "proof_refused" in line]
        assert not refused
        for node in nodes:
            shown = {"authorization": f"Bearer {ROOT}"}
            assert node.raw_call("GET", "/internal/snapshot", None, shown)[0] == 404
        _proxy_works(cluster, nodes)
        _backup_needs_a_key(tmp_path, nodes)
        for node in nodes:
            until(lambda node=node: node.applied() == cluster.leader().applied(), "all is on every node")  # type: ignore[misc]
        _no_secret_is_written_down(tmp_path, nodes)


def _no_secret_is_written_down(directory: Path, nodes: Sequence[GuardedNode]) -> None:
    """Etcd, data directories and backups show payloads, and no secret; and there is no socket in them."""
    key = (directory / "secret.key").read_bytes()
    planted = (
        SECRET.encode(),
        base64.b64decode(SECRET.removeprefix("whsec_")),
        key,
        base64.b64decode(key),
        ROOT.encode(),
    )
    for place in (directory / "etcd", *(node.data_dir for node in nodes), directory / "backup.db"):
        files = [file for file in (place, *place.rglob("*")) if not file.is_dir()]
        contents = {file.name: file.read_bytes() for file in files}
        assert any(PAYLOAD.encode() in content for content in contents.values()), f"{place} is looked at rightly"
        assert [(name, text) for name, content in contents.items() for text in planted if text in content] == []
        assert not [file for file in files if stat.S_ISSOCK(file.stat().st_mode)]
    for file in (file for node in nodes for file in node.data_dir.rglob("*")):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, f"other users of the machine may read {file}"


def _proxy_works(cluster: Cluster, nodes: Sequence[GuardedNode]) -> None:
    proxy = proxy_before(nodes)
    proxy.start()
    try:
        job = {"url": "https://example.com/", "delay": "1h", "secret": SECRET, "payload": PAYLOAD}
        status, made = proxy.call("POST", "/jobs", job)
        assert status == 201, made
        assert proxy.call("GET", f"/jobs/{made['id']}")[1]["state"] == "pending"
        assert cluster.leader().call("GET", f"/jobs/{made['id']}")[0] == 200
        assert proxy.call("GET", "/topology")[1]["epoch"] == 1, "the cluster took it, as its proof was right"
        assert proxy.call("GET", "/internal/cluster")[0] == 404
        assert proxy.call("GET", "/jobs", authorization="Bearer x")[0] == 401
    finally:
        proxy.stop()


def _backup_needs_a_key(directory: Path, nodes: Sequence[GuardedNode]) -> None:
    backup = (*CLI, "backup", "--url", nodes[0].inner_url, "--out", str(directory / "backup.db"))
    without = subprocess.run(backup, env=UNMEASURED, capture_output=True, text=True, check=False)
    assert (without.returncode, "wants a key with the scope admin" in without.stderr) == (1, True), without.stderr
    shown = ("--api-key-file", str(directory / "root.key"))
    subprocess.run([*backup, *shown], env=UNMEASURED, capture_output=True, text=True, check=True)
    survey = (*CLI, "cluster", "survey", "--etcd", ",".join(nodes[0].etcd), "--json")
    without = subprocess.run(survey, env=UNMEASURED, capture_output=True, text=True, check=False)
    assert (without.returncode, "--root-key-file" in without.stderr) == (1, True), without.stderr
    told = subprocess.run(
        [*survey, "--root-key-file", str(directory / "root.key")],
        env=UNMEASURED,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [node["name"] for node in json.loads(told.stdout)["nodes"]] == list(NAMES)
