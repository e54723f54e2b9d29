"""Carries calls to clusters: the tries on one cluster, its breaker, and the next cluster when that is safe.

Two ways a call fails, kept apart everywhere: ``ClusterUnavailable``, it surely was not accepted, and
``DeadlineExceeded``, it may have been. Only after the first one may another cluster be asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from hookline.clock import Clock
from hookline.errors import AllClustersUnavailable, ClusterUnavailable, DeadlineExceeded, HooklineError
from hookline.http_api.forwarded_headers import CLUSTER, EPOCH, TIMEOUT, TOPOLOGY
from hookline.peers.sender import NeverLeft, NodeAnswer, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.breaker import CircuitBreaker
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry, Topology, Version
from hookline.protocol.topology_change import outranks
from hookline.proxy.config import ProxyConfig
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.metrics import ProxyMetrics
from hookline.proxy.pusher import TopologyPusher
from hookline.proxy.rerouting import StaleRoute, rerouted
from hookline.proxy.retry_plan import ROUNDS_MAX, Budget, GiveUp, Pause, RetryPlan, Send

BREAKER_WAIT_MS = 5_000
BREAKER_FAILURES = 5
_SHORT_MS = 1_000  # silence for less time than this says nothing about a node
_NOT_ACCEPTED = frozenset({"no_leader", "shutting_down", "overloaded", "unavailable", "cluster_left"})
_TELLING = frozenset({409, 421, 429, 503, 504})  # statuses whose problem decides how to go on


class Candidates(NamedTuple):
    """So many clusters to ask, in this order; each may be looked for when it is its turn."""

    total: int
    clusters: Iterable[ClusterEntry]


CandidatesOf = Callable[[Router], Candidates]
CallFor = Callable[[ClusterEntry], NodeCall]


@dataclass(slots=True)
class _ClusterCall:
    """One call on one cluster, while it is under way."""

    cluster: ClusterEntry
    call: NodeCall
    plan: RetryPlan
    version: Version  # of the topology that chose the cluster
    is_probe: bool = False  # of the breaker
    was_pushed: bool = False  # the topology, on this call's behalf
    has_tried: bool = False
    waited_in_vain: bool = False  # for others, whom the node did not answer: it goes by itself now
    got_answer: bool = False  # an answer that speaks for the cluster
    took_ms: float = 0  # by the node, for the newest try


class Forwarder:
    """The way of all calls to the clusters.

    Args:
        sender: makes single tries.
        health: orders the nodes; hears the result of each try.
        known: the topology; learns newer ones that nodes answer with.
        clock: all deadlines are on its ``boot_ms``.
        metrics: counts calls.
        config: time-outs and the retry budget.
    """

    def __init__(
        self,
        sender: Sender,
        health: KnownHealth,
        known: KnownTopology,
        clock: Clock,
        metrics: ProxyMetrics,
        config: ProxyConfig,
    ) -> None:
        self._sender = sender
        self._health = health
        self._known = known
        self._clock = clock
        self._metrics = metrics
        self._config = config
        self.pusher = TopologyPusher(sender, known, clock, health)
        self.breakers: dict[str, CircuitBreaker] = {}  # by the name of the cluster
        # Probes newcomers; says whether those of a topology are there. Set by the prober, as ``settle`` is.
        self.meet: Callable[[ClusterEntry], Awaitable[None]] = _nobody_new
        self.check_newcomers: Callable[[Topology, Topology], Awaitable[None]] = _nobody_new
        self.settle: Callable[[], Awaitable[None]] = _nothing  # asks the clusters which topology is in force, now

    def breaker(self, cluster: ClusterEntry) -> CircuitBreaker:
        """The cluster's breaker."""
        breaker = self.breakers.get(cluster.name)
        if breaker is None:
            breaker = self.breakers[cluster.name] = CircuitBreaker(BREAKER_FAILURES, BREAKER_WAIT_MS, BREAKER_WAIT_MS)
        return breaker

    def can_take_calls(self, cluster: ClusterEntry) -> bool:
        """Its breaker lets calls through, and it is not known to be down."""
        is_open = self.breaker(cluster).blocked_until(self._clock.boot_ms()) is not None
        return not is_open and self._health.cluster_state(cluster) != "down"

    async def submit(self, route: CandidatesOf, call_for: CallFor, deadline_ms: float) -> NodeAnswer:
        """The answer of the first cluster that takes the call.

        Args:
            route: the clusters to ask, by the topology it is given. Called again when that changes.
            call_for: the call for that cluster; called once for each that is asked.
            deadline_ms: when to stop, on the clock's ``boot_ms``.

        Raises:
            ClusterUnavailable, AllClustersUnavailable: it surely was not accepted.
            DeadlineExceeded: it may have been, by the cluster ``call_for`` was last called with.
        """
        budget = Budget(self._config.tries_max)
        return await rerouted(partial(self._to_first, route, call_for, deadline_ms, budget))

    async def _to_first(self, route: CandidatesOf, call_for: CallFor, deadline_ms: float, budget: Budget) -> NodeAnswer:
        router = self._known.router
        version = router.version
        total, clusters = route(router)
        before: ClusterEntry | None = None
        full: NodeAnswer | None = None
        failure: ClusterUnavailable | None = None
        for number, cluster in enumerate(clusters, 1):
            if self._known.version != version:
                raise StaleRoute
            if before is not None:
                self._metrics.fell_back(before.name)
            before = cluster
            rounds_max = 1 if number < total else ROUNDS_MAX
            try:
                answer = await self.to_cluster(
                    cluster, call_for(cluster), deadline_ms, version=version, budget=budget, rounds_max=rounds_max
                )
            except ClusterUnavailable as error:
                failure = error
                continue
            if not _is_full(answer):
                return answer
            full = answer
        if full is not None:
            return full
        if failure is not None and total == 1:
            raise failure
        raise AllClustersUnavailable(retry_after_s=failure.retry_after_s if failure else 1)

    async def to_cluster(
        self,
        cluster: ClusterEntry,
        call: NodeCall,
        deadline_ms: float,
        *,
        version: Version | None = None,
        budget: Budget | None = None,
        rounds_max: int = ROUNDS_MAX,
    ) -> NodeAnswer:
        """The cluster's answer; problems that say how the call itself failed are answers too.

        Args:
            cluster: whom to ask.
            call: without the headers that the forwarder adds.
            deadline_ms: when to stop, on the clock's ``boot_ms``.
            version: of the topology that chose the cluster; give it when you awaited something since. Else the newest.
            budget: the tries that are left to the request; else a full one.
            rounds_max: how often all nodes are asked while none accepts the call.

        Raises:
            ClusterUnavailable: the call surely was not accepted.
            DeadlineExceeded: it may have been.
            StaleRoute: it was not, and there is a newer topology by now: route again.
        """
        started_ms = self._clock.boot_ms()
        breaker = self.breaker(cluster)
        if self._health.unmet(cluster):
            await self.meet(cluster)
        if self._health.is_silent(cluster):
            self._metrics.called(cluster.name, "cluster_unavailable")
            raise _unavailable(cluster, f"is not asked: {self._health.why_silent(cluster)}", 1_000)
        blocked_ms = breaker.blocked_until(started_ms)
        if blocked_ms is not None:
            self._metrics.called(cluster.name, "cluster_unavailable")
            raise _unavailable(cluster, "is not asked, since it did not answer before", blocked_ms - started_ms)
        is_probe = breaker.started(started_ms)
        plan = RetryPlan(
            self._health.order(cluster),
            call.is_repeatable,
            deadline_ms,
            self._config.try_timeout_ms,
            budget or Budget(self._config.tries_max),
            1 if self._health.is_refusing(cluster) else rounds_max,
        )
        asking = _ClusterCall(cluster, call, plan, version or self._known.version, is_probe)
        outcome = "cancelled"
        is_long = deadline_ms - started_ms >= _SHORT_MS
        try:
            answer = await self._ask(asking)
            outcome = _class_of(answer.status)
        except HooklineError as error:
            outcome = error.code
            raise
        finally:
            now_ms = self._clock.boot_ms()
            is_failure = asking.has_tried and (
                outcome == "cluster_unavailable" or (outcome == "deadline_exceeded" and is_long)
            )
            _tell(breaker, asking, now_ms, is_failure=is_failure)
            added_s = (now_ms - started_ms - asking.took_ms) / 1000 if outcome[1:] == "xx" else None
            self._metrics.called(cluster.name, outcome, added_s)
        return answer

    async def _ask(self, asking: _ClusterCall) -> NodeAnswer:
        while True:
            step = asking.plan.next(self._clock.boot_ms())
            if isinstance(step, Send):
                if asking.has_tried:
                    self._metrics.retried(asking.cluster.name)
                if (answer := await self._try(asking, step)) is not None:
                    return answer
            elif isinstance(step, Pause):
                await asyncio.sleep(step.ms * (1 + self._clock.random()) / 2_000)
            else:
                raise _gave_up(asking.cluster, step)

    async def _try(self, asking: _ClusterCall, step: Send) -> NodeAnswer | None:
        """The answer, if it ends the call."""
        sent_ms = self._clock.boot_ms()
        call = replace(  # it has no headers of these names: nobody believes a client's
            asking.call,
            headers=(
                *asking.call.headers,
                (EPOCH, b"%d" % asking.version.epoch),
                (TOPOLOGY, asking.version.digest.encode()),
                (CLUSTER, asking.cluster.name.encode()),
                (TIMEOUT, b"%d" % max(1, int(step.timeout_ms))),
            ),
            is_again=asking.plan.is_ambiguous or asking.waited_in_vain,
        )
        try:
            answer = await self._sender.send(step.url, call, step.timeout_ms / 1_000)
        except NeverLeft as error:
            if error.is_silence:
                asking.waited_in_vain = True
                # It counts as those do that it waited for, or the breaker would see but the few that were on their way.
                asking.has_tried |= step.timeout_ms >= _SHORT_MS
            asking.plan.not_accepted()
            return None
        except NotSent:
            asking.has_tried = True
            asking.plan.not_accepted()
            self._health.failed(step.url)
            return None
        except Unclear:
            asking.has_tried = True
            asking.plan.ambiguous()
            self._metrics.ambiguous(asking.cluster.name)
            waited_ms = self._clock.boot_ms() - sent_ms
            if step.timeout_ms >= _SHORT_MS or waited_ms < step.timeout_ms / 2:
                self._health.failed(step.url)
            return None
        asking.has_tried = True
        asking.took_ms = self._clock.boot_ms() - sent_ms - answer.waited_ms
        code = answer.code if answer.status in _TELLING else ""
        if code in _NOT_ACCEPTED:
            self._refused(asking, step.url, code)
            return None
        if code == "wrong_cluster":
            asking.plan.not_accepted()
            self._health.is_stranger(step.url, f"{step.url} says: {answer.problem.get('detail')}")
            return None
        name = answer.header(b"hookline-node")
        is_leaders = name is not None and answer.status < 500
        self._health.succeeded(step.url, name.decode("latin-1") if name is not None and is_leaders else "")
        return await self._judged(asking, step.url, answer, code, sent_ms)

    def _refused(self, asking: _ClusterCall, url: str, code: str) -> None:
        """The node said that it did not accept the call."""
        asking.plan.not_accepted()
        if code == "overloaded":
            asking.got_answer = True
        else:
            self._health.refused(url)

    async def _judged(
        self, asking: _ClusterCall, url: str, answer: NodeAnswer, code: str, sent_ms: float
    ) -> NodeAnswer | None:
        """The answer, if it ends the call; else its tries know how to go on."""
        if code == "deadline_exceeded":
            asking.plan.ambiguous()
            self._metrics.ambiguous(asking.cluster.name)
            return None
        asking.got_answer = True
        if code == "epoch_unknown" or self._loses(asking, answer):
            if not await self._push_in_time(asking, url, sent_ms):
                asking.plan.not_accepted()
            return None
        if code == "misdirected":
            return self._misdirected(asking, answer)
        if asking.plan.is_ambiguous and (answer.status == 429 or answer.status >= 500):
            # A full queue or disk may refuse to repeat what was taken before. That is not a "nothing was stored".
            asking.plan.not_accepted()
            return None
        return replace(answer, is_after_ambiguous=True) if asking.plan.is_ambiguous else answer

    def _loses(self, asking: _ClusterCall, answer: NodeAnswer) -> bool:
        """The cluster has another document of our epoch, and ours is the one that was decided: it needs that."""
        if answer.code != "misdirected":
            return False
        epoch, digest, decided_by = (answer.problem.get(name) for name in ("epoch", "digest", "decided_by"))
        is_other = isinstance(digest, str) and (epoch, digest) != asking.version and epoch == asking.version.epoch
        return is_other and asking.version == self._known.version and outranks(self._known.decided_by, decided_by)

    def _misdirected(self, asking: _ClusterCall, answer: NodeAnswer) -> NodeAnswer:
        self.pusher.learn_from(answer)
        if _may_be_in_time(asking) or self._known.version != asking.version:
            raise _not_here(asking)
        return answer

    async def _push_in_time(self, asking: _ClusterCall, url: str, sent_ms: float) -> bool:
        """Push our topology to the node, once a call: a follower may take a moment to have what its leader took."""
        if asking.was_pushed:
            return False
        remaining_ms = asking.plan.deadline_ms - self._clock.boot_ms()
        try:
            async with asyncio.timeout(max(0.0, remaining_ms / 1_000)):
                if not self._known.is_in_force:
                    await self.settle()
                    if self._known.version != asking.version:
                        raise _not_here(asking)
                asking.was_pushed = await self.pusher.push(url, since_ms=sent_ms)
        except TimeoutError:
            return False
        return asking.was_pushed

    def keep(self, clusters: Sequence[ClusterEntry]) -> None:
        """Forget what belongs to clusters and nodes that are not among these."""
        names = {entry.name for entry in clusters}
        for name in self.breakers.keys() - names:
            del self.breakers[name]
        self.pusher.keep({url for entry in clusters for url in entry.nodes})


