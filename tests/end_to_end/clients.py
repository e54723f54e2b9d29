"""Clients that load a node while it is killed, and remember what was acknowledged."""

import http.client
import random
import threading
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.end_to_end.processes import NodeProcess

AWAY = (OSError, http.client.HTTPException)


@dataclass
class Ledger:
    """The knowledge of clients: acknowledged ids by guarantee, and ids whose fate a crash hid from the client."""

    at_least_once: set[str] = field(default_factory=set)
    at_most_once: set[str] = field(default_factory=set)
    unclear: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)


class LoadingClient(threading.Thread):
    """Creates jobs one by one and in batches, with ids of its own, and cancels some, until told to stop."""

    def __init__(self, node: NodeProcess, url: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.ledger = Ledger()
        self._node = node
        self._url = url
        self._random = random.Random(seed)
        self._stopped = threading.Event()
        self.failure: AssertionError | None = None

    def stop(self) -> Ledger:
        """End the load and return what is known."""
        self._stopped.set()
        self.join()
        if self.failure:
            raise self.failure
        return self.ledger

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._step()
            except AssertionError as error:
                self.failure = error
                return

    def _step(self) -> None:
        jobs = [self._job() for _ in range(self._random.choice((1, 1, 5, 50)))]
        try:
            if len(jobs) == 1:
                status, job = self._node.call("POST", "/jobs", jobs[0])
                assert status in (201, 503), (status, job)
            else:
                status, answer = self._node.call("POST", "/jobs/batch", {"jobs": jobs})
                assert status in (200, 503), (status, answer)
            if status == 503:  # too busy, or about to end
                self.ledger.unclear |= {job["id"] for job in jobs}
                self._stopped.wait(0.05)
                return
            if len(jobs) > 1:
                assert all(result["status"] == 201 for result in answer["results"]), answer
        except AWAY:
            self.ledger.unclear |= {job["id"] for job in jobs}
            self._stopped.wait(0.05)
            return
        for job in jobs:
            once = job["guarantee"] == "at_most_once"
            (self.ledger.at_most_once if once else self.ledger.at_least_once).add(job["id"])
        if self._random.random() < 0.2:
            self._cancel(self._random.choice(jobs)["id"])

    def _cancel(self, job_id: str) -> None:
        try:
            status, job = self._node.call("POST", f"/jobs/{job_id}/cancel")
        except AWAY:
            self.ledger.unclear.add(job_id)  # the job is acknowledged, whether it is cancelled is not known
            return
        assert status in (200, 409, 503), (status, job)
        if status == 200:
            self.ledger.cancelled.add(job_id)

    def _job(self) -> dict[str, Any]:
        return {
            "id": str(uuid.UUID(int=self._random.getrandbits(128))),
            "url": self._url,
            "delay": self._random.choice((0, 0, 0.2, 1.0)),
            "guarantee": self._random.choice(("at_least_once", "at_least_once", "at_most_once")),
        }
