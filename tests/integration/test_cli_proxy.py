"""``hookline proxy`` as users start it."""

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hookline.cli.app import run
from tests.integration.proxy_under_test import JOB, Clusters, FrontDoor


@contextmanager
def _started(*options: str) -> Iterator[tuple[FrontDoor, "subprocess.Popen[str]"]]:
    command = [sys.executable, "-m", "hookline.cli.app", "proxy", "--listen", "127.0.0.1:0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            ready = re.fullmatch(r"ready http://127\.0\.0\.1:(\d+)\n", process.stdout.readline())
            assert ready
            yield FrontDoor(int(ready[1])), process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_ends_cleanly(three: Clusters, tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "clusters.toml"
    file.write_text("epoch = 1\n" + "\n".join(_entry(three, name) for name in three.names))
    with _started("--topology", str(file)) as (door, process):
        assert door.post("/jobs", {"id": "a"} | JOB).status == 201
        with _started("--seed", f"http://127.0.0.1:{door.port}") as (second, _):
            assert second.get("/jobs/a").status == 200
        process.send_signal(number)
        assert process.wait(60) == 0


def test_a_proxy_that_stops_says_so_first_and_answers_what_still_comes(three: Clusters, tmp_path: Path) -> None:
    file = tmp_path / "clusters.toml"
    file.write_text("epoch = 1\n" + "\n".join(_entry(three, name) for name in three.names))
    with _started("--topology", str(file)) as (door, process):
        kept = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
        assert _status_on(kept) == (404, None)
        process.send_signal(signal.SIGTERM)
        while door.get("/health").status == 200:
            assert door.get("/jobs/a").status == 404
        assert _status_on(kept) == (404, "close")
        assert process.wait(60) == 0


def _status_on(connection: http.client.HTTPConnection) -> tuple[int, str | None]:
    connection.request("GET", "/jobs/a")
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers["connection"]


def test_a_wrong_start_says_what_to_do(
    three: Clusters, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["proxy"]) == 1
    assert "either --topology FILE or --seed URL" in capsys.readouterr().err
    assert run(["proxy", "--topology", str(tmp_path / "none.toml"), "--listen", "127.0.0.1:0"]) == 1
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "bad.toml").write_text("epoch = 0")
    assert run(["proxy", "--topology", str(tmp_path / "bad.toml"), "--listen", "127.0.0.1:0"]) == 1
    assert "topology" in capsys.readouterr().err
    taken = f"127.0.0.1:{three.nodes['c0'].port}"
    assert run(["proxy", "--topology", str(tmp_path / "bad.toml"), "--listen", taken]) == 1
    assert "choose another --listen" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://user:geheim@127.0.0.1:9", "http://user:geheim@[::1", "user:geheim@h"])
def test_a_password_in_the_url_of_a_seed_is_not_shown(url: str) -> None:
    command = [sys.executable, "-m", "hookline.cli.app", "proxy", "--listen", "127.0.0.1:0", "--seed", url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = ""
        while "no_seed_has_a_topology" not in said:
            line = process.stderr.readline()
            if not line:  # it is not a url of a service, and refused at once
                break
            said += line
        process.kill()
    assert "***@" in said
    assert "geheim" not in said


def _entry(three: Clusters, name: str) -> str:
    return "[[cluster]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in three.entry(name).items())
