"""One client for all, made before the fork: under gunicorn --preload, in Celery's prefork pool, in multiprocessing."""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hookline import Client
from tests.end_to_end.processes import UNMEASURED, NodeProcess

ROOT = Path(__file__).parents[2]
HERE = "tests.end_to_end.forking"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path_factory.mktemp("forks") / "data")
    node.start()
    yield node
    node.stop()


@pytest.fixture
def client(node: NodeProcess) -> Iterator[Client]:
    with Client(f"http://127.0.0.1:{node.port}") as client:
        yield client


@pytest.fixture(params=["yes", "no"], ids=["used before", "not used before"])
def environment(request: pytest.FixtureRequest, node: NodeProcess) -> dict[str, str]:
    return UNMEASURED | {"HOOKLINE_URL": f"http://127.0.0.1:{node.port}", "USED_BEFORE": request.param}


@contextmanager
def process(*command: str, until: str, environment: dict[str, str]) -> Iterator[re.Match[str]]:
    """The process once it printed a line that matches ``until``."""
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        try:
            assert running.stdout
            seen = []
            for line in running.stdout:
                seen.append(line)
                if found := re.search(until, line):
                    yield found
                    break
            else:
                pytest.fail("".join(seen))
        finally:
            running.terminate()
            running.communicate()


@pytest.mark.parametrize("framework", ["flask", "django"])
def test_a_shop_under_gunicorn_preload(framework: str, environment: dict[str, str], client: Client) -> None:
    app = f"{HERE}.{framework}_app:app"
    options = ("--preload", "--workers", "2", "--bind", "127.0.0.1:0")
    with process("gunicorn", *options, app, until=r"Listening at: (\S+)", environment=environment) as found:
        answers: list[Any] = []
        for _ in range(8):
            request = urllib.request.Request(f"{found[1]}/order", method="POST", data=b"")
            with urllib.request.urlopen(request, timeout=60) as answer:
                answers.append(json.loads(answer.read()))
    assert {client.get_job(answer["id"]).state for answer in answers} == {"pending"}
    assert len({answer["id"] for answer in answers}) == 8


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    socket = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        next(line for line in running.stdout if "ready to accept connections" in line.lower())
        yield f"redis+socket://{socket}"
        running.terminate()
        running.communicate()


def test_tasks_in_celerys_prefork_pool(environment: dict[str, str], redis_url: str, client: Client) -> None:
    environment = environment | {"REDIS_URL": redis_url}
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    worker = ("celery", "-A", f"{HERE}.tasks", "worker", "--concurrency", "2", "--loglevel", "info", *alone)
    asking = (
        f"from {HERE}.tasks import order\n"
        "import json; print(json.dumps([one.get(timeout=60) for one in [order.delay() for _ in range(8)]]))"
    )
    with process(*worker, until=r"celery@\S+ ready", environment=environment):
        done = subprocess.run(
            [sys.executable, "-c", asking],
            cwd=ROOT,
            env=environment | {"USED_BEFORE": "no"},
            capture_output=True,
            text=True,
            check=True,
        )
    answers = json.loads(done.stdout)
    assert {client.get_job(job_id).state for job_id in answers} == {"pending"}
    assert len(set(answers)) == 8


def test_a_pool_of_multiprocessing(environment: dict[str, str], client: Client) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"{HERE}.pool"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    made = done.stdout.split()
    assert {client.get_job(job_id).state for job_id in made} == {"pending"}
    assert len(set(made)) == 8
