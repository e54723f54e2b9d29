"""The checks of `hookline doctor` that no machine of a test can be made to fail: from what they are told."""

import re
from pathlib import Path
from typing import Any

import pytest

from hookline.cli.doctor import machine, settings
from hookline.cli.doctor.etcd_checks import HeardEtcd, etcd_findings
from hookline.cli.doctor.finding import Ailment, Finding, judged, unchecked
from hookline.cli.doctor.fleet import HeardFleet, HeardProcess
from hookline.cli.doctor.service_checks import clock_finding, service_findings
from hookline.clock import SystemClock
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.protocol import http, http_keys, http_moves
from hookline.protocol.topology import ClusterEntry, Topology

NOW_MS = 1_795_002_400_000  # 2026-11-18
URL = "http://10.0.0.1:7070"
SOURCES = Path(__file__).parents[2] / "src" / "hookline"


def test_the_worst_comes_first_and_advice_alone_is_not_wrong() -> None:
    advice, bad = Ailment("odd", "look", is_wrong=False), Ailment("bad", "act")
    assert judged("n", "fine", []) == Finding("n", True, "ok", "fine")
    assert judged("n", "", [advice]) == Finding("n", True, "advice", "odd", "look")
    assert judged("n", "", [advice, bad, bad]) == Finding("n", False, "wrong", "bad; odd", "act; look")
    assert unchecked("n", "why").ok


# --- the machine ----------------------------------------------------------------------------------------------


class SlowDisk(SystemClock):
    """Each write is durable only after a while."""

    def __init__(self, sync_ms: float) -> None:
        super().__init__()
        self.sync_ms, self.passed_ms = sync_ms, 0.0

    def boot_ms(self) -> float:
        return self.passed_ms

    def sync(self, _number: int) -> None:
        self.passed_ms += self.sync_ms


