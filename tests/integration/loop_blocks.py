"""How long a request holds the event loop: the longest step of the loop's thread, in CPU time, so load does not matter.

Used by the tests, and by ``benchmarks/hardening.py`` for its page.
"""

import asyncio
import gc
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hookline.protocol.commands import ClaimJobs, RecordOutcome
from hookline.protocol.jobs import Outcome, State
from hookline.protocol.limits import ATTEMPTS_MAX, RESPONSE_BYTES_KEPT_MAX
from hookline.tls.files import NO_TLS, TlsFiles
from tests.integration.node_under_test import Answer, NodeUnderTest
from tests.integration.proxy_under_test import Clusters
from tests.node_parts import OWNER

MIB = 2**20
BATCH_BYTES = 16 * MIB - 1_000  # what a batch may have, almost
_ASKED_MAX = 100
JOB_BYTES = 1_430 * 1024  # what one job may have, almost
URL = "https://example.com/"


class Steps:
    """The longest step of any event loop of this process since ``reset``."""

    def __init__(self) -> None:
        self.longest_ms = 0.0

    def reset(self) -> None:
        """Forget it."""
        self.longest_ms = 0.0


@contextmanager
def measured_steps() -> Iterator[Steps]:
    """Measure every callback that a loop runs."""
    steps = Steps()
    run = asyncio.events.Handle._run  # noqa: SLF001  # no loop tells how long its steps are

    def measured(handle: asyncio.events.Handle) -> None:
        sys.settrace(None)  # measuring coverage would be measured, too
        started = time.thread_time()
        try:
            run(handle)
        finally:
            steps.longest_ms = max(steps.longest_ms, (time.thread_time() - started) * 1_000)

    asyncio.events.Handle._run = measured  # type: ignore[assignment,method-assign]  # noqa: SLF001
    try:
        yield steps
    finally:
        asyncio.events.Handle._run = run  # type: ignore[method-assign]  # noqa: SLF001


@dataclass(frozen=True)
class Attack:
    """One of the worst inputs of its size."""

    name: str
    path: str
    body: Callable[[], bytes] | None = None
    method: str = "GET"


class Service(Protocol):
    """A node or a proxy to call."""

    def call(self, method: str, path: str, body: object = None, /) -> Answer:
        """One request."""


def _batch(name: str, body: Callable[[], bytes]) -> Attack:
    return Attack(f"batch: {name}", "/jobs/batch", body, "POST")


def _job(name: str, body: Callable[[], bytes]) -> Attack:
    return Attack(f"job: {name}", "/jobs", body, "POST")


def _get(path: str) -> Attack:
    return Attack(f"GET {path}", path)


def _topology(clusters: int, nodes: int, *, weight: int = 1) -> bytes:
    entries = [
        {
            "name": f"c{shard}",
            "shard": shard,
            "weight": weight,
            "nodes": [f"http://n{node}.c{shard}.example:7070" for node in range(nodes)],
        }
        for shard in range(clusters)
    ]
    return json.dumps({"epoch": 1, "strategy": "ring", "cluster": entries}).encode()


def _topology_put(name: str, body: Callable[[], bytes]) -> list[Attack]:
    return [
        Attack(f"topology: {name}", "/topology", body, "PUT"),
        Attack(f"topology of a node: {name}", "/internal/topology", body, "PUT"),
    ]


