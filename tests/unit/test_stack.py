"""The supervisor of ``hookline up --nodes 3``, with a small program in the place of the nodes, and etcd in earnest."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hookline.cli.node_options import NodeOptions
from hookline.cli.stack import children, etcd
from hookline.cli.stack.children import Child
from hookline.cli.stack.fleet import Fleet
from hookline.cli.stack.layout import Layout, free_ports
from hookline.clock import SystemClock
from hookline.errors import InvalidConfig, NodeFault
from hookline.node.config import NodeConfig
from hookline.processes.child import EXEC_WITH_PARENT
from hookline.tls.files import TlsFiles
from tests.certificates import Authority
from tests.node_parts import ManualClock

# --- where things are -------------------------------------------------------------------------------------------------


def test_the_layout_is_remembered(tmp_path: Path) -> None:
    first = Layout.load(tmp_path / "stack", 3, 0, SystemClock())
    assert list(first.nodes) == ["n1", "n2", "n3"]
    assert list(first.etcd) == ["etcd1", "etcd2", "etcd3"]
    ports = [*first.nodes.values(), *(port for pair in first.etcd.values() for port in (pair.client, pair.peer))]
    assert len(set(ports)) == 9
    assert Layout.load(tmp_path / "stack", 3, 0, SystemClock()) == first
    told = Layout.load(tmp_path / "stack", 3, 7070, SystemClock())
    assert told.nodes == first.nodes | {"n1": 7070}
    assert told.etcd == first.etcd


def test_a_port_in_use_is_not_chosen(tmp_path: Path) -> None:
    chosen = Layout.load(tmp_path / "a", 3, 0, ManualClock()).nodes["n1"]
    with socket.create_server(("127.0.0.1", chosen)):
        assert chosen not in Layout.load(tmp_path / "b", 3, 0, ManualClock()).nodes.values()


def test_clusters_that_are_planned_together_get_other_ports(tmp_path: Path) -> None:
    first = Layout.load(tmp_path / "a", 3, 0, ManualClock())
    assert len(first.ports()) == 9
    assert not first.ports() & Layout.load(tmp_path / "b", 3, 0, ManualClock(), first.ports()).ports()


def test_new_nodes_and_proxies_listen_at_the_ports_behind_the_front_door(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        near = free_ports(3, SystemClock(), {port + 1}, port)
    assert port not in near, "somebody listens there"
    assert port + 1 not in near, "somebody was given it"
    assert near == sorted(near)
    assert near[-1] < port + 200


def test_the_directory_of_a_single_node_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch()
    with pytest.raises(InvalidConfig, match="single node"):
        Layout.load(tmp_path, 3, 0, SystemClock())


def test_a_layout_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    with pytest.raises(InvalidConfig, match="cannot be read"):
        Layout.load(tmp_path, 3, 0, SystemClock())


def test_without_etcd_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InvalidConfig, match="apt-get install etcd-server"):
        etcd.program()


def test_a_topology_of_the_time_before_tls_is_said(tmp_path: Path) -> None:
    def fleet(tls: TlsFiles) -> Fleet:
        config = NodeConfig(data_dir=tmp_path / "data", port=0, tls=tls)
        return Fleet(config.data_dir, config, NodeOptions(), 2, 1, 1)

    plain = fleet(TlsFiles())
    assert all(url.startswith("http://127.0.0.1:") for url in plain.node_urls())
    fleet(TlsFiles())
    with pytest.raises(InvalidConfig, match=r"topology\.toml has http://127\.0\.0\.1:\d+, and the node is at https://"):
        fleet(Authority(tmp_path / "authority").files())


def test_a_proxy_is_told_who_may_call_and_where_traces_go() -> None:
    told = NodeOptions(no_auth=True, dashboard="read-only", slots=7, traces="http://otel").proxy_environment()
    assert told == {
        "HOOKLINE_NO_AUTH": "true",
        "HOOKLINE_DASHBOARD": "read-only",
        "HOOKLINE_TRACES": "http://otel",
    }


def test_options_reach_the_nodes_through_the_environment() -> None:
    options = NodeOptions(slots=7, signing_secret="whsec_x", allow_private_destinations=True, retention="2d")
    environment = options.environment()
    assert environment == {
        "HOOKLINE_SLOTS": "7",
        "HOOKLINE_SIGNING_SECRET": "whsec_x",
        "HOOKLINE_ALLOW_PRIVATE_DESTINATIONS": "true",
        "HOOKLINE_ALLOW_MISSING_SECRET_KEY": "false",
        "HOOKLINE_DASHBOARD": "on",
        "HOOKLINE_ENCRYPT_PAYLOADS": "false",
        "HOOKLINE_NO_AUTH": "false",
        "HOOKLINE_RETENTION": "2d",
        "HOOKLINE_LOG_LEVEL": "info",
        "HOOKLINE_LOG_JSON": "false",
    }


# --- one child --------------------------------------------------------------------------------------------------------


def child(tmp_path: Path, program: str) -> Child:
    return Child("part", [sys.executable, "-c", textwrap.dedent(program)], tmp_path / "part.log", dict(os.environ))


READY_AND_WAITS = """
    import time
    print("ready http://127.0.0.1:1", flush=True)
    time.sleep(60)
