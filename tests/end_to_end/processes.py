"""Real processes for end-to-end tests: a node started as users start it, and a receiver with a journal."""

import http.client
import http.server
import json
import os
import re
import signal
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hookline.clock import SystemClock

CLOCK = SystemClock()
# Of a process whose coverage is not measured: that makes it twice as slow. Some tests of ``hookline up`` measure.
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


class NodeProcess:
    """``hookline up`` on a data directory; killed hard or stopped, and started again at will."""

    def __init__(self, data_dir: Path, *options: str, port: int = 0, environment: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.host = "127.0.0.1"
        self.port = port
        self.log = data_dir.parent / "node.log"
        self.tls: ssl.SSLContext | None = None  # None: it speaks plain HTTP
        self._options = options
        self._environment = UNMEASURED | (environment or {})
        self._process: subprocess.Popen[str] | None = None

    @property
    def scheme(self) -> str:
        """That of its url."""
        return "http" if self.tls is None else "https"

    def command(self) -> list[str]:
        """The command that is run."""
        command = [sys.executable, "-m", "hookline.cli.app", "up", "--data-dir", str(self.data_dir)]
        return [*command, "--port", str(self.port), "--allow-private-destinations", *self._options]

    def start(self) -> None:
        """Start it and wait for its ready line."""
        self.spawn()
        self.wait_until_ready()

    def spawn(self) -> None:
        """Start it."""
        with self.log.open("a") as stderr:
            self._process = subprocess.Popen(
                self.command(), stdout=subprocess.PIPE, stderr=stderr, text=True, env=self._environment
            )

    def wait_until_ready(self) -> None:
        """Wait for the ready line of a process that was spawned."""
        assert self._process
        assert self._process.stdout
        for line in self._process.stdout:
            if match := re.fullmatch(r"ready (http|https)://[\d.]+:(\d+)\n", line):
                assert match[1] == self.scheme, line
                self.port = int(match[2])
                return
        raise AssertionError(f"the node did not start: {self.log.read_text()[-2000:]}")

    @property
    def is_running(self) -> bool:
        """The process is there; it may be paused."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def children(self) -> list[int]:
        """The processes that it has started and that run."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def kill(self) -> None:
        """SIGKILL; nothing happens to one that is gone already."""
        if not self.is_running:
            return
        assert self._process
        self._process.kill()
        self.ended(60)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self._signal(signal.SIGTERM)
        return self.ended(60)

    def failed(self) -> str:
        """Wait until it has ended by itself, with exit code 1; all it ever said."""
        assert self.ended(60) == 1
        return self.log.read_text()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    def adopt(self, process: "subprocess.Popen[str]") -> None:
        """It was started in another way."""
        self._process = process

    def ended(self, seconds: float) -> int:
        """Wait until it has ended; its exit code."""
        assert self._process
        code = self._process.wait(seconds)
        assert self._process.stdout
        self._process.stdout.close()
        return code

    def call(
        self, method: str, path: str, body: Any = None, *, timeout_s: float = 60, **headers: str
    ) -> tuple[int, Any]:
        """One request; (status, parsed body). Raises OSError or HTTPException when the node is away.

        Repeated while the node is overloaded, as it may be on a busy machine: then it took nothing.
        """
        data = None if body is None else json.dumps(body)
        answers: list[tuple[int, Any]] = []

        def is_answered() -> bool:
            status, raw = self.raw_call(method, path, data, {"content-type": "application/json", **headers}, timeout_s)
            answers.append((status, json.loads(raw) if raw else None))
            return not (status == 503 and answers[-1][1].get("code") == "overloaded")

        until(is_answered, f"{method} {path} is answered")
        return answers[-1]

    def raw_call(
        self, method: str, path: str, data: str | None, headers: dict[str, str], timeout_s: float = 60
    ) -> tuple[int, bytes]:
        """One request; (status, body). Raises OSError or HTTPException when the node is away."""
        if self.tls is None:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        else:
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=timeout_s, context=self.tls)
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


@contextmanager
def running_node(data_dir: Path, *options: str, **more: Any) -> Iterator[NodeProcess]:
    """A started node that is gone at the end."""
    data_dir.mkdir(parents=True, exist_ok=True)
    node = NodeProcess(data_dir, *options, **more)
    node.start()
    try:
        yield node
    finally:
        node.kill()


@dataclass
class Journal:
    """The requests that arrived: written before the receiver answers, so a request that was answered is in it."""

    requests: list[tuple[str, float, dict[str, str], bytes]] = field(default_factory=list)  # (webhook-id, time, …)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def count(self, webhook_id: str) -> int:
        """How many requests carried this id."""
        return sum(1 for found, *_ in self.requests if found == webhook_id)

    def has_more_than(self, count: int) -> bool:
        """Have so many requests come, and another?"""
        return len(self.requests) > count


Answer = Callable[[http.server.BaseHTTPRequestHandler, bytes], None]


def answer_ok(handler: http.server.BaseHTTPRequestHandler, _body: bytes) -> None:
    """200."""
    handler.send_response(200)
    handler.send_header("content-length", "0")
    handler.end_headers()


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, _request: object, _client_address: object) -> None:
        """A killed node resets its connections; that is the test."""


@contextmanager
def journal_receiver(answer: Answer = answer_ok, host: str = "127.0.0.1") -> Iterator[tuple[int, Journal]]:
    """(port, journal) of a receiver in a thread of the test."""
    journal = Journal()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with journal.arrived:
                journal.requests.append((headers.get("webhook-id", ""), CLOCK.wall_ms() / 1_000, headers, body))
                journal.arrived.notify_all()
            answer(self, body)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any

        def log_message(self, *_arguments: object) -> None:
            pass

    server = _Server((host, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], journal
    finally:
        server.shutdown()
        server.server_close()


def has_open_jobs(node: NodeProcess) -> bool:
    """By the lists: the counts of /health are ahead of what can be read by one commit."""
    pages = [node.call("GET", f"/jobs?state={state}&limit=1") for state in ("pending", "running")]
    assert [status for status, _ in pages] == [200, 200], pages
    return any(page["data"] for _, page in pages)


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Poll a condition of another process; there is no event to wait for across processes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting until {what}"
        threading.Event().wait(0.02)
