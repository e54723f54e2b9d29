"""A real HTTP server on 127.0.0.1 that answers from a script and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """``json`` None: no body. ``drop``: read the request, then close the connection without an answer."""

    status: int = 200
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    text: str | None = None


DROP = Answer(drop=True)
Script = Callable[[Asked], Answer]


class ScriptedServer:
    """``answers`` are given in order, the last one again and again; or ``script`` decides."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []
        self.answers: list[Answer] = []
        self.script: Script | None = None
        self._lock = threading.Lock()

    def answer_to(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            if self.script is not None:
                return self.script(asked)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    scripted: ScriptedServer

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.scripted.answer_to(Asked(self.command, self.path, headers, body))
        if answer.drop:
            self.close_connection = True
            return
        text = answer.text if answer.text is not None else ("" if answer.json is None else json.dumps(answer.json))
        encoded = text.encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class _Server(ThreadingHTTPServer):
    # A kept-alive connection of the client under test must not keep the server from closing.
    daemon_threads = True
    block_on_close = False


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    class Handler(_Handler):
        pass

    server = _Server(("127.0.0.1", 0), Handler)
    scripted = Handler.scripted = ScriptedServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def job(job_id: str = "j1", **changes: Any) -> dict[str, Any]:
    """A job as the API answers it."""
    return {
        "id": job_id,
        "url": "http://127.0.0.1:9000/hook",
        "method": "POST",
        "state": "pending",
        "run_at": "2026-11-24T13:00:00.000Z",
        "created_at": "2026-11-24T12:00:00.000Z",
        "finished_at": None,
        "attempts_made": 0,
        "next_attempt_at": "2026-11-24T13:00:00.000Z",
        "waiting_for": {"reason": "time", "detail": "due in an hour", "until": "2026-11-24T13:00:00.000Z"},
        "last_attempt": None,
        "labels": {},
        "guarantee": "at_least_once",
        "priority": 0,
        "destination": "http://127.0.0.1:9000",
        "headers": {},
        "timeout": "30s",
        "retry": {
            "on": ["connection", "timeout", "4xx", "5xx"],
            "not_on": [410],
            "max_attempts": 10,
            "initial": "1s",
            "factor": 2.0,
            "max": "1h",
            "schedule": [],
            "budget": None,
        },
        "signed": False,
        "schedule": None,
    } | changes


def schedule(schedule_id: str = "s1", **changes: Any) -> dict[str, Any]:
    """A schedule as the API answers it."""
    return {
        "id": schedule_id,
        "cron": "0 9 * * *",
        "timezone": "Europe/Berlin",
        "catch_up": {"policy": "coalesce", "window": "24h"},
        "overlap": "allow",
        "jitter": "0s",
        "start_at": None,
        "end_at": None,
        "paused": False,
        "created_at": "2026-11-24T12:00:00.000Z",
        "next_tick_at": "2026-11-25T08:00:00.000Z",
        "last_tick_at": None,
        "last_job_id": None,
        "jobs_made": 0,
        "ticks_skipped": 0,
        "job": {"url": "http://127.0.0.1:9000/hook"},
    } | changes


def destination(host: str = "http://127.0.0.1:9000", **changes: Any) -> dict[str, Any]:
    """A destination as the API answers it."""
    return {
        "host": host,
        "concurrency": None,
        "rate": None,
        "paused": False,
        "breaker": {"state": "closed", "until": None},
        "running": 0,
        "waiting": 0,
        "secrets": 0,
    } | changes


def problem(status: int, code: str, detail: str = "no", **figures: Any) -> Answer:
    """An error as the API answers it."""
    body = {"type": f"https://hookline.dev/errors/{code}", "title": code, "status": status, "code": code}
    return Answer(status, body | {"detail": detail} | figures)


def own_key(**changes: Any) -> dict[str, Any]:
    """An answer of ``GET /keys/self``."""
    found = {"id": "k1", "name": "shop", "scopes": ["read"], "tenant": "default", "acts_for": "default"}
    return found | {"is_operator": False, "expires_at": None} | changes