@pytest.mark.parametrize("below", ["", "sub"])
def test_a_file_where_the_directory_should_be_is_wrong(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.touch()
    disk = SlowDisk(1.0)
    found = {one.name: one for one in machine.disk_findings(file / below, disk.sync, disk)}
    assert (found["disk-write"].state, found["disk-write"].detail) == ("wrong", f"{file} is no directory")


@pytest.mark.parametrize(("sync_ms", "state"), [(2.0, "ok"), (50.0, "advice"), (300.0, "wrong")])
def test_a_slow_disk_is_told(tmp_path: Path, sync_ms: float, state: str) -> None:
    disk = SlowDisk(sync_ms)
    tmp_path.chmod(0o700)
    found = {one.name: one for one in machine.disk_findings(tmp_path, disk.sync, disk)}
    assert found["disk-write"].state == state
    assert f"{sync_ms:.1f} ms" in found["disk-write"].detail
    assert list(tmp_path.iterdir()) == []


def test_the_file_system_of_a_place_is_the_one_mounted_nearest(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:5 / /var/lib/a\\040b rw shared:1 - nfs4 server:/x rw\n"
        "3 1 0:6 / /var/lib/hooklines rw - tmpfs none rw\n"
    )
    assert machine.file_system(Path("/var/lib/hookline"), mounts) == "ext4"
    assert machine.file_system(Path("/var/lib/a b/data"), mounts) == "nfs4"
    assert machine.file_system(Path("/"), tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("limit", "killed", "state"),
    [
        ("max", 0, "ok"),
        (f"{2**30}", 0, "ok"),
        (f"{400 * 2**20}", 0, "advice"),
        (f"{2**27}", 0, "wrong"),
        ("max", 2, "advice"),
    ],
)
def test_a_narrow_control_group_is_told(tmp_path: Path, limit: str, killed: int, state: str) -> None:
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.events").write_text(f"low 0\noom 9\noom_kill {killed}\n")
    found = {one.name: one for one in machine.limit_findings(tmp_path)}
    assert found["memory"].state == state


def test_a_clock_that_nothing_keeps_right_is_told() -> None:
    states = [machine.sync_finding(one).state for one in (True, False, None)]
    assert states == ["ok", "advice", "not_checked"]


@pytest.mark.parametrize(("version", "is_ok"), [("2026a", True), ("2025b", True), ("2023c", False), (None, False)])
def test_old_time_zone_data_is_told(version: str | None, is_ok: bool) -> None:
    assert machine.zone_finding(version, NOW_MS).ok is is_ok


# --- settings -------------------------------------------------------------------------------------------------


def test_all_variables_of_the_sources_are_known() -> None:
    texts = "\n".join(file.read_text() for file in SOURCES.rglob("*.py"))
    named = set(re.findall(r"HOOKLINE_[A-Z_]*[A-Z]", texts)) - {"HOOKLINE_OIDC", "HOOKLINE_PORT", "HOOKLINE_TLS"}
    found = settings.environment_finding(named, settings.known_variables())
    assert found.state == "ok", found


def test_a_certificate_that_has_ended_is_told(tmp_path: Path) -> None:
    from tests.certificates import Authority

    authority = Authority(tmp_path)
    cert, _ = authority.pair("node", days=90)
    found = [
        settings.certificates_finding({"--tls-cert": cert}, [], None, authority.now_s + days * 86_400)  # type: ignore[arg-type]
        for days in (0, 80, 100)
    ]
    assert [one.state for one in found] == ["ok", "wrong", "wrong"]
    assert "has ended 10.0 days ago" in found[2].detail
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-")
    told = settings.certificates_finding({"--tls-cert": damaged}, [], None, authority.now_s)  # type: ignore[arg-type]
    assert "not a PEM file" in told.detail


# --- etcd -----------------------------------------------------------------------------------------------------


def etcd(*versions: str, leader: int = 1, members: int = 3, alarm: str | None = None) -> HeardEtcd:
    urls = [f"http://10.0.0.{number}:2379" for number in range(1, len(versions) + 1)]
    known = [
        rpc.Member(ID=number, name=f"e{number}", clientURLs=[f"http://10.0.0.{number}:2379"])
        for number in range(1, members + 1)
    ]
    statuses = [rpc.StatusResponse(version=version, leader=leader, dbSize=2**20) for version in versions]
    alarms = [rpc.AlarmMember(memberID=1, alarm=alarm)] if alarm else []
    return HeardEtcd(urls, statuses, known, alarms, "", {urls[0]: ["etcd", "--name", "e1"]}, {urls[0]: 2**30})


@pytest.mark.parametrize(
    ("heard", "name", "state", "part"),
    [
        (etcd("3.6.5", "3.6.5", "3.6.5"), "etcd-version", "ok", "3.6.5"),
        (etcd("3.4.23", "3.4.23", "3.4.23"), "etcd-version", "advice", "known faults"),
        (etcd("3.5.1", "3.5.1", "3.5.1"), "etcd-version", "wrong", "damage"),
        (etcd("3.3.10", "3.3.10", "3.3.10"), "etcd-version", "wrong", "needs 3.4"),
        (etcd("3.5.9", "3.6.5", "3.6.5"), "etcd-version", "wrong", "different versions"),
        (etcd("3.6.5", "3.6.5", "3.6.5"), "etcd-members", "ok", "3 members"),
        (etcd("3.6.5", "3.6.5"), "etcd-members", "advice", "e3 at http://10.0.0.3:2379"),
        (etcd("3.6.5", "3.6.5", members=2), "etcd-members", "advice", "no more losses than 1"),
        (etcd("3.6.5", "3.6.5", "3.6.5", leader=0), "etcd-members", "wrong", "no leader"),
        (etcd("3.6.5", "3.6.5", "3.6.5", alarm="CORRUPT"), "etcd-alarms", "wrong", "e1 has raised CORRUPT"),
    ],
)
def test_what_etcd_says_is_judged(heard: HeardEtcd, name: str, state: str, part: str) -> None:
    found = {one.name: one for one in etcd_findings(heard, None)}
    assert found[name].state == state
    assert part in found[name].detail


def test_a_quota_that_the_nodes_take_for_larger_is_told() -> None:
    found = {one.name: one for one in etcd_findings(etcd("3.6.5", "3.6.5", "3.6.5"), 2**31)}
    assert "are told 2,147,483,648" in found["etcd-settings"].detail


# --- what runs ------------------------------------------------------------------------------------------------


def health(**fields: Any) -> http.Health:
    own: dict[str, Any] = {"status": "ok", "role": "leader", "epoch": 4, "cluster": "c0", "shard": 0}
    return http.Health(**(own | fields))


def process(url: str, **fields: Any) -> HeardProcess:
    return HeardProcess(url, health(**fields))


def cluster(*versions: str, halted: str | None = None, offset: int | None = None, **fields: Any) -> http.Cluster:
    nodes = [
        http.NodeView(f"n{number}", URL, "leader", 1, 1, version, halted, offset)
        for number, version in enumerate(versions, 1)
    ]
    own: dict[str, Any] = {"name": "c0", "shard": 0, "term": 1, "leader": "n1", "nodes": nodes}
    return http.Cluster(**(own | fields))


def fleet(node: HeardProcess | None = None, **fields: Any) -> HeardFleet:
    """A proxy before one node."""
    proxy = HeardProcess("http://10.0.0.9:7000", health(role="proxy", cluster=None, shard=None), version="1.0")
    own: dict[str, Any] = {
        "doors": [proxy],
        "nodes": [node or process(URL)],
        "clusters": [cluster("1.0")],
        "topology": Topology(epoch=4, clusters=(ClusterEntry(name="c0", shard=0, nodes=(URL,)),)),
        "moves": http_moves.TopologyStatus(4, "stable"),
        "keys": [],
    }
    return HeardFleet(**(own | fields))


def found_in(told: HeardFleet, own: str = "1.0") -> dict[str, Finding]:
    return {one.name: one for one in service_findings(told, own, NOW_MS, is_named=True)}


@pytest.mark.parametrize(
    ("told", "name", "state", "part"),
    [
        (fleet(), "service", "ok", "is a proxy"),
        (fleet(process(URL, status="unavailable", detail="nobody leads")), "nodes", "wrong", "nobody leads"),
        (fleet(clusters=[cluster("1.0", leader=None)]), "nodes", "wrong", "nobody leads the cluster c0"),
        (fleet(clusters=[cluster("1.0", halted="the log is gone")]), "nodes", "wrong", "the log is gone"),
        (fleet(incomplete={"c1": "refused"}), "nodes", "wrong", "c1 cannot be reached: refused"),
        (fleet(clusters=[cluster("1.0", "1.1")]), "versions", "wrong", "1.1: node n2 of c0"),
        (fleet(clusters=[cluster("0.9")]), "versions", "wrong", "different versions"),
        (fleet(process(URL, epoch=3)), "topology", "wrong", f"the newest epoch is 4, and {URL} knows epoch 3"),
        (fleet(process(URL, shard=7)), "topology", "wrong", "shard 7, and the topology says c0, shard 0"),
        (fleet(moves=http_moves.TopologyStatus(4, "paused")), "moves", "wrong", "was left open"),
        (fleet(moves=http_moves.TopologyStatus(4, "moving")), "moves", "ok", "moving"),
        (fleet(moves=http_moves.TopologyStatus(4, "moving", waits_for=["c1 is full"])), "moves", "wrong", "c1 is full"),
        (fleet(process(URL, asks_for_keys=True)), "api-keys", "ok", "none ends soon"),
        (fleet(), "api-keys", "advice", "asks nobody"),
    ],
)
def test_what_a_service_says_is_judged(told: HeardFleet, name: str, state: str, part: str) -> None:
    found = found_in(told)[name]
    assert found.state == state, found
    assert part in found.detail


def test_another_version_of_the_command_is_advice() -> None:
    assert found_in(fleet(), own="2.0")["versions"].state == "advice"


def test_two_entries_of_one_cluster_are_told() -> None:
    other = "http://10.0.0.2:7070"
    entries = (ClusterEntry(name="c0", shard=0, nodes=(URL,)), ClusterEntry(name="c1", shard=1, nodes=(other,)))
    nodes = [process(URL, cluster_id="a"), process(other, cluster="c1", shard=1, cluster_id="a")]
    found = found_in(fleet(topology=Topology(epoch=4, clusters=entries), nodes=nodes))["topology"]
    assert found.detail == "c0 and c1 are the same cluster, by its id"


@pytest.mark.parametrize(("days", "state"), [(-1, "advice"), (3, "wrong"), (60, "ok"), (None, "advice")])
def test_the_end_of_a_key_is_judged(days: int | None, state: str) -> None:
    from hookline.protocol.durations import format_time

    ends = None if days is None else format_time(NOW_MS + days * 86_400_000)
    key = http_keys.KeyView("k1", "ci", ["read"], "default", format_time(0), ends, None, None, None)
    assert found_in(fleet(process(URL, asks_for_keys=True), keys=[key]))["api-keys"].state == state


def test_a_clock_that_is_off_is_named_and_if_all_others_are_it_is_this_one() -> None:
    ahead = {"a": (30_000.0, 600.0), "b": (20.0, 600.0)}
    assert "the clock of a is +30.0 s" in clock_finding(fleet(), ahead).detail
    both_ahead = {"a": (30_000.0, 600.0), "b": (30_000.0, 600.0)}
    assert "this machine's clock is -30.0 s" in clock_finding(fleet(), both_ahead).detail
    assert clock_finding(fleet(), {"a": (1_400.0, 600.0)}).ok  # a date has whole seconds
    assert "+1,500 ms" in clock_finding(fleet(clusters=[cluster("1.0", offset=1_500)]), {}).detail
    distrusted = process(URL, clock=http.ClockView(False, detail="it has jumped"))
    assert "it has jumped" in clock_finding(fleet(distrusted), ahead).detail
