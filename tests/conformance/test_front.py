"""A front answers every call as its node would: the same status, headers and body, byte for byte.

Two nodes have the same clock and the same random numbers. One is asked itself, the other through a front.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from starlette.applications import Starlette

from hookline.errors import NotLeader
from hookline.http_api.messages import AsgiMessage
from hookline.node.assembly import Node
from hookline.node.config import NodeConfig
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.replica import inline_commit
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.machine import open_state
from hookline.protocol.calls import calls_of
from hookline.protocol.commands import ClaimJobs, RecordOutcome, SetTopology
from hookline.protocol.topology import ClusterEntry, Topology, encode_topology
from hookline.testing import Receiver
from hookline.testing.assembly import LoneParts, assemble
from tests.front_parts import front_before
from tests.node_parts import OWNER, ManualClock, settle

JOB = {"url": "https://example.com/hook", "payload": {"n": 1}, "labels": {"a": "b"}}
SCHEDULE = {"id": "nightly", "cron": "0 3 * * *", "job": JOB}
SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
TOPOLOGY = Topology(
    epoch=3,
    strategy="modulo",
    clusters=(
        ClusterEntry(name="c0", shard=0, nodes=("http://c0:1",)),
        ClusterEntry(name="c1", shard=1, nodes=("http://c1:1",)),
    ),
)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


class Asked(NamedTuple):
    """One request; ``body`` is JSON unless it is bytes, and comes in so many pieces."""

    call: str
    method: str
    target: str
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
    pieces: int = 1


class World:
    """A node in this process, and the application that clients talk to."""

    def __init__(self, node: Node, app: Starlette, clock: ManualClock) -> None:
        self.node = node
        self.app = app
        self.clock = clock
        self.replica = node.member.replica

    async def ask(self, asked: Asked) -> list[dict[str, Any]]:
        """The messages of the answer."""
        body = asked.body if isinstance(asked.body, bytes) else b"" if asked.body is None else _json(asked.body)
        path, _, query = asked.target.partition("?")
        headers = [(name.lower().encode(), value.encode()) for name, value in asked.headers.items()]
        if body:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": asked.method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "client": ("192.0.2.7", 4711),
            "root_path": "",
        }
        size = max(1, -(-len(body) // asked.pieces))
        parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not parts:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: AsgiMessage) -> None:
            sent.append(dict(message))

        await self.app(scope, receive, send)
        return sent


@asynccontextmanager
async def world(data_dir: Path, *, has_front: bool, **settings: Any) -> AsyncIterator[World]:
    clock, leadership = ManualClock(), MemoryLeadership()
    async with AsyncExitStack() as stack:
        database = open_state(data_dir / "state.db")
        stack.callback(database.close)
        config = NodeConfig(data_dir=data_dir, **settings)
        node = assemble(
            LoneParts(config, clock, database, MemoryLog(), leadership, inline_commit, Receiver(clock)),
        )
        await leadership.acquire()
        await node.member.replica.begin_term(1, OWNER)
        node.member.is_serving.set()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        leading = tasks.create_task(node.member.replica.lead())
        app = node.app
        if has_front:
            app = await stack.enter_async_context(front_before(node.api, app, tasks))
            await settle()
        yield World(node, app, clock)
        node.member.replica.close()
        await leading


@asynccontextmanager
async def worlds(path: Path, **settings: Any) -> AsyncIterator[tuple[World, World]]:
    """(Asked itself, asked through a front)."""
    for name in ("one", "other"):
        (path / name).mkdir()
    async with (
        world(path / "one", has_front=False, **settings) as one,
        world(path / "other", has_front=True, **settings) as other,
    ):
        yield one, other


async def answer(both: tuple[World, World], asked: Asked) -> tuple[int, bytes]:
    """Ask both; what both answered."""
    own, through = [await one.ask(asked) for one in both]
    assert _joined(through) == _joined(own), asked
    return own[0]["status"], b"".join(message["body"] for message in own[1:])


def _joined(messages: list[dict[str, Any]]) -> Any:
    return messages[0], b"".join(message["body"] for message in messages[1:])


JOBS = [
    Asked("createJob", "POST", "/jobs", JOB | {"id": "one"}),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "one"}),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "one", "priority": 3}),
    Asked("createJob", "POST", "/jobs", JOB | {"delay": "1h"}),
    Asked("createJob", "POST", "/jobs", JOB | {"run_at": "2031-01-01T00:00:00Z", "priority": 5}, pieces=7),
    Asked("createJob", "POST", "/jobs", JOB, {"Idempotency-Key": "key"}),
    Asked("createJob", "POST", "/jobs", JOB, {"Idempotency-Key": "key"}),
    Asked("createJob", "POST", "/jobs", JOB | {"delay": 5}, {"Idempotency-Key": "key"}),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "brief"}, {"Prefer": "return=minimal"}),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "brief"}, {"Prefer": "return=minimal"}),
    Asked("createJob", "POST", "/jobs", {"url": "no url"}),
    Asked("createJob", "POST", "/jobs", {"url": "http://127.0.0.1/"}),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "batch"}),
    Asked("createJob", "POST", "/jobs", b'{"url": '),
    Asked("createJob", "POST", "/jobs", b'{"url": "https://a.example", "url": "https://b.example"}'),
    Asked("createJob", "POST", "/jobs", b"\xff\xfe"),
    Asked("createJob", "POST", "/jobs", JOB | {"colour": "red"}),
    Asked("createJob", "POST", "/jobs", JOB | {"payload": "x" * 2_000_000}),
    Asked("createJob", "POST", "/jobs", JOB | {"payload": "x" * 900_000, "id": "large"}, pieces=30),
    Asked("createJob", "POST", "/jobs", JOB, {"Idempotency-Key": ""}),
    Asked("createJob", "POST", "/jobs", JOB, {"Content-Encoding": "gzip"}),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "in-time"}, {"Hookline-Timeout-Ms": "60000"}),
    Asked("createJob", "POST", "/jobs", JOB, {"Hookline-Timeout-Ms": "soon"}),
    Asked("createJob", "POST", "/jobs", JOB, {"Hookline-Epoch": "none"}),
    Asked("createJob", "POST", "/jobs", JOB, {"Hookline-Epoch": "9"}),
    Asked("createJob", "POST", "/jobs", b"nonsense", {"Hookline-Epoch": "9"}),
    Asked("createJob", "POST", "/jobs", JOB, {"Hookline-For-Cluster": "c9"}),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "signed", "secret": SECRET}),
    Asked("createBatch", "POST", "/jobs/batch", {"jobs": [JOB | {"id": "b1"}, JOB | {"id": "one"}, {"url": "no"}]}),
    Asked(
        "createBatch", "POST", "/jobs/batch", [JOB | {"id": f"many-{n}", "payload": "y" * 3_000} for n in range(600)]
    ),
    Asked("createBatch", "POST", "/jobs/batch", [JOB | {"id": "b2"}, JOB | {"id": "b2"}], {"Prefer": "return=minimal"}),
    Asked("createBatch", "POST", "/jobs/batch", [JOB | {"id": "b3", "secret": SECRET}]),
    Asked("createBatch", "POST", "/jobs/batch", []),
    Asked("createBatch", "POST", "/jobs/batch", [{}] * 1_001),
    Asked("createBatch", "POST", "/jobs/batch", {"tasks": []}),
    Asked("getJob", "GET", "/jobs/one"),
    Asked("getJob", "HEAD", "/jobs/one"),
    Asked("getJob", "GET", "/jobs/signed"),
    Asked("getJob", "GET", "/jobs/ran"),
    Asked("getJob", "GET", "/jobs/running"),
    Asked("getJob", "GET", "/jobs/none"),
    Asked("getJob", "GET", "/jobs/" + "x" * 300),
    Asked("getJob", "GET", "/jobs/one?colour=red"),
    Asked("getJob", "GET", "/jobs/one?consistency=local"),
    Asked("getJob", "GET", "/jobs/one?consistency=linearizable"),
    Asked("getJob", "GET", "/jobs/one?consistency=odd"),
    Asked("listAttempts", "GET", "/jobs/ran/attempts"),
    Asked("listAttempts", "GET", "/jobs/one/attempts"),
    Asked("listAttempts", "GET", "/jobs/none/attempts"),
    Asked("listJobs", "GET", "/jobs"),
    Asked("listJobs", "GET", "/jobs?limit=3"),
    Asked("listJobs", "GET", "/jobs?state=succeeded"),
    Asked("listJobs", "GET", "/jobs?label=a=b&limit=1000"),
    Asked("listJobs", "GET", "/jobs?limit=0"),
    Asked("listJobs", "GET", "/jobs?cursor=odd"),
    Asked("listJobs", "GET", "/jobs?limit=2", None, {"Hookline-Epoch": "0"}),
    Asked("updateJob", "PATCH", "/jobs/one", {"delay": "2h"}),
    Asked("getJob", "GET", "/jobs/one"),
    Asked("runJob", "POST", "/jobs/one/run"),
    Asked("cancelJob", "POST", "/jobs/one/cancel", {}),
    Asked("retryJob", "POST", "/jobs/one/retry", {"timeout": "9s"}),
    Asked("getJob", "GET", "/jobs/one"),
    Asked("cancelJob", "POST", "/jobs/b1/cancel"),
    Asked("deletePayload", "DELETE", "/jobs/b1/payload"),
    Asked("getJob", "GET", "/jobs/b1"),
    Asked("deleteJob", "DELETE", "/jobs/b1"),
    Asked("getJob", "GET", "/jobs/b1"),
    Asked("retryJobs", "POST", "/jobs/retry", {"filter": {"state": "succeeded"}}),
    Asked("cancelJobs", "POST", "/jobs/cancel", {"filter": {"label": "a=b"}, "dry_run": True}),
    Asked("cancelJobs", "POST", "/jobs/cancel", {"filter": {}}, {"Hookline-Epoch": "9"}),
]

ACME = {"Hookline-Tenant": "acme"}
OTHERS = [
    Asked("createSchedule", "POST", "/schedules", SCHEDULE),
    Asked("listSchedules", "GET", "/schedules"),
    Asked("previewSchedule", "GET", "/schedules/preview?cron=0+3+*+*+*&count=3"),
    Asked("getSchedule", "GET", "/schedules/nightly"),
    Asked("listTicks", "GET", "/schedules/nightly/ticks?limit=3"),
    Asked("updateSchedule", "PATCH", "/schedules/nightly", {"jitter": "5s"}),
    Asked("pauseSchedule", "POST", "/schedules/nightly/pause"),
    Asked("resumeSchedule", "POST", "/schedules/nightly/resume"),
    Asked("runSchedule", "POST", "/schedules/none/run"),
    Asked("deleteSchedule", "DELETE", "/schedules/nightly"),
    Asked("putDestination", "PUT", "/destinations/example.com", {"paused": True, "retry": {"max_attempts": 2}}),
    Asked("putDestination", "PUT", "/destinations/example.com", {"secrets": [SECRET]}),
    Asked("getDestination", "GET", "/destinations/example.com"),
    Asked("listDestinations", "GET", "/destinations"),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "to-paused"}),
    Asked("getJob", "GET", "/jobs/to-paused"),
    Asked("listJobs", "GET", "/jobs?limit=5"),
    Asked("deleteDestination", "DELETE", "/destinations/example.com"),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "to-plain"}),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "to-plain"}, ACME),
    Asked("getJob", "GET", "/jobs/to-plain", None, ACME),
    Asked("getJob", "GET", "/jobs/to-paused", None, ACME),
    Asked("listAttempts", "GET", "/jobs/to-plain/attempts", None, ACME),
    Asked("listJobs", "GET", "/jobs", None, ACME),
    Asked("listJobs", "GET", "/jobs", None, {"Hookline-Tenant": "a/b"}),
    Asked("putTenant", "PUT", "/tenants/acme", {"pending_jobs": 2, "weight": 2}),
    Asked("createBatch", "POST", "/jobs/batch", {"jobs": [JOB | {"id": "a1"}, JOB | {"id": "a2"}]}, ACME),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "a3"}, ACME),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "a4"}, ACME),
    Asked("createJob", "POST", "/jobs", JOB | {"id": "a4"}),
    Asked("getTenant", "GET", "/tenants/acme"),
    Asked("listTenants", "GET", "/tenants"),
    Asked("deleteTenant", "DELETE", "/tenants/acme"),
    Asked("createKey", "POST", "/keys", {"name": "ci", "scopes": ["read"], "expires": "90d"}),
    Asked("createKey", "POST", "/keys", {"name": "ci", "scopes": []}),
    Asked("listKeys", "GET", "/keys?limit=1"),
    Asked("getOwnKey", "GET", "/keys/self"),
    Asked("getKey", "GET", "/keys/none"),
    Asked("rotateKey", "POST", "/keys/none/rotate"),
    Asked("revokeKey", "DELETE", "/keys/none"),
    Asked("readKeys", "GET", "/internal/keys"),
    Asked("takeKeys", "PUT", "/internal/keys", {"keys": [["k", "?"]]}),
    Asked("readCluster", "GET", "/internal/cluster"),
    Asked("getCluster", "GET", "/cluster"),
    Asked("handover", "POST", "/cluster/handover"),
    Asked("changeCluster", "PATCH", "/cluster", {"mode": "leader"}),
    Asked("trustClock", "POST", "/cluster/clock", {}),
    Asked("getLogLevels", "GET", "/logs/levels"),
    Asked("changeLogLevels", "PATCH", "/logs/levels", {"levels": {"moon": "full"}}),
    Asked("listAudit", "GET", "/audit?limit=3"),
    Asked("listAudit", "GET", "/audit?after=soon"),
    Asked("takeNote", "POST", "/internal/audit", {}),
    Asked("getHealth", "GET", "/health", None, {"Hookline-Proxy": "192.0.2.1:7000"}),
    Asked("getLivez", "GET", "/livez"),
    Asked("getReadyz", "GET", "/readyz"),
    Asked("getOpenapi", "GET", "/openapi.json"),
    Asked("getDocs", "GET", "/docs"),
    Asked("readClock", "GET", "/internal/clock"),
    Asked("readPosition", "GET", "/internal/position"),
    Asked("describeSnapshot", "GET", "/internal/snapshot"),
    Asked("readSnapshot", "GET", "/internal/snapshot/none"),
    Asked("readTopology", "GET", "/internal/topology"),
    Asked("takeTopology", "PUT", "/internal/topology", {"epoch": 1}),
    Asked("readSettings", "GET", "/internal/destinations"),
    Asked("takeSettings", "PUT", "/internal/destinations", {}),
    Asked("createGathered", "POST", "/internal/jobs", msgspec.msgpack.encode([[_json(JOB | {"id": "gathered"}), []]])),
    Asked("createGathered", "POST", "/internal/jobs", b"odd"),
    Asked("confirmAbsence", "POST", "/internal/absence", {}, {"Hookline-Epoch": "0"}),
    Asked("exchange", "POST", "/internal/exchange", b"odd"),
    Asked("", "GET", "/nothing"),
    Asked("", "DELETE", "/jobs"),
    Asked("", "GET", "/jobs/retry"),
    Asked("", "GET", "/jobs/one/two/three"),
    Asked("", "OPTIONS", "/jobs"),
]

# How long things took is another time each time; what moves between clusters is asked by their leaders alone.
NOT_COMPARED = {"getMetrics", "takeArrival", "activateArrival", "forgetPointer", "readMoves", "planMoves"}


def test_every_call_is_compared() -> None:
    assert {asked.call for asked in [*JOBS, *OTHERS]} - {""} == {call.name for call in calls_of("node")} - NOT_COMPARED


async def _ran(one: World) -> None:
    """A job that was delivered, and one that is on its way."""
    for name in ("ran", "running"):
        await one.ask(Asked("createJob", "POST", "/jobs", JOB | {"id": name}))
    due_ms = one.clock.wall_ms()
    await one.replica.propose([ClaimJobs(((1, due_ms), (2, due_ms)), due_ms, OWNER)])
    outcome = RecordOutcome(1, 1, 0, 2, None, 200, None, due_ms, 5, (("x", "y"),), b"done", "n1", 1)
    await one.replica.propose([outcome])


@pytest.mark.parametrize("calls", [JOBS, OTHERS], ids=["jobs", "others"])
@pytest.mark.parametrize("signs_all", [True, False])
async def test_the_same_calls_have_the_same_answers(tmp_path: Path, calls: list[Asked], signs_all: bool) -> None:
    async with worlds(tmp_path, signing_secret=SECRET if signs_all else None) as both:
        for one in both:
            await _ran(one)
        statuses = {(await answer(both, asked))[0] for asked in calls}
        assert {200, 201, 400, 404} <= statuses
        assert both[0].replica.counters == both[1].replica.counters


@pytest.mark.parametrize("limit", ["pending_jobs_max", "pending_bytes_max"])
async def test_a_full_queue_has_the_same_answers(tmp_path: Path, limit: str) -> None:
    async with worlds(tmp_path, **{limit: 40}) as both:
        statuses = []
        for number in range(45):
            statuses += [(await answer(both, Asked("createJob", "POST", "/jobs", JOB | {"id": f"j{number}"})))[0]]
        statuses += [(await answer(both, Asked("createBatch", "POST", "/jobs/batch", [JOB] * 50)))[0]]
        assert statuses.count(201) == both[1].replica.counters["pending"]
        assert statuses[-1] == 503 or statuses[-1] == 429, statuses


async def test_creates_at_the_same_time_share_the_room_there_is(tmp_path: Path) -> None:
    async with worlds(tmp_path, pending_jobs_max=10) as (_, through):
        asked = [Asked("createJob", "POST", "/jobs", JOB | {"id": f"j{number}"}) for number in range(25)]
        answers = await asyncio.gather(*(through.ask(one) for one in asked))
        assert sorted(one[0]["status"] for one in answers) == [201] * 10 + [429] * 15
        assert through.node.services.admission.usage()["pending_jobs"][0] == 10


CALLS_OF_PROXIES: list[Callable[[str], Asked]] = [
    lambda epoch: Asked("createJob", "POST", "/jobs", JOB, {"Hookline-Epoch": epoch}),
    lambda epoch: Asked("createJob", "POST", "/jobs", b"odd", {"Hookline-Epoch": epoch}),
    lambda epoch: Asked("createJob", "POST", "/jobs", JOB | {"id": "a"}, {"Hookline-Epoch": epoch}),
    lambda epoch: Asked("createJob", "POST", "/jobs", JOB | {"id": "b"}, {"Hookline-Epoch": epoch}),
    lambda epoch: Asked(
        "createJob", "POST", "/jobs", JOB | {"id": "c"}, {"Hookline-Epoch": epoch, "Hookline-Fallback": "allow"}
    ),
    lambda epoch: Asked("createJob", "POST", "/jobs", JOB, {"Hookline-Epoch": epoch, "Idempotency-Key": "k1"}),
    lambda epoch: Asked("createJob", "POST", "/jobs", JOB, {"Hookline-Epoch": epoch, "Idempotency-Key": "k2"}),
    lambda epoch: Asked(
        "createBatch", "POST", "/jobs/batch", [JOB | {"id": n} for n in "defgh"], {"Hookline-Epoch": epoch}
    ),
    lambda epoch: Asked("getJob", "GET", "/jobs/a", None, {"Hookline-Epoch": epoch}),
    lambda epoch: Asked("listJobs", "GET", "/jobs", None, {"Hookline-Epoch": epoch}),
]


@pytest.mark.parametrize("epoch", ["2", "3", "4"])
async def test_the_topology_decides_alike(tmp_path: Path, epoch: str) -> None:
    async with worlds(tmp_path) as both:
        for one in both:
            await one.replica.propose([SetTopology(3, encode_topology(TOPOLOGY))])
        answers = [await answer(both, of_proxy(epoch)) for of_proxy in CALLS_OF_PROXIES]
        plain = [await answer(both, Asked("createJob", "POST", "/jobs", JOB | {"id": name})) for name in "xyz"]
        refused = {"2": {421}, "3": {400, 421}, "4": {409}}[epoch]  # 409: the caller's topology is newer
        assert {status for status, _ in answers} == refused | ({200, 201} if epoch == "3" else set())
        assert {status for status, _ in plain} == {201, 421}


async def test_a_node_that_does_not_lead_forwards_or_refuses_alike(tmp_path: Path) -> None:
    async with worlds(tmp_path) as both:
        await answer(both, Asked("createJob", "POST", "/jobs", JOB | {"id": "one"}))
        for one in both:
            one.node.member.is_serving.clear()
        forwarded = {"Hookline-Forwarded": "1"}
        for asked in (
            Asked("createJob", "POST", "/jobs", JOB, forwarded),
            Asked("createJob", "POST", "/jobs", b"odd", forwarded),
            Asked("createBatch", "POST", "/jobs/batch", [JOB], forwarded),
            Asked("getJob", "GET", "/jobs/one", None, forwarded),
            Asked("getJob", "GET", "/jobs/none", None, forwarded),
            Asked("listJobs", "GET", "/jobs", None, forwarded),
        ):
            status, body = await answer(both, asked)
            assert (status, json.loads(body)["code"]) == (503, NotLeader.code)
        for one in both:
            one.node.member.is_serving.set()
        assert (await answer(both, Asked("getJob", "GET", "/jobs/one")))[0] == 200


async def test_what_was_read_before_another_node_led_is_not_shown(tmp_path: Path) -> None:
    async with worlds(tmp_path) as (_, through):
        await through.ask(Asked("createJob", "POST", "/jobs", JOB | {"id": "one"}))
        through.replica.term += 1  # as if it had lost the lead and won it again, between the reading and the question
        answer_of = await through.ask(Asked("getJob", "GET", "/jobs/one"))
        assert answer_of[0]["status"] == 200, "the node itself read it"
