"""Every snippet of the README runs: with the ports of this test in the place of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.processes import Journal, journal_receiver, running_node, until

README = (Path(__file__).parents[2] / "README.md").read_text()


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int, Journal]]:
    """(node, receiver, what it got)."""
    data_dir = tmp_path_factory.mktemp("readme") / "data"
    with journal_receiver() as (receiver, journal), running_node(data_dir) as node:
        yield node.port, receiver, journal


def here(text: str, node: int, receiver: int) -> str:
    return text.replace("127.0.0.1:7070", f"127.0.0.1:{node}").replace("127.0.0.1:9000", f"127.0.0.1:{receiver}")


def test_the_python_snippet(ports: tuple[int, int, Journal]) -> None:
    node, receiver, _ = ports
    (code,) = snippets("python")
    run = subprocess.run(
        [sys.executable, "-c", here(code, node, receiver)], capture_output=True, text=True, check=False, timeout=30
    )
    assert (run.returncode, run.stdout) == (0, "pending\n"), run.stderr


def test_the_curl_snippet(ports: tuple[int, int, Journal]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    node, receiver, _ = ports
    (command,) = [text for text in snippets("console") if text.startswith("curl ")]
    run = subprocess.run(
        ["bash", "-c", here(command, node, receiver)], capture_output=True, text=True, check=True, timeout=30
    )
    assert '"state":"pending"' in run.stdout, run.stdout


def test_the_command_that_creates_a_job(ports: tuple[int, int, Journal]) -> None:
    node, receiver, journal = ports
    (line,) = re.findall(r"^hookline (jobs create .*)$", README, re.MULTILINE)
    seen = len(journal.requests)
    command = f"{sys.executable} -m hookline.cli.app {here(line, node, receiver)}".replace(
        "--delay 5s", "--delay 100ms"
    )
    environment = os.environ | {"HOOKLINE_URL": f"http://127.0.0.1:{node}"}
    subprocess.run(["bash", "-c", command], env=environment, check=True, capture_output=True, timeout=30)
    until(lambda: b'{"order": 1234}' in [body for *_, body in journal.requests[seen:]], "the webhook arrives")
