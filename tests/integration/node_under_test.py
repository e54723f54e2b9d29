"""A real node in this process: SQLite on disk, local log, replica, uvicorn on a free port of 127.0.0.1.

It runs in a thread with its own loop, so that tests are plain calls from outside, as a user's would be. Delivery is a
stub: nothing is sent, so a job stays as the test left it; ``run`` plays dispatch and the runner for one attempt.
"""

import asyncio
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import apsw
import uvloop
from starlette.applications import Starlette

from hookline.clock import SystemClock
from hookline.http_api.connection import StrictProtocol
from hookline.http_api.connection_limits import ConnectionLimits
from hookline.http_api.page_host import NO_ROUTES, Routes
from hookline.http_api.server import ApiServer, make_server
from hookline.node.api.app import create_app
from hookline.node.api.context import Api
from hookline.node.api.services import DestinationStatus, Services
from hookline.node.assembly import NodeParts, build
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.resolver import Resolver
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.watch import ClockWatch
from hookline.node.config import NodeConfig
from hookline.node.dispatch.seats import RunnerStatus
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.membership.single import SingleMembership
from hookline.node.replica import Replica, ThreadCommit
from hookline.node.replicated_log.local import LocalLog
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.storage.snapshots import Snapshots
from hookline.node.vault import Vault
from hookline.peers.http_sender import HttpSender
from hookline.protocol.commands import AnyCommand, ClaimJobs, RecordOutcome, Result
from hookline.protocol.internal_http import ClusterMoves
from hookline.protocol.jobs import Outcome, State
from hookline.protocol.topology import digest_of
from hookline.testing import Receiver
from hookline.testing.assembly import lookup
from hookline.tls.live import LiveTls, kept_fresh
from tests.front_parts import front_before
from tests.node_parts import OWNER

_TABLES = ("jobs", "specs", "labels", "attempts", "idempotency_keys", "schedules", "destinations")


RunLoop = Callable[[Coroutine[Any, Any, None]], None]


class ShiftedClock(SystemClock):
    """The machine's clock, some time later: as long as the test says, and so much more each time it is asked."""

    shift_ms = 0
    step_ms = 0

    def wall_ms(self) -> int:
        self.shift_ms += self.step_ms
        return super().wall_ms() + self.shift_ms

    def boot_ms(self) -> float:
        return super().boot_ms() + self.shift_ms


@dataclass
class StubDelivery:
    """Answers what the test set."""

    waiting: tuple[str, str, int | None] = ("slots", "nobody works here", None)
    status: DestinationStatus = field(default_factory=lambda: DestinationStatus("closed", None, 0, 0))
    ready: str | None = None
    lacks: list[str] = field(default_factory=list)
    runs: list[RunnerStatus] = field(default_factory=list)
    nobody: str | None = None

    def why_waiting(self, tenant: str, destination: str, due_ms: int, attempts: int) -> tuple[str, str, int | None]:
        return self.waiting

    def destination_status(self, tenant: str, destination: str) -> DestinationStatus:
        return self.status

    def slots(self) -> tuple[int, int]:
        return 3, 100

    def delivers(self) -> bool:
        return False

    def breakers(self) -> dict[str, int]:
        return {"open": 2}

    def lacking_keys(self) -> list[str]:
        return self.lacks

    def runners(self) -> list[RunnerStatus]:
        return self.runs

    def why_nobody_attempts(self) -> str | None:
        return self.nobody


@dataclass(frozen=True)
class Answer:
    """An answer of the node."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The code of a problem."""
        return self.json.get("code") if self.headers.get("content-type") == "application/problem+json" else None


