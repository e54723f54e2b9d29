"""Context of every handler of a proxy, and the choices they share."""

import asyncio
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from hookline.clock import Clock
from hookline.errors import ClusterUnavailable, DeadlineExceeded, HooklineError, InvalidRequest
from hookline.http_api.forwarded_headers import TIMEOUT
from hookline.http_api.guard import Guard
from hookline.http_api.messages import ApiRequest
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry
from hookline.proxy.config import ProxyConfig
from hookline.proxy.farewell import Farewell
from hookline.proxy.fleet_keys import FleetKeys
from hookline.proxy.forwarder import CallFor, Candidates, Forwarder
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.metrics import ProxyMetrics
from hookline.proxy.rerouting import rerouted

_TIMEOUT_DIGITS_MAX = 9
_DRAWS_MAX = 8


@dataclass(slots=True)
class ProxyApi:
    """One per app.

    Attributes:
        keys: the API keys of all clusters.
        guard: asks for a key; None: nobody needs one.
        in_flight: requests under way.
        asked_ms: when the newest request came, on ``boot_ms``.
        is_leaving: the proxy is about to stop.
        farewell: clusters that were taken out.
        moved_per_s: how many jobs a second moved out of a cluster when many did last; 0: none yet.
        moved_epoch: when that was.
    """

    forwarder: Forwarder
    known: KnownTopology
    health: KnownHealth
    config: ProxyConfig
    clock: Clock
    metrics: ProxyMetrics
    keys: FleetKeys
    farewell: Farewell
    guard: Guard | None = None
    in_flight: int = 0
    asked_ms: float = 0
    is_leaving: bool = False
    moved_per_s: float = 0
    moved_epoch: int = 0

    def deadline_ms(self, request: ApiRequest) -> float:
        """The deadline of the request on ``boot_ms``; its own header can only make it sooner."""
        timeout_ms = self.config.request_timeout_ms
        text = request.header(TIMEOUT)
        if text is not None:
            if not (text.isascii() and text.isdecimal() and 1 <= len(text) <= _TIMEOUT_DIGITS_MAX and int(text)):
                raise InvalidRequest(
                    "Hookline-Timeout-Ms must be a number of milliseconds", field="Hookline-Timeout-Ms"
                )
            timeout_ms = min(timeout_ms, int(text))
        return self.clock.boot_ms() + timeout_ms

    def candidates(self, router: Router) -> Candidates:
        """All clusters for something that may go anywhere: those fit to take it first, at random by weight."""
        return Candidates(len(router.topology.clusters), self._by_chance(router))

    def _by_chance(self, router: Router) -> Iterator[ClusterEntry]:
        """The first one alone is drawn, since it takes nearly every call and there may be a thousand.

        The others are in the weighted order of Efraimidis and Spirakis (2006): the largest ``random ** (1 / weight)``
        first.
        """
        first = self._drawn(router)
        if first is not None:
            yield first
        others = [entry for entry in router.topology.clusters if entry is not first]
        drawn = {entry.name: self.clock.random() ** (1 / router.weight(entry)) for entry in others}
        yield from sorted(others, key=lambda entry: (not self.forwarder.can_take_calls(entry), -drawn[entry.name]))

    def _drawn(self, router: Router) -> ClusterEntry | None:
        """One that is fit, by weight; None: so few are that they have to be looked for."""
        for _ in range(_DRAWS_MAX if len(router.topology.clusters) > 1 else 0):
            entry = router.at(self.clock.random())
            if self.forwarder.can_take_calls(entry):
                return entry
        return None

    def clusters(self) -> Sequence[ClusterEntry]:
        """All there are, also those that are on their way out."""
        return self.known.topology.all_clusters()

    def moving(self) -> list[str]:
        """The clusters out of which jobs and schedules move, since the topology changes."""
        previous = self.known.topology.previous
        return [] if previous is None else sorted(entry.name for entry in previous.clusters)

    async def to_any(self, call: NodeCall, deadline_ms: float) -> NodeAnswer:
        """The answer of whichever cluster takes the call."""
        return await self.forwarder.submit(self.candidates, lambda _: call, deadline_ms)

    async def ask(self, cluster: ClusterEntry, call: NodeCall, deadline_ms: float) -> NodeAnswer | HooklineError:
        """One of the calls that go to every cluster: failures are returned, and a newer topology does not end it."""
        try:
            return await rerouted(partial(self.forwarder.to_cluster, cluster, call, deadline_ms))
        except (ClusterUnavailable, DeadlineExceeded) as error:
            return error

    async def ask_briefly(
        self, cluster: ClusterEntry, call: NodeCall, deadline_ms: float
    ) -> NodeAnswer | HooklineError:
        """As ``ask``, but a silent cluster is given up after ``list_timeout_ms``: others have answers.

        It is silent while none of its nodes answers anything, probes included; one that is merely slow is waited for.
        """
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self.ask(cluster, call, deadline_ms))
            while not asking.done():
                heard = self.health.heard(cluster)
                await asyncio.wait({asking}, timeout=self.config.list_timeout_ms / 1_000)
                if not asking.done() and self.health.heard(cluster) == heard:
                    asking.cancel()
                    break
        if asking.cancelled():
            return DeadlineExceeded(
                f"cluster {cluster.name} did not answer within {self.config.list_timeout_ms} ms", cluster=cluster.name
            )
        return asking.result()

    def in_turn(self) -> Iterator[ClusterEntry]:
        """All clusters, one after the other; also those of a topology that is learned meanwhile."""
        given: set[str] = set()
        while left := [cluster for cluster in self.clusters() if cluster.name not in given]:
            given.add(left[0].name)
            yield left[0]

    async def ask_all(
        self, call_for: CallFor, deadline_ms: float, *, but: Container[str] = ()
    ) -> dict[str, NodeAnswer | HooklineError]:
        """Ask all clusters but those in ``but`` side by side, silent ones briefly; the answers by name.

        Asking may bring a newer topology: then the clusters that are new in it are asked too, so that none is missing.
        """
        answers: dict[str, NodeAnswer | HooklineError] = {}
        while left := [one for one in self.clusters() if one.name not in answers and one.name not in but]:
            async with asyncio.TaskGroup() as tasks:
                asked = {one.name: tasks.create_task(self.ask_briefly(one, call_for(one), deadline_ms)) for one in left}
            answers |= {name: task.result() for name, task in asked.items()}
        return answers
