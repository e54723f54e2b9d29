"""Load on a cluster through all its nodes, by clients that try again as the SDK does and write down what they saw."""

import random
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.chaos.cluster import AWAY, ClusterNode
from tests.end_to_end.processes import CLOCK

RETRIES = 3  # the SDK's default
_FIRST_WAIT_S = 0.1  # likewise
_CALL_S = 10.0
_CANCEL_OF_TEN = 2

Outcome = Literal["ok", "refused", "fail", "unknown"]


@dataclass
class Call:
    """One call of a client, with all its tries.

    Attributes:
        ids: of the jobs it is about; of one created by key it is known once it was answered.
        outcome: ok: it was acknowledged; refused: answered that there is nothing left to cancel; fail: all tries were
            turned away, so surely nothing was done; unknown: nobody told.
    """

    kind: Literal["create", "cancel"]
    ids: tuple[str, ...]
    started_ms: int
    ended_ms: int = 0
    outcome: Outcome = "unknown"
    tries: int = 0
    why: str = ""
    key: str | None = None


@dataclass
class History:
    """All calls of all clients."""

    calls: list[Call] = field(default_factory=list)

    def of(self, kind: str, outcome: str | None = None) -> list[Call]:
        """The calls of a kind, all or those that ended in ``outcome``."""
        return [call for call in self.calls if call.kind == kind and outcome in (None, call.outcome)]


class ClusterClient(threading.Thread):
    """Creates jobs singly, in batches and by idempotency key, and cancels some, until told to stop.

    Args:
        nodes: each try goes to the next one.
        url: of the receiver; it answers ``/MS`` after so many milliseconds.
        pace_s: how long it rests between calls.
    """

    def __init__(
        self, nodes: Sequence[ClusterNode], url: str, seed: int, history: History, pace_s: float, timeout: str = "10s"
    ) -> None:
        super().__init__(daemon=True, name=f"client-{seed}")
        self._nodes = nodes
        self._url = url
        self._timeout = timeout
        self._random = random.Random(seed)
        self._history = history
        self._pace_s = pace_s
        self._stopped = threading.Event()
        self._turn = seed
        self.failure: Exception | None = None

    def stop(self) -> None:
        """End the load; raises what ended it before."""
        self._stopped.set()
        self.join()
        if self.failure:
            raise self.failure

    def run(self) -> None:
        try:
            while not self._stopped.wait(self._pace_s):
                self._step()
        except Exception as error:  # noqa: BLE001 - told to the test by stop()
            self.failure = error

    def _step(self) -> None:
        how = self._random.choice(("single", "single", "single", "key", "batch"))
        if how == "key":
            self._create_by_key()
            return
        jobs = [self._job() for _ in range(1 if how == "single" else self._random.choice((2, 5, 20)))]
        call = Call("create", tuple(str(job["id"]) for job in jobs), CLOCK.wall_ms())
        if how == "single":
            self._call(call, "/jobs", jobs[0])
        else:
            self._call(call, "/jobs/batch", {"jobs": jobs})
        late = [str(job["id"]) for job in jobs if job["delay"]]
        if call.outcome == "ok" and late and self._random.randrange(10) < _CANCEL_OF_TEN:
            chosen = self._random.choice(late)
            self._call(Call("cancel", (chosen,), CLOCK.wall_ms()), f"/jobs/{chosen}/cancel", None)

    def _create_by_key(self) -> None:
        key = str(uuid.UUID(int=self._random.getrandbits(128)))
        job = self._job()
        del job["id"]
        call = Call("create", (), CLOCK.wall_ms(), key=key)
        answer = self._call(call, "/jobs", job | {"labels": {"key": key}}, {"idempotency-key": key})
        if call.outcome == "ok":
            call.ids = (answer["id"],)

    def _job(self) -> dict[str, Any]:
        return {
            "id": str(uuid.UUID(int=self._random.getrandbits(128))),
            "url": f"{self._url}/{self._random.choice((0, 0, 20, 100))}",
            "delay": self._random.choice((0, 0, 0, 0.5, 1, 2)),
            "timeout": self._timeout,  # and 5 s: so long is a claim open whose owner's death is not proven
            "guarantee": self._random.choice(("at_least_once", "at_least_once", "at_most_once")),
        }

    def _call(self, call: Call, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        """Try until it is known, or the SDK would give up; the answer of the last try."""
        answer: Any = None
        is_unclear = False  # some try may have been acted upon
        while True:
            call.tries += 1
            self._turn += 1
            node = self._nodes[self._turn % len(self._nodes)]
            status, retry_after_s = 0, 0.0
            try:
                status, answer = node.call("POST", path, body, timeout_s=_CALL_S, **(headers or {}))
            except ConnectionRefusedError as error:
                call.why = repr(error)
            except AWAY as error:
                is_unclear = True
                call.why = repr(error)
            else:
                is_unclear = is_unclear or status in (500, 502, 504)
                retry_after_s = 1.0 if status in (429, 503) else 0.0
                if status:
                    call.why = f"{status} {_code(answer)}"
            if status and status not in (429, 500, 502, 503, 504):
                break
            if call.tries > RETRIES or self._stopped.is_set():
                break
            self._stopped.wait(retry_after_s + self._random.random() * _FIRST_WAIT_S * 2.0 ** (call.tries - 1))
        call.ended_ms = CLOCK.wall_ms()
        call.outcome = _outcome(call, status, answer, is_unclear=is_unclear)
        self._history.calls.append(call)
        return answer


def _outcome(call: Call, status: int, answer: Any, *, is_unclear: bool) -> Outcome:
    if status == 200 and call.kind == "create" and "results" in answer:
        bad = [result for result in answer["results"] if result["status"] not in (200, 201)]
        if bad:
            call.why = f"in a batch: {bad[0]}"
        return "ok" if not bad else "unknown"
    if status in (200, 201):
        return "ok"
    if status == 409 and call.kind == "cancel":  # it is over; after an unclear try perhaps by that very try
        return "unknown" if is_unclear else "refused"
    if status and status < 500 and status != 429:
        raise AssertionError(f"{call}: {status} {answer}")
    return "unknown" if is_unclear else "fail"


def _code(answer: Any) -> str:
    return str(answer.get("code", "")) if isinstance(answer, dict) else ""
