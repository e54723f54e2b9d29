"""``hookline bench`` against a real node, and what it says when something is wrong."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from hookline.cli import app
from tests.end_to_end.mixed_up import LoneNode
from tests.end_to_end.processes import NodeProcess, until


def bench(node: NodeProcess, *options: str) -> int:
    return app.run(["bench", "--url", f"http://127.0.0.1:{node.port}", "--http-timeout", "60", *options])


@pytest.mark.parametrize(("long", "unfinished"), [(["--delay", "1h"], 10), (["--receiver-ms", "600000"], 0)])
def test_who_is_interrupted_is_told_what_there_is(tmp_path: Path, long: list[str], unfinished: int) -> None:
    node = NodeProcess(tmp_path / "data")
    node.start()
    command = [sys.executable, "-m", "hookline.cli.app", "bench", "--url", f"http://127.0.0.1:{node.port}", "--json"]
    command += ["--rate", "50", "--duration", "200ms", *long]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            until(lambda: len(node.call("GET", "/jobs")[1]["data"]) == 11, "all are created, and the first one")
            running.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                running.wait(10)
            if running.poll() is None:  # it came while the last create was answered, and ended the creating
                running.send_signal(signal.SIGINT)
            out, _ = running.communicate(timeout=120)
    finally:
        node.stop()
    found = json.loads(out)
    assert (found["jobs"], found["lost"], found["unfinished"], running.returncode) == (10, 0, unfinished, 0)


@pytest.mark.parametrize("way", [["--keys"], ["--batch", "10"], ["--delay", "1", "--receiver-ms", "20"]])
def test_a_benchmark_counts_every_job(tmp_path: Path, way: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    node = NodeProcess(tmp_path / "data")
    node.start()
    report = tmp_path / "report.html"
    try:
        assert bench(node, "--rate", "50", "--duration", "2s", "--html", str(report), "--json", *way) == 0
        pending = node.call("GET", "/jobs?state=pending")[1]["data"]
    finally:
        node.stop()
    found = json.loads(capsys.readouterr().out)
    assert pending == [], "nothing is left that would be sent there later"
    assert (found["jobs"], found["lost"], found["duplicates"], found["early"]) == (100, 0, 0, 0)
    assert found["refused"] == {}
    for name in ("create_ms", "lag_ms", "delivery_ms"):
        assert 0 < found[name]["p50"] <= found[name]["p99"] <= found[name]["max"]
    assert "100 jobs" in report.read_text()


def test_a_receiver_that_nodes_may_not_call_is_told_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Careful(LoneNode):
        def command(self) -> list[str]:
            return [part for part in super().command() if part != "--allow-private-destinations"]

    node = Careful(tmp_path / "data")
    node.start()
    try:
        assert bench(node, "--rate", "10", "--duration", "1s") == 1
    finally:
        node.stop()
    assert "--allow-destinations" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--rate", "0"], "--rate"),
        (["--rate", "nan"], "--rate"),
        (["--payload", "1"], "--payload"),
        (["--batch", "0"], "--batch"),
        (["--keys", "--batch", "2"], "--keys"),
        (["--duration", "0s"], "--duration"),
        (["--duration", "soon"], "duration"),
        (["--receiver-ms", "-1"], "--receiver-ms"),
        (["--listen", "nowhere"], "HOST:PORT"),
        (["--receiver-url", "ftp://a"], "--receiver-url"),
        (["--html", "/nowhere/report.html"], "--html"),
    ],
)
def test_wrong_options_are_told(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["bench", *options]) == 2
    assert told in capsys.readouterr().err


def test_a_receiver_that_ends_early_is_told_and_nothing_is_called_lost(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "data")
    node.start()
    command = [sys.executable, "-m", "hookline.cli.app", "bench", "--url", f"http://127.0.0.1:{node.port}"]
    command += ["--rate", "20", "--duration", "2s", "--receiver-ms", "600000"]  # nothing ends before it is killed
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            until(lambda: len(node.call("GET", "/jobs?state=running")[1]["data"]) > 5, "it has begun")
            (receiver,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
            os.kill(int(receiver), signal.SIGKILL)
            out, err = running.communicate(timeout=120)
    finally:
        node.stop()
    assert (running.returncode, out) == (1, "")
    assert "the receiver ended" in err


def test_a_port_that_is_taken_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = NodeProcess(tmp_path / "data")
    node.start()
    try:
        assert bench(node, "--listen", f"127.0.0.1:{node.port}") == 1
    finally:
        node.stop()
    assert "in use" in capsys.readouterr().err
