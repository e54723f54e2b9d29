"""Runs a worker: a runner whose leader is in another process. It keeps nothing on any disk."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette

from hookline.clock import SystemClock, ToldClock
from hookline.http_api.callers import admit_as_client
from hookline.http_api.endpoint import Served, application, bound
from hookline.http_api.messages import ApiRequest, Reply
from hookline.http_api.metrics_reply import metrics_reply
from hookline.http_api.probes import get_livez, readiness
from hookline.http_api.server import listen, make_server, url_of
from hookline.memory import settle_memory
from hookline.node.attempts.delivery import delivery_of
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.resolver import Resolver, system_lookup
from hookline.node.attempts.runner import Runner
from hookline.node.attempts.transport import HttpTransport, Transport
from hookline.node.attempts.vetting import Vetter
from hookline.node.dispatch.exchange import NoExchange
from hookline.node.dispatch.http_exchange import HttpExchange, RunnerIdentity
from hookline.node.vault import Vault
from hookline.peers.proven_sender import proven_sender
from hookline.peers.sender import Sender
from hookline.protocol.calls import calls_of
from hookline.protocol.claims import Orders
from hookline.protocol.owners import Owner
from hookline.telemetry.area_log import log_of
from hookline.telemetry.loop_lag import LoopLag
from hookline.tls.live import LiveTls, kept_fresh
from hookline.worker.config import WorkerConfig
from hookline.worker.finding import LeaderFinder
from hookline.worker.metrics import WorkerMetrics

_SILENT_MS = 2_000  # a leader that has not answered for so long is not there
_LAST_WORDS_S = 5.0
_PATIENCE_S = 5.0
_NAME_BYTES, _START_BYTES = 3, 8

_log = log_of("worker")


class Worker:
    """The runner, its way to the leader, and what it tells about itself.

    Args:
        vault: opens the secrets of jobs.
        sender: to the nodes, proven by the vault's key.
        transport: carries the attempts.
        own_addresses: where this process listens; the leader tells where the cluster's do.
        start: tells this process from all others.
    """

    def __init__(
        self,
        config: WorkerConfig,
        clock: ToldClock,
        vault: Vault,
        resolver: Resolver,
        sender: Sender,
        transport: Transport,
        own_addresses: OwnAddresses,
        *,
        start: str,
    ) -> None:
        self.config = config
        self.clock = clock
        self.finder = LeaderFinder(config.cluster, sender)
        self.is_stopping = False
        self._own_addresses = own_addresses
        self._places = ""
        self._heard_ms = 0.0
        self.is_heard = asyncio.Event()
        self.metrics = WorkerMetrics()
        name = config.name or f"worker-{clock.token(_NAME_BYTES).hex()}"
        self.exchange = HttpExchange(
            RunnerIdentity(name, str(Owner(name, start, start)), "worker"),
            self.finder.url,
            sender,
            clock,
            wants_claims=lambda: True,
            heard=self._heard,
            places=lambda: self._places,
            failed=self.finder.doubt,
        )
        vetter = Vetter(resolver, config.rules, own_addresses=own_addresses)
        delivery = delivery_of(vault, vetter, transport, clock, default_secret=config.signing_secret)
        self.runner = Runner(delivery, clock, NoExchange(), slots=config.slots)
        self.name = name

    def _heard(self, orders: Orders, sent_boot: float, is_idle: bool) -> None:
        self._heard_ms = self.clock.boot_ms()
        self.is_heard.set()
        if orders.places is not None:
            self._places = orders.version
            self._own_addresses.tell("the cluster", orders.places)
        if is_idle:  # not while claims are held, whose ends are times of this clock
            self.clock.offset_ms = orders.wall_ms - sent_boot

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make attempts, from the entry to the exit."""
        async with asyncio.TaskGroup() as tasks:
            lag = LoopLag(self.clock, self.metrics.loop_lag.observe)
            parts = (self.finder.run(), self.exchange.run(), self.runner.run(), lag.run())
            running = [tasks.create_task(one) for one in parts]
            self.runner.attach(self.exchange)
            yield
            for task in running:
                task.cancel()

    async def end(self) -> None:
        """End what runs within the grace, and have the leader know."""
        self.is_stopping = True
        _log.info("worker_stopping", running=self.runner.running)
        self.runner.leave()
        await self.runner.end(self.config.shutdown_grace_ms / 1_000)
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self.runner.drained()
        except TimeoutError:
            _log.warning("reports_not_told_in_time")

    def why_not_ready(self) -> str | None:
        """It gets no claims; None: it does, in the modes that ask workers."""
        if self.is_stopping:
            return "the worker stops"
        if not self._heard_ms or self.clock.boot_ms() - self._heard_ms > _SILENT_MS:
            return "no leader has answered; is the cluster up, and is --secret-key-file that of its nodes?"
        return None

    def tell(self) -> WorkerMetrics:
        """The metrics, up to date."""
        self.metrics.slots_used.set(self.runner.running)
        self.metrics.slots_max.set(self.config.slots)
        return self.metrics