def _filled(start: bytes, unit: bytes, end: bytes, size: int) -> bytes:
    return start + unit * ((size - len(start) - len(end)) // len(unit)) + end


def _headers(size: int, *, escapes: bool = False) -> bytes:
    name = b"\\u0061%d" if escapes else b"a%d"
    pairs, length, number = [], 0, 0
    while length < size:
        pairs.append(b'"' + name % number + b'":""')
        length += len(pairs[-1]) + 1
        number += 1
    pairs.append(pairs[-1])  # one is there twice
    return b'{"url":"%b","headers":{%b}}' % (URL.encode(), b",".join(pairs))


def _usual_batch() -> bytes:
    return json.dumps({"jobs": [{"url": URL, "payload": "x" * 15_000, "delay": "1h"}] * 1_000}).encode()


def _numbers_batch() -> bytes:
    return json.dumps({"jobs": [{"url": URL, "payload": [1] * 4_000, "delay": "1h"}] * 1_000}).encode()


_JOB = b'{"url":"%b"}' % URL.encode()
_DESTINATION = "/destinations/https%3A%2F%2Fother.example"


def _schedule(job: bytes, *, cron: str = "0 3 * * *") -> bytes:
    return b'{"cron":%b,"job":%b}' % (json.dumps(cron).encode(), job)


ATTACKS = [
    _batch("16 MiB of numbers", lambda: _filled(b"[1", b",1", b"]", BATCH_BYTES)),
    _batch("16 MiB of empty objects", lambda: _filled(b"[{}", b",{}", b"]", BATCH_BYTES)),
    _batch("16 MiB of empty objects in an object", lambda: _filled(b'{"jobs":[{}', b",{}", b"]}", BATCH_BYTES)),
    _batch("16 MiB of numbers in one item", lambda: _filled(b"[[1", b",1", b"]]", BATCH_BYTES)),
    _batch("16 MiB of lists in one item", lambda: _filled(b"[[[]", b",[]", b"]]", BATCH_BYTES)),
    _batch("16 MiB of nested lists in one item", lambda: _filled(b"[[[[1]]", b",[[1]]", b"]]", BATCH_BYTES)),
    _batch("16 MiB of texts in one item", lambda: _filled(b'[[""', b',""', b"]]", BATCH_BYTES)),
    _batch("16 MiB of depth", lambda: b"[" * BATCH_BYTES),
    _batch("16 MiB of one field", lambda: _filled(b'{"jobs":[]', b',"jobs":[]', b"}", BATCH_BYTES)),
    _batch("16 MiB with a field twice", lambda: _filled(b'{"jobs":[],"jobs":[[1', b",1", b"]]}", BATCH_BYTES)),
    _batch("16 MiB of white space", lambda: _filled(b"[", b" ", b"]", BATCH_BYTES)),
    _batch("16 MiB of one text", lambda: _filled(b'["', b"x", b'"]', BATCH_BYTES)),
    _batch("16 MiB of escapes", lambda: _filled(b'["', b"\\u0061", b'"]', BATCH_BYTES)),
    _batch("one job with 16 MiB of headers", lambda: b"[" + _headers(BATCH_BYTES) + b"]"),
    _batch("one job with 16 MiB of escaped headers", lambda: b"[" + _headers(BATCH_BYTES, escapes=True) + b"]"),
    _batch("1,000 jobs of 15 KB", _usual_batch),
    _batch("1,000 jobs of 4,000 numbers", _numbers_batch),
    _job("headers, one twice", lambda: _headers(JOB_BYTES)),
    _job("escaped headers, one twice", lambda: _headers(JOB_BYTES, escapes=True)),
    _job("a deep payload", lambda: b'{"url":"%b","payload":%b}' % (URL.encode(), b"[" * 100_000)),
    _job("labels", lambda: json.dumps({"url": URL, "labels": [f"l{n}" for n in range(40_000)]}).encode()),
    _job("redact", lambda: json.dumps({"url": URL, "redact": [f"l{n}" for n in range(40_000)]}).encode()),
    _job("retries", lambda: json.dumps({"url": URL, "retry": {"schedule": ["1s"] * 60_000}}).encode()),
    _job("a long number", lambda: b'{"url":"%b","payload":%b}' % (URL.encode(), b"1" * 250_000)),
    _job("a long number twice", lambda: b'{"url":"a","url":"%b","payload":%b}' % (URL.encode(), b"1" * 250_000)),
    _job("a long number as priority", lambda: b'{"url":"%b","priority":%b}' % (URL.encode(), b"1" * JOB_BYTES)),
    _job("a long time", lambda: json.dumps({"url": URL, "run_at": "2" * JOB_BYTES}).encode()),
    _job("a long delay", lambda: json.dumps({"url": URL, "delay": "1h" * (JOB_BYTES // 2)}).encode()),
    _job("a long url", lambda: json.dumps({"url": URL + "x" * JOB_BYTES}).encode()),
    _job("a long host", lambda: json.dumps({"url": "https://" + "é." * (JOB_BYTES // 4)}).encode()),
    _job("a long Base64 body", lambda: json.dumps({"url": URL, "body_base64": "A" * JOB_BYTES}).encode()),
    _get("/jobs?limit=1000"),
    _get("/jobs?limit=1000&label=wide"),
    _get("/jobs?limit=1000&state=dead"),
    _get("/jobs?limit=1000&status=5xx"),
    _get("/jobs?limit=1000&status=5xx&label=wide"),
    _get("/jobs?limit=1000&status=5xx&error=nowhere&label=wide"),
    _get("/jobs?limit=1000&schedule=large-1&created_before=2100-01-01T00:00:00Z"),
    _get("/jobs?limit=1000&destination=https%3A%2F%2Fother.example"),
    _get("/schedules?limit=1000"),
    _get("/schedules/preview?count=1000&timezone=Europe/Berlin&cron=*/30+2+29+2+*/7"),
    _get("/schedules/preview?count=1000&timezone=Africa/Casablanca&cron=30+2+*+2+MON%235"),
    _get("/destinations?limit=1000"),
    _get("/jobs/many/attempts"),
    _get("/jobs/many"),
    _get("/schedules/large-1"),
    Attack("cancel by label", "/jobs/cancel", lambda: b'{"filter":{"label":"wide"},"dry_run":true}', "POST"),
    Attack("retry by filter", "/jobs/retry", lambda: b'{"filter":{"state":"dead"},"limit":10000}', "POST"),
    Attack(
        "retry with overrides",
        "/jobs/retry",
        lambda: json.dumps({"filter": {}, "dry_run": True, "overrides": {"payload": [1] * 90_000}}).encode(),
        "POST",
    ),
    Attack("delete a job with many answers", "/jobs/doomed", method="DELETE"),
    Attack("change a job", "/jobs/soon", lambda: json.dumps({"payload": [1] * 80_000}).encode(), "PATCH"),
    Attack("change a job's headers", "/jobs/soon", lambda: _headers(JOB_BYTES), "PATCH"),
    Attack("schedule: headers, one twice", "/schedules", lambda: _schedule(_headers(JOB_BYTES - 1_000)), "POST"),
    Attack("schedule: a long cron", "/schedules", lambda: _schedule(_JOB, cron="1," * (JOB_BYTES // 2)), "POST"),
    Attack("schedule: all ticks", "/schedules", lambda: _schedule(_JOB, cron="* " * 4 + "1"), "POST"),
    Attack("change a schedule", "/schedules/large-1", lambda: _schedule(_JOB, cron="1 " * 5 + "*" * 9_000), "PATCH"),
    Attack("destination: fields twice", _DESTINATION, lambda: _headers(60_000), "PUT"),
    Attack("destination: many secrets", _DESTINATION, lambda: json.dumps({"secrets": ["w"] * 10_000}).encode(), "PUT"),
    Attack("destination: deep", _DESTINATION, lambda: b'{"secrets":%b' % (b"[" * 60_000), "PUT"),
    *_topology_put("many clusters", lambda: _topology(1_024, 1)),
    *_topology_put("many nodes", lambda: _topology(64, 60)),
    *_topology_put("heavy", lambda: _topology(256, 2, weight=1_000)),
    *_topology_put("numbers", lambda: _filled(b'{"epoch":1,"cluster":[1', b",1", b"]}", 250_000)),
    *_topology_put("deep", lambda: b'{"epoch":1,"cluster":' + b"[" * 250_000),
    Attack(
        "settings of destinations",
        "/internal/destinations",
        lambda: _filled(b'{"data":[{}', b",{}", b"]}", MIB),
        "PUT",
    ),
    Attack("internal outcomes, 1 MiB", "/internal/outcomes", lambda: b"\x90" * MIB, "POST"),
    Attack("internal absence", "/internal/absence", lambda: _filled(b'{"a":[1', b",1", b"]}", 8_000), "POST"),
]


def fill(node: Service) -> None:
    """Jobs and schedules whose pages are large, with a label that has many values."""
    for part in range(20):
        jobs = [
            {
                "url": URL,
                "headers": {"X-Long": "x" * 12_000},
                "delay": "1h",
                "labels": {"wide": f"{number % 90}", "part": f"{part}"},
            }
            for number in range(100)
        ]
        assert node.call("POST", "/jobs/batch", {"jobs": jobs}).status == 200
    for number in range(100):
        large = {"id": f"large-{number}", "cron": "0 0 1 1 *", "job": {"url": URL, "body_base64": "A" * 340_000}}
        assert node.call("POST", "/schedules", large).status == 201
    for job_id in ("many", "soon", "doomed"):
        assert node.call("POST", "/jobs", {"id": job_id, "url": URL, "delay": "1h"}).status == 201


def _many_attempts(node: NodeUnderTest, job_id: str, count: int = ATTEMPTS_MAX) -> None:
    """As many as a job can have, unless fewer are said, each with as much of an answer as is kept."""
    seq, due_ms = node.rows("SELECT seq, due_ms FROM jobs WHERE id = ?", job_id)[0]
    body = b"\xe9" * RESPONSE_BYTES_KEPT_MAX
    for number in range(1, count + 1):
        claim = ClaimJobs(((seq, due_ms),), due_ms + 30_000, OWNER)
        failed = Outcome.RETRYABLE_FAILURE
        node.propose(
            claim,
            RecordOutcome(seq, number, failed, State.PENDING, due_ms, 500, None, due_ms, 1, (), body, "n1", 1),
        )


@contextmanager
def attacked(directory: Path, tls: TlsFiles = NO_TLS) -> Iterator[dict[str, Service]]:
    """A filled node, and a proxy before it; their loops are such as ``measured_steps`` measures."""
    trace = threading.gettrace()
    threading.settrace(None)  # coverage makes the loops' threads several times slower
    with closing(Clusters(directory, 1, asyncio.run, tls=tls)) as clusters:
        (node,) = clusters.nodes.values()
        proxy = clusters.start_proxy(try_timeout_ms=20_000, request_timeout_ms=30_000, tls=tls)
        threading.settrace(trace)
        fill(node)
        _many_attempts(node, "many")
        _many_attempts(node, "doomed", 200)
        yield {"node": node, "proxy": proxy}


def longest_step_ms(service: Service, steps: Steps, attack: Attack) -> tuple[int, float]:
    """(status, the longest step that it cost)."""
    body = None if attack.body is None else attack.body()
    gc.collect()  # what the making of the body left behind is not the node's
    for _ in range(_ASKED_MAX):
        steps.reset()
        status = _status(service, attack, body)
        service.call("GET", "/jobs/soon")  # the step that wrote the answer has ended when this one is answered
        if status is not None:
            return status, steps.longest_ms
    raise ConnectionResetError(f"no answer to {attack.name} was seen in {_ASKED_MAX} tries")


def _status(service: Service, attack: Attack, body: bytes | None) -> int | None:
    """None: the connection was cut before the answer was read.

    What is refused at its head is answered at once, and 1 MiB more is taken: who sends more, and does not read in time,
    does not see the answer.
    """
    try:
        return service.call(attack.method, attack.path, body).status
    except (BrokenPipeError, ConnectionResetError):
        return None
