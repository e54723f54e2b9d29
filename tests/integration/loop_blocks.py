"""How long a request holds the event loop: the longest step of the loop's thread, in CPU time, so load does not matter.

Used by the tests, and by ``benchmarks/hardening.py`` for its page.
"""

import asyncio.events
import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.integration.node_under_test import Answer, NodeUnderTest

MIB = 2**20
BATCH_BYTES = 16 * MIB - 1_000  # what a batch may have, almost
JOB_BYTES = 400 * 1024  # what one job may have, almost
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
    run = asyncio.events.Handle._run

    def measured(handle: asyncio.events.Handle) -> None:
        started = time.thread_time()
        try:
            run(handle)
        finally:
            steps.longest_ms = max(steps.longest_ms, (time.thread_time() - started) * 1_000)

    asyncio.events.Handle._run = measured  # type: ignore[method-assign]
    try:
        yield steps
    finally:
        asyncio.events.Handle._run = run  # type: ignore[method-assign]


@dataclass(frozen=True)
class Attack:
    """One of the worst inputs of its size."""

    name: str
    path: str
    body: Callable[[], bytes] | None = None  # of a POST

    def send(self, node: NodeUnderTest, body: bytes | None) -> Answer:
        """Make the call, with what ``body`` gave."""
        return node.get(self.path) if body is None else node.post(self.path, body)


def _batch(name: str, body: Callable[[], bytes]) -> Attack:
    return Attack(f"batch: {name}", "/jobs/batch", body)


def _job(name: str, body: Callable[[], bytes]) -> Attack:
    return Attack(f"job: {name}", "/jobs", body)


def _get(path: str) -> Attack:
    return Attack(f"GET {path}", path)


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
    _get("/jobs?limit=1000&destination=https%3A%2F%2Fother.example"),
    _get("/schedules?limit=1000"),
    _get("/schedules/preview?count=1000&timezone=Europe/Berlin&cron=*/30+2+29+2+*/7"),
    _get("/schedules/preview?count=1000&timezone=Africa/Casablanca&cron=30+2+*+2+MON%235"),
    _get("/destinations?limit=1000"),
    Attack("cancel by label", "/jobs/cancel", lambda: b'{"label":"wide","dry_run":true}'),
    Attack("internal outcomes, 1 MiB", "/internal/outcomes", lambda: b"\x90" * MIB),
]


def fill(node: NodeUnderTest) -> None:
    """Jobs whose pages are large, with a label that has many values."""
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
        assert node.post("/jobs/batch", {"jobs": jobs}).status == 200


def longest_step_ms(node: NodeUnderTest, steps: Steps, attack: Attack) -> tuple[int, float]:
    """(status, the longest step that it cost)."""
    body = None if attack.body is None else attack.body()
    gc.collect()  # what the making of the body left behind is not the node's
    steps.reset()
    status = attack.send(node, body).status
    return status, steps.longest_ms
