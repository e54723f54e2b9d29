"""Simulates what proxies do when a cluster is lost, call by call, with their own health, breakers and retry plans.

Only calls are simulated that the lost cluster would have been asked for first; the others do not meet it.
"""

import math
from collections.abc import Generator, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Final, Literal, NamedTuple

import numpy as np

from hookline.client.retrying import FIRST_WAIT_S, RETRIES
from hookline.http_client.caller import CONNECT_S
from hookline.protocol.breaker import CircuitBreaker
from hookline.protocol.topology import ClusterEntry
from hookline.proxy.config import ProxyConfig
from hookline.proxy.forwarder import BREAKER_FAILURES, BREAKER_WAIT_MS
from hookline.proxy.health import KnownHealth
from hookline.proxy.retry_plan import ROUNDS_MAX, Budget, GiveUp, Pause, RetryPlan, Send

Kind = Literal["minted", "named", "allowed"]
Process = Generator[float]

_ENTRY: Final = ClusterEntry(name="c0", shard=0, nodes=tuple(f"http://n{number}:7070" for number in (1, 2, 3)))
_ANSWER_S: Final = 0.005  # a cluster that is there
_REFUSED_S: Final = 0.0005  # a connection that is refused
_JITTER: Final = 0.3  # proxy/prober.py: of the interval
_CONFIG: Final = ProxyConfig(topology=None, seeds=("http://n1:7070",))


class Loss(NamedTuple):
    """Says what happens.

    Attributes:
        creates_per_s: for which the cluster is the first choice.
        clusters: in all.
        proxies: how many.
        shares: of creates without id, with one, and with one that may fall back.
        is_silent: its machines vanish, so that calls wait in vain; else their connections are refused.
        lost_s: when that is; back_s: when it serves again.
        seconds: in all.
        protected: proxies have breakers and probe; else they only retry.
        repeats: clients repeat what was surely refused, as the SDK does.
    """

    creates_per_s: float
    clusters: int
    proxies: int = 20
    shares: tuple[float, float, float] = (0.7, 0.2, 0.1)
    is_silent: bool = False
    lost_s: float = 5.0
    back_s: float = 35.0
    seconds: float = 50.0
    protected: bool = True
    repeats: bool = True


class Tally:
    """Counts what came of the calls, by the second in which they began (``answers``) or happened."""

    def __init__(self, seconds: float) -> None:
        self._seconds = int(seconds)
        self.events: dict[str, list[int]] = {}
        self.waited_s: dict[Kind, list[float]] = {"minted": [], "named": [], "allowed": []}

    def add(self, name: str, at_s: float) -> None:
        """One of these."""
        row = self.events.setdefault(name, [0] * (self._seconds + 1))
        row[min(int(at_s), self._seconds)] += 1

    def total(self, name: str) -> int:
        """Of these, in all."""
        return sum(self.events.get(name, ()))


class _Proxy:
    def __init__(self) -> None:
        self.health = KnownHealth()
        self.breaker = CircuitBreaker(BREAKER_FAILURES, BREAKER_WAIT_MS, BREAKER_WAIT_MS)
        self.health.order(_ENTRY)
        self.hear_all()

    def hear_all(self) -> None:
        """All nodes answered a probe; the first one leads."""
        for number, url in enumerate(_ENTRY.nodes, 1):
            self.health.probed(url, is_ready=True, name=f"n{number}", role="leader" if number == 1 else "follower")

    def can_take_calls(self, now_ms: float) -> bool:
        return self.breaker.blocked_until(now_ms) is None and self.health.cluster_state(_ENTRY) != "down"