"""


async def test_a_child_that_dies_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(children, "_WAIT_S", 0.01)
    part = child(tmp_path, READY_AND_WAITS)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(part.run())
        await part.is_ready.wait()
        first = part.pid
        part.is_ready.clear()
        part.signal(signal.SIGKILL)
        await part.is_ready.wait()
        assert part.pid != first
        await part.stop(5)
        await running
    assert part.pid
    assert not alive(part.pid)


async def test_who_was_ready_and_dies_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(children, "_WAIT_S", 60)
    part = child(tmp_path, "print('ready x', flush=True); raise SystemExit(3)")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(part.run())
        await part.is_ready.wait()
        reported = ""
        while "started again" not in reported:
            await asyncio.sleep(0.01)
            reported += capsys.readouterr().err
        await part.stop(5)
    assert "part ended with code 3" in reported.replace("\n", " ")


async def test_one_that_never_gets_ready_is_a_fault_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_WAIT_S", 0)
    part = child(tmp_path, "import sys; print('what is wrong', file=sys.stderr); sys.exit(1)")
    with pytest.raises(NodeFault, match=r"part ended with code 1[\s\S]*what is wrong"):
        await part.run()


async def test_one_that_does_not_listen_is_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = child(
        tmp_path, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + READY_AND_WAITS.replace("    ", "")
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(part.run())
        await part.is_ready.wait()
        await part.stop(0.05)
    assert "is killed" in capsys.readouterr().err


async def test_a_long_log_makes_room_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_LOG_BYTES_MAX", 10)
    monkeypatch.setattr(children, "_WAIT_S", 0)
    (tmp_path / "part.log").write_text("from an earlier time")
    with pytest.raises(NodeFault):
        await child(tmp_path, "print('x')").run()
    assert (tmp_path / "part.log.1").read_text() == "from an earlier time"


# --- ends with its parent ---------------------------------------------------------------------------------------------


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        os.sched_yield()
        signal.sigtimedwait([], 0.01)
    raise AssertionError("timed out")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
def test_a_process_that_is_bound_to_its_parent_is_gone_when_that_is_killed() -> None:
    parent_code = f"""
        import os, subprocess, sys, time
        child = subprocess.Popen([sys.executable, {str(EXEC_WITH_PARENT)!r}, str(os.getpid()), "sleep", "60"])
        print(child.pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(parent_code)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    until(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not alive(pid))


def test_a_process_whose_parent_is_gone_already_never_runs(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(EXEC_WITH_PARENT), "1", "touch", str(tmp_path / "ran")], check=False)
    assert done.returncode == 1
    assert not (tmp_path / "ran").exists()


