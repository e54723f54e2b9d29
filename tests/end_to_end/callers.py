"""Clients behind a load balancer: a steady load of creates and reads, one repetition each, and an account of all."""

import http.client
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.end_to_end.processes import CLOCK, Journal, until

PAUSE_S = 0.01  # between two calls of a caller: a load that a busy machine bears too
REPEAT_PAUSE_S = 0.2  # a process that is killed takes a moment to end, and its port takes connections until then
_BROKEN = (OSError, http.client.HTTPException)


@dataclass
class Account:
    """The knowledge of one caller. Each POST carries a mark, so that the receiver's journal tells them apart.

    Attributes:
        created: the id that was acknowledged, by mark.
        unclear: marks of POSTs without a good answer.
        broken: what happened to tries that got no good answer.
        failed: calls whose repetition got none either, and answers that are wrong.
    """

    created: dict[str, str] = field(default_factory=dict)
    unclear: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    calls: int = 0


class Caller(threading.Thread):
    """Creates jobs, with an id of its own or without, and reads them, one call after the other until told to stop."""

    def __init__(self, name: str, port: int, hook: str, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.account = Account()
        self._port = port
        self._hook = hook
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self._connection: http.client.HTTPConnection | None = None

    def stop(self) -> None:
        """End after the call that is under way."""
        self._stopped.set()
        self.join(60)
        assert not self.is_alive()

    def run(self) -> None:
        while not self._stopped.wait(PAUSE_S):
            kind = self._random.choices(("named", "minted", "read"), (2, 2, 1))[0]
            if kind == "read" and not self.account.created:
                continue
            self.account.calls += 1
            getattr(self, f"_{kind}")()
        self._close()

    def _named(self) -> None:
        mark = self._mark()
        self._create([(mark, {"id": f"{self.name}-{mark}"})] * 2)

    def _minted(self) -> None:
        self._create([(self._mark(), {}), (self._mark(), {})])

    def _create(self, tries: list[tuple[str, dict[str, str]]]) -> None:
        for mark, fields in tries:
            status, job = self._try("POST", "/jobs", {"url": self._hook, "payload": {"mark": mark}} | fields)
            if status in (200, 201):
                self.account.unclear.discard(mark)
                self.account.created[mark] = job["id"]
                return
            self.account.unclear.add(mark)
            threading.Event().wait(REPEAT_PAUSE_S)
        self.account.failed.append(f"create: {self.account.broken[-2:]}")

    def _read(self) -> None:
        wanted = self._random.choice(list(self.account.created.values()))
        for _ in range(2):
            status, job = self._try("GET", f"/jobs/{wanted}")
            if status == 200:
                if job["id"] != wanted:
                    self.account.failed.append(f"asked for {wanted}, got {job['id']}")
                return
            threading.Event().wait(REPEAT_PAUSE_S)
        self.account.failed.append(f"read: {self.account.broken[-2:]}")

    def _try(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """(status, body); (0, None) when there was no answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            data = None if body is None else json.dumps(body)
            self._connection.request(method, path, data, {"content-type": "application/json"})
            answer = self._connection.getresponse()
            text = answer.read()
        except _BROKEN as error:
            self._close()
            self.account.broken.append(f"{method} {path}: {error!r}")
            return 0, None
        if answer.status >= 400:
            self.account.broken.append(f"{method} {path}: {answer.status} {text[:200]!r}")
            return answer.status, None
        return answer.status, json.loads(text)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _mark(self) -> str:
        return f"{self._random.getrandbits(64):016x}"


class Load:
    """Some callers, and what they did together."""

    def __init__(self, callers: Sequence[Caller]) -> None:
        self._callers = callers

    def broken(self) -> list[str]:
        return [what for caller in self._callers for what in list(caller.account.broken)]

    def failed(self) -> list[str]:
        return [what for caller in self._callers for what in list(caller.account.failed)]

    def go_on(self, calls: int) -> None:
        """Wait until every caller has made so many more calls."""
        before = [caller.account.calls for caller in self._callers]
        until(
            lambda: all(
                caller.account.calls >= start + calls for caller, start in zip(self._callers, before, strict=True)
            ),
            f"each caller has made {calls} more calls",
        )

    def check_deliveries(self, journal: Journal) -> None:
        """Each job that was acknowledged came to the receiver once; no POST made more than one."""
        created = {mark: found for caller in self._callers for mark, found in caller.account.created.items()}
        unclear = {mark for caller in self._callers for mark in caller.account.unclear}
        until(lambda: created.keys() <= journal_marks(journal).keys(), "all jobs were delivered")
        arrived = {mark: ids for mark, ids in journal_marks(journal).items() if mark in created or mark in unclear}
        assert {mark: ids for mark, ids in arrived.items() if mark in created} == {
            mark: [found] for mark, found in created.items()
        }
        assert max(Counter({mark: len(ids) for mark, ids in arrived.items()}).values()) == 1


def journal_marks(journal: Journal) -> dict[str, list[str]]:
    """The ids of the jobs that came with each mark."""
    found: dict[str, list[str]] = {}
    for webhook_id, _, _, body in list(journal.requests):
        found.setdefault(json.loads(body)["mark"], []).append(webhook_id)
    return found


@contextmanager
def calling(port: int, hook: str, callers: int = 4) -> Iterator[Load]:
    """So many callers call this port; they have stopped at the end."""
    seed = CLOCK.wall_ms() % 10**6
    print(f"seed {seed}")
    threads = [Caller(f"caller{seed + number}", port, hook, seed + number) for number in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield Load(threads)
    finally:
        for thread in threads:
            thread.stop()