class Fallback:
    """The proxies and their clients.

    Attributes:
        tally: what came of it.
        now_s: the time.
    """

    def __init__(self, loss: Loss, seed: int) -> None:
        self._loss = loss
        self._random = np.random.default_rng(seed)
        self._proxies = [_Proxy() for _ in range(loss.proxies)]
        self._agenda: list[tuple[float, int, Process]] = []
        self._numbers = count()
        self.tally = Tally(loss.seconds)
        self.now_s = 0.0

    def run(self) -> Tally:
        """Until the end."""
        self._start(self._arrive())
        if self._loss.protected:
            for proxy in self._proxies:
                self._start(self._probe(proxy))
        while self._agenda:
            at_s, _, process = heappop(self._agenda)
            if at_s > self._loss.seconds:
                break
            self.now_s = at_s
            self._go_on(process)
        return self.tally

    def _start(self, process: Process) -> None:
        self._go_on(process)

    def _go_on(self, process: Process) -> None:
        wait_s = next(process, None)
        if wait_s is not None:
            heappush(self._agenda, (self.now_s + wait_s, next(self._numbers), process))

    def _is_lost(self) -> bool:
        return self._loss.lost_s <= self.now_s < self._loss.back_s

    def _arrive(self) -> Process:
        kinds: tuple[Kind, ...] = ("minted", "named", "allowed")
        while True:
            yield float(self._random.exponential(1 / self._loss.creates_per_s))
            kind = kinds[int(self._random.choice(3, p=self._loss.shares))]
            self._start(self._client(kind))

    def _probe(self, proxy: _Proxy) -> Process:
        interval_s, patience_s = _CONFIG.probe_interval_ms / 1_000, _CONFIG.probe_timeout_ms / 1_000
        yield interval_s * float(self._random.random())
        while True:
            if not self._is_lost():
                proxy.hear_all()
            else:
                if self._loss.is_silent:
                    yield patience_s
                for url in _ENTRY.nodes:
                    proxy.health.missed(url, is_refusing=not self._loss.is_silent)
            took_s = patience_s if self._is_lost() and self._loss.is_silent else 0.0
            yield max(0.0, interval_s * (1 + _JITTER * (float(self._random.random()) - 0.5)) - took_s)

    def _client(self, kind: Kind) -> Process:
        began_s = self.now_s
        for tries in range(1 + (RETRIES if self._loss.repeats else 0)):
            self.tally.add("calls", self.now_s)
            proxy = self._proxies[int(self._random.integers(len(self._proxies)))]
            outcome = yield from self._submit(proxy, kind)
            if outcome != "unavailable":
                break
            self.tally.add("answered 503", self.now_s)
            retry_after_s = max(1.0, math.ceil(self._blocked_s(proxy)))
            yield retry_after_s + float(self._random.random()) * min(FIRST_WAIT_S * 2.0**tries, 1.0)
        self.tally.add(outcome, began_s)
        if outcome in ("there", "elsewhere"):
            self.tally.waited_s[kind].append(self.now_s - began_s)

    def _blocked_s(self, proxy: _Proxy) -> float:
        until_ms = proxy.breaker.blocked_until(self.now_s * 1_000)
        return 0.0 if until_ms is None else until_ms / 1_000 - self.now_s

    def _submit(self, proxy: _Proxy, kind: Kind) -> Generator[float, None, str]:
        """One request: the lost cluster first, another one if that is allowed."""
        may_fall_back = kind != "named" and self._loss.clusters > 1
        if kind == "minted" and may_fall_back and self._loss.protected and not proxy.can_take_calls(self.now_s * 1_000):
            yield _ANSWER_S
            self.tally.add("sent elsewhere", self.now_s)
            return "elsewhere"
        budget = Budget(_CONFIG.tries_max)
        deadline_ms = self.now_s * 1_000 + _CONFIG.request_timeout_ms
        outcome = yield from self._to_cluster(proxy, deadline_ms, budget, 1 if may_fall_back else ROUNDS_MAX)
        if outcome == "unavailable" and may_fall_back:
            yield _ANSWER_S
            self.tally.add("sent elsewhere", self.now_s)
            return "elsewhere"
        return outcome

    def _to_cluster(
        self, proxy: _Proxy, deadline_ms: float, budget: Budget, rounds_max: int
    ) -> Generator[float, None, str]:
        """As proxy/forwarder.py does, without what topologies change."""
        now_ms = self.now_s * 1_000
        protected, health, breaker = self._loss.protected, proxy.health, proxy.breaker
        if protected and (health.is_silent(_ENTRY) or breaker.blocked_until(now_ms) is not None):
            return "unavailable"
        is_probe = breaker.started(now_ms) if protected else False
        rounds = 1 if protected and health.is_refusing(_ENTRY) else rounds_max
        plan = RetryPlan(health.order(_ENTRY), True, deadline_ms, _CONFIG.try_timeout_ms, budget, rounds)
        outcome = yield from self._try_all(proxy, plan)
        now_ms = self.now_s * 1_000
        if outcome == "there":
            breaker.succeeded(now_ms)
        elif protected and (is_probe or breaker.state != "half_open"):
            breaker.failed(now_ms)
        return outcome

    def _try_all(self, proxy: _Proxy, plan: RetryPlan) -> Generator[float, None, str]:
        while True:
            step = plan.next(self.now_s * 1_000)
            match step:
                case GiveUp(may_be_accepted):
                    return "unclear" if may_be_accepted else "unavailable"
                case Pause(ms):
                    yield ms * (1 + float(self._random.random())) / 2_000
                case Send(url, timeout_ms):
                    self.tally.add("tries", self.now_s)
                    if not self._is_lost():
                        yield _ANSWER_S
                        proxy.health.succeeded(url, "n1")
                        return "there"
                    yield from self._in_vain(plan, timeout_ms)
                    proxy.health.failed(url)

    def _in_vain(self, plan: RetryPlan, timeout_ms: float) -> Iterator[float]:
        if not self._loss.is_silent:
            yield _REFUSED_S
            plan.not_accepted()
        elif plan.is_ambiguous:  # a repeated call takes a new connection, and there is none to be had
            yield min(CONNECT_S, timeout_ms / 1_000)
            plan.not_accepted()
        else:
            yield timeout_ms / 1_000
            plan.ambiguous()