class NodeUnderTest:
    """A handle on a running node."""

    def __init__(self, config: NodeConfig, limits: ConnectionLimits | None, *, has_front: bool = False) -> None:
        self.config = config
        self._has_front = has_front
        self.clock = ShiftedClock()
        self.delivery = StubDelivery()
        self.is_stopping = False
        self.own_addresses = OwnAddresses([])
        self.run_loop: RunLoop = uvloop.run
        self.routes: Routes = NO_ROUTES
        self.port = self.inner_port = 0
        self.replica: Replica
        self.services: Services
        self._limits = limits
        self._client_tls = LiveTls(config.tls, self.clock).client_context() if config.tls.is_server else None
        self._loop: asyncio.AbstractEventLoop
        self._tls: LiveTls
        self._stop: asyncio.Event
        self._up = threading.Event()

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request; ``body`` bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = dict(headers or {})
        if data is not None:
            given.setdefault("Content-Type", "application/json")
        connection = http_connection(self.port, self._client_tls)
        try:
            connection.request(method, path, data, given)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def pages(self, path: str) -> list[list[Any]]:
        """The items of each page of a list, to its end; ``path`` has a query."""
        found = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.get(path + (f"&cursor={cursor}" if cursor else "")).json
            found.append(page["data"])
            cursor = page["next_cursor"]
        return found

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        return self.call("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def create(self, **fields: Any) -> Any:
        """Create a job with a public url and return it."""
        answer = self.post("/jobs", {"url": "https://example.com/hook"} | fields)
        assert answer.status == 201, answer
        return answer.json

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        """A raw connection; over TLS if the node speaks that."""
        with self.over(socket.create_connection(("127.0.0.1", self.port), timeout=60)) as connection:
            yield connection

    def over(self, connected: socket.socket) -> socket.socket:
        """TLS over this socket if the node speaks that, else the socket."""
        if self._client_tls is None:
            return connected
        return self._client_tls.wrap_socket(connected, server_hostname="127.0.0.1")

    def raw(self, data: bytes) -> bytes:
        """Everything that comes back for these bytes until the node closes the connection."""
        with self.connection() as connection:
            connection.sendall(data)
            return read_all(connection)

    def propose(self, *commands: AnyCommand) -> list[Result]:
        """Put commands into the log, as the leader does."""

        async def proposed() -> list[Result]:
            return await self.replica.propose(commands)

        return asyncio.run_coroutine_threadsafe(proposed(), self._loop).result(60)

    def run(self, job_id: str, outcome: Outcome = Outcome.SUCCESS, *, state: State | None = None) -> None:
        """One attempt: claimed, and ended with this outcome; the job is then finished as ``state``."""
        seq, due_ms, attempts = self.rows("SELECT seq, due_ms, attempts FROM jobs WHERE id = ?", job_id)[0]
        self.propose(ClaimJobs(((seq, due_ms),), due_ms + 30_000, OWNER))
        ended = state or (State.SUCCEEDED if outcome is Outcome.SUCCESS else State.DEAD)
        status = 200 if outcome is Outcome.SUCCESS else 500
        now_ms = self.clock.wall_ms()
        self.propose(
            RecordOutcome(
                seq, attempts + 1, outcome, ended, None, status, None, now_ms, 12, (("x-a", "1"),), b"ok", "n1", 1
            )
        )

    def claim(self, job_id: str) -> None:
        """Make the job running."""
        seq, due_ms = self.rows("SELECT seq, due_ms FROM jobs WHERE id = ?", job_id)[0]
        self.propose(ClaimJobs(((seq, due_ms),), due_ms + 30_000, OWNER))

    def rows(self, query: str, *values: object) -> list[Any]:
        """Read the database from outside."""
        connection = apsw.Connection(str(self.config.data_dir / "state.db"), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def stored(self) -> dict[str, int]:
        """How many rows each table has: the same before and after what must leave nothing behind."""
        return {table: self.rows(f"SELECT count(*) FROM {table}")[0][0] for table in _TABLES}

    def look_at_certificates(self) -> None:
        """As the node does every few seconds."""
        asyncio.run_coroutine_threadsafe(self._tls.look(), self._loop).result(60)

    def close_replica(self) -> None:
        """Let the replica take no more proposals, as at shutdown."""
        self._loop.call_soon_threadsafe(self.replica.close)

    def open_connections(self) -> int:
        """Of clients, now."""
        return len(self._server.server_state.connections)

    def held_bytes(self) -> int:
        """Of large requests, until they are answered."""
        connections = self._connections()
        return connections[0].requests.total_bytes if connections else 0

    def queued_requests(self) -> int:
        """That wait behind another one on their connection."""
        return sum(len(one.pipeline) for one in self._connections())

    def _connections(self) -> list[StrictProtocol]:
        return [one for one in list(self._server.server_state.connections) if isinstance(one, StrictProtocol)]

    async def _serve(self) -> None:
        config = self.config
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        database = open_state(config.data_dir / "state.db")
        clock, machine, log = GuardedClock(self.clock), StateMachine(database), LocalLog(database)
        commit, leadership = ThreadCommit(), MemoryLeadership()
        snapshots = Snapshots(database, config.data_dir / "snapshots", clock)
        membership = SingleMembership(
            config, clock, machine, log=log, leadership=leadership, owner=OWNER, clocks=ClockWatch(clock)
        )
        node = build(
            NodeParts(
                config=config,
                clock=clock,
                machine=machine,
                membership=membership,
                commit=commit,
                vault=Vault([b"k" * 32]),
                resolver=Resolver(lookup, clock),
                transport=Receiver(self.clock),
                sender=HttpSender(),
                fleet_sender=HttpSender(),
                own_addresses=self.own_addresses,
                snapshots=snapshots,
                is_stopping=lambda: self.is_stopping,
            )
        )
        self.services = replace(
            node.services, delivery=self.delivery, is_ready=lambda: self.delivery.ready, moves=self._moves
        )
        self.replica = replica = node.member.replica
        await leadership.acquire()
        await replica.begin_term(machine.term + 1, OWNER)
        node.member.is_serving.set()  # as a leader does, but nothing is dispatched
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = listener.getsockname()[1]
        async with asyncio.TaskGroup() as tasks, AsyncExitStack() as stack:
            api = Api(self.services)
            has_inner = config.internal_host is not None
            app = create_app(api, is_for_clients_only=has_inner, routes=self.routes)
            self._tls = tls = await stack.enter_async_context(kept_fresh(LiveTls(config.tls, self.clock)))
            servers = [await self._open_inner_door(create_app(api), tls, tasks)] if has_inner else []
            if self._has_front:
                app = await stack.enter_async_context(front_before(api, app, tasks))
            self.services.metrics.certificate_ends = tls.ends
            self._server = server = make_server(app, listener, self._limits, grace_s=1, tls=tls)
            running = tasks.create_task(replica.lead())
            serving = tasks.create_task(server.serve(sockets=[listener]))
            self._up.set()
            await self._stop.wait()
            for one in (server, *servers):
                one.should_exit = True
                for connection in list(one.server_state.connections):
                    connection.transport.close()
            await serving
            replica.close()
            await running
        commit.close()
        snapshots.close()
        database.close()

    def _moves(self) -> ClusterMoves:
        """Nothing moves here: no change ends."""
        kept = self.replica.topology
        epoch, digest = (0, "") if kept is None else (kept.epoch, digest_of(kept.document))
        is_done = self.replica.moved_epoch == epoch
        return ClusterMoves(self.config.cluster, epoch, digest, is_done, False, 0, 0, "this node moves nothing", [])

    async def _open_inner_door(self, app: Starlette, tls: LiveTls, tasks: asyncio.TaskGroup) -> ApiServer:
        listener = socket.create_server(("127.0.0.1", 0))
        self.inner_port = listener.getsockname()[1]
        server = make_server(app, listener, self._limits, grace_s=1, tls=tls)
        tasks.create_task(server.serve(sockets=[listener]))
        return server

    @contextmanager
    def running(self) -> Iterator["NodeUnderTest"]:
        """Run until the block ends."""
        thread = threading.Thread(target=lambda: self.run_loop(self._serve()), name="node")
        thread.start()
        try:
            assert self._up.wait(60)
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(60)
        assert not thread.is_alive()


def http_connection(port: int, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    """A connection to what listens at that port of this machine."""
    if tls is None:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=tls)


def read_all(connection: socket.socket) -> bytes:
    """Until the other side closes."""
    parts = []
    while part := _recv(connection):
        parts.append(part)
    return b"".join(parts)


def _recv(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def node_config(data_dir: Path, **settings: Any) -> NodeConfig:
    """A config whose data directory exists."""
    data_dir.mkdir(parents=True, exist_ok=True)
    return NodeConfig(data_dir=data_dir, **settings)