# --- the whole stack --------------------------------------------------------------------------------------------------

FAKE_NODE = """
import os, signal, sys, pathlib
data = pathlib.Path(sys.argv[sys.argv.index("--data-dir") + 1])
data.mkdir(exist_ok=True)
name = sys.argv[sys.argv.index("--node") + 1]
journal = data.parent / "journal"

def note(text):
    with journal.open("a") as file:
        file.write(f"{name} {text}\\n")

note(f"started {os.getpid()} {pathlib.Path(os.environ['HOOKLINE_SECRET_KEY_FILE']).name}")
signal.signal(signal.SIGTERM, lambda *_: (note("stopped"), sys.exit(0)))
print("ready http://" + sys.argv[sys.argv.index("--listen") + 1], flush=True)
while True:
    signal.pause()
"""

STACK = """
import asyncio, sys
from pathlib import Path
from hookline.cli.first_words import say_ready
from hookline.cli.node_options import NodeOptions
from hookline.cli.stack.one_cluster import OneCluster
from hookline.errors import HooklineError
from hookline.node.config import NodeConfig

directory, fake = Path(sys.argv[1]), sys.argv[2]
config = NodeConfig(data_dir=directory, port=0)
try:
    cluster = OneCluster(directory, config, NodeOptions(), serve=(sys.executable, fake))
    asyncio.run(cluster.run(lambda url: say_ready(config, url, cluster.places())))
except HooklineError as error:
    sys.exit(error.detail)
"""


@contextmanager
def stack(tmp_path: Path, fake: str = FAKE_NODE) -> Iterator[subprocess.Popen[str]]:
    program = tmp_path / "fake_node.py"
    program.write_text(fake)
    process = subprocess.Popen(
        [sys.executable, "-c", STACK, str(tmp_path / "stack"), str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ready_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def journal(tmp_path: Path) -> list[list[str]]:
    return [line.split() for line in (tmp_path / "stack" / "journal").read_text().splitlines()]


def test_it_starts_watches_and_stops(tmp_path: Path) -> None:
    with stack(tmp_path) as process:
        layout = json.loads((tmp_path / "stack" / "stack.json").read_text()) if ready_line(process) else {}
        started = {line[0]: int(line[2]) for line in journal(tmp_path)}
        assert sorted(started) == ["n1", "n2", "n3"]
        assert {line[3] for line in journal(tmp_path)} == {"secret.key"}, "one key for all"
        os.kill(started["n2"], signal.SIGKILL)
        until(lambda: sum(line[:2] == ["n2", "started"] for line in journal(tmp_path)) == 2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert "n2 ended with code -9" in err
    for port in layout["nodes"].values():
        assert f"http://127.0.0.1:{port}" in err
    stopped = [line[0] for line in journal(tmp_path) if line[1] == "stopped"]
    assert stopped == ["n3", "n2", "n1"], "one by one"
    assert not left_over(tmp_path)


def test_nothing_is_left_when_it_is_killed(tmp_path: Path) -> None:
    with stack(tmp_path) as process:
        assert ready_line(process).startswith("ready http://127.0.0.1:")
        assert len(left_over(tmp_path)) == 6
        process.kill()
        until(lambda: not left_over(tmp_path))
    with stack(tmp_path) as process:
        assert ready_line(process), "and it starts again on what is there"
        second = subprocess.run(
            [sys.executable, "-c", STACK, str(tmp_path / "stack"), "x"], capture_output=True, text=True, check=False
        )
        assert "in use by another process" in second.stderr
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 0


def test_a_node_that_cannot_start_ends_everything(tmp_path: Path) -> None:
    with stack(tmp_path, "raise SystemExit('no such setting')") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "no such setting" in err
    assert "Traceback" not in err
    assert not left_over(tmp_path)


def left_over(tmp_path: Path) -> list[str]:
    """Programs that run with this directory in their command, but for the supervisor itself."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(tmp_path / "stack") + "/" in command:
                found.append(command)
    return found