def _may_be_in_time(asking: _ClusterCall) -> bool:
    """May an earlier try have changed something?"""
    return asking.plan.is_ambiguous and not asking.call.is_safe


def _not_here(asking: _ClusterCall) -> Exception:
    """The error that ends the call where it is: it is to be routed again, unless an earlier try may have been in time.

    In that case the proxy may ask no other cluster, nor this one by a newer topology: it would have to ask the former
    home by that topology first, if there is one. The client's repeat does that.
    """
    return _gave_up(asking.cluster, GiveUp(may_be_accepted=True)) if _may_be_in_time(asking) else StaleRoute()


async def _nothing() -> None:
    """Nobody is there who could settle it."""


async def _nobody_new(*_: object) -> None:
    """Nobody is there who could look."""


def _tell(breaker: CircuitBreaker, asking: _ClusterCall, now_ms: float, *, is_failure: bool) -> None:
    """Record the result of the call. A call that began before the breaker opened may close it, not fail its probe."""
    if asking.got_answer:
        breaker.succeeded(now_ms)
    elif breaker.state == "half_open" and not asking.is_probe:
        return
    elif is_failure:
        breaker.failed(now_ms)
    elif asking.is_probe:
        breaker.abandoned(now_ms)


def _is_full(answer: NodeAnswer) -> bool:
    return answer.status == 429 and answer.code == "queue_full"


def _class_of(status: int) -> str:
    return f"{status // 100}xx"


def _gave_up(cluster: ClusterEntry, step: GiveUp) -> HooklineError:
    if step.may_be_accepted:
        return DeadlineExceeded(
            f"no answer came from cluster {cluster.name} in time; the request may or may not have been accepted."
            " Repeat it with the same id or key",
            cluster=cluster.name,
        )
    return _unavailable(cluster, "cannot be reached or takes nothing now", 1_000)


def _unavailable(cluster: ClusterEntry, why: str, retry_after_ms: float) -> ClusterUnavailable:
    return ClusterUnavailable(
        f"cluster {cluster.name} {why}; the request was not accepted",
        retry_after_s=max(1, -int(-retry_after_ms // 1_000)),
        cluster=cluster.name,
    )