def create_app(worker: Worker) -> Starlette:
    """The ASGI application of a worker, which says whether it works."""

    async def ready(request: ApiRequest) -> Reply:
        return readiness(request, worker.why_not_ready())

    async def metrics(request: ApiRequest) -> Reply:
        request.query()
        return metrics_reply(worker.tell(), request)

    handlers = bound("worker", {"getLivez": get_livez, "getReadyz": ready, "getMetrics": metrics})
    served = [Served(call, handlers[call.name]) for call in calls_of("worker")]
    return application(served, admit_as_client, None, [(b"hookline-worker", worker.name.encode())], lambda _code: None)


async def run_worker(
    config: WorkerConfig, *, ready: Callable[[str], None], stop: asyncio.Event, hangup: asyncio.Event | None = None
) -> None:
    """Run one worker until ``stop`` is set, then end what runs within the grace, and tell the leader.

    Args:
        config: the worker's settings.
        ready: called once with the url it serves at, when a leader has answered, or after a while without one.
        stop: set it to end.
        hangup: set it to have certificates read again at once.

    Raises:
        InvalidConfig: the address cannot be listened on, or the key cannot be read.
    """
    system = SystemClock()
    clock = ToldClock(system)
    clock.offset_ms = system.wall_ms() - system.boot_ms()  # until a leader tells
    async with kept_fresh(LiveTls(config.tls, system), hangup) as tls, AsyncExitStack() as stack:
        listener = stack.enter_context(listen(config.host, config.port))
        vault = Vault.of(config.secret_key_file, config.secret_key)
        sender = await stack.enter_async_context(proven_sender(vault.proof_keys[0], clock, tls=tls))
        resolver = await stack.enter_async_context(Resolver(system_lookup(), clock))
        own_addresses = OwnAddresses([listener.getsockname()[:2]])
        transport = HttpTransport(egress_proxy=config.egress_proxy)
        stack.push_async_callback(transport.close)
        start = clock.token(_START_BYTES).hex()
        worker = Worker(config, clock, vault, resolver, sender, transport, own_addresses, start=start)
        server = make_server(create_app(worker), listener, allow_hosts=config.allow_hosts, tls=tls)
        worker.metrics.certificate_ends = tls.ends
        async with worker.running(), asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[listener]))
            settle_memory()
            await _first_answer(worker, stop)
            url = url_of(listener, config.tls.scheme)
            _log.info("worker_ready", url=url, name=worker.name, slots=config.slots)
            ready(url)
            await stop.wait()
            await worker.end()
            server.should_exit = True
            await serving


async def _first_answer(worker: Worker, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(worker.is_heard.wait()), tasks.create_task(stop.wait())]
        await asyncio.wait(waiting, timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
