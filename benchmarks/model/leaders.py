"""Simulates the leaders of many clusters, round by round: what gathers, one append, what is sent.

A round takes the creates, the outcomes and the due jobs that are there into one entry. While it is appended the next
one gathers. Clusters know nothing of each other, so each has its own clock: a step of the loop makes the next round of
every cluster whose clock has not reached the moment asked for. What links them, proxies and shared machines, acts
between such moments.
"""

from typing import Final, NamedTuple

import numpy as np
from model.arrivals import Arrivals
from model.costs import COMMIT_S, GATHER_S, Costs, Where
from model.delays import NEVER, DelayLine, Floats, Ints
from model.lags import Lags
from model.machines import Machines
from model.queues import DueJobs

from hookline.node.dispatch.fairness import FAST_MS
from hookline.protocol.limits import CLAIMS_AHEAD_SHARE

_MEMORY_S: Final = 1.0  # node/dispatch/seats.py, Turnover
_SLOW_SHARE: Final = 0.8  # node/dispatch/fairness.py: of the slots, for destinations that are not fast
_MOMENT_S: Final = 0.05  # after which the shares of a machine are settled again


class Setup(NamedTuple):
    """Says what is simulated.

    Attributes:
        costs: of each operation.
        clusters: how many.
        slots: of each.
        webhook_s: on average.
        spread: they take up to this share less or more.
        where: which processes share a machine with the leader.
        on_one_machine: all clusters do.
        cores: of a machine.
        creates_per_s: of each cluster, at random.
        due_per_s: jobs of each that were created before and fall due, at random.
        is_even: both are evenly spaced instead.
        due_at_once: this share of the created jobs is due when it is created; the others are due later than the run.
        clients: of each cluster, who create one after the other, each as soon as the one before is answered.
        batch: jobs in a create.
        seconds: of the run, for the histograms.
        bin_s: how exactly ends of attempts are known.
    """

    costs: Costs
    clusters: int = 1
    slots: int = 100
    webhook_s: float = 0.2
    spread: float = 0.0
    where: Where = Where()
    on_one_machine: bool = False
    cores: float = 2.0
    creates_per_s: float = 0.0
    due_per_s: float = 0.0
    is_even: bool = False
    due_at_once: float = 0.0
    clients: int = 0
    batch: int = 1
    seconds: float = 60.0
    bin_s: float = 0.001


class Leaders:
    """The clusters.

    Attributes:
        lags: from due to sent.
        latencies: of creates.
        sent: attempts that were sent, of each cluster; again: of these the second ones, after a failover.
        created: acknowledged jobs, of each.
        asked: jobs that fell due, of each.
        busy_s: CPU of each leader.
    """

    def __init__(self, setup: Setup, seed: int) -> None:
        self.setup = setup
        self._random = np.random.default_rng(seed)
        count = setup.clusters
        self._all = np.arange(count)
        every = np.ones(count)
        self.creates = Arrivals(every * setup.creates_per_s, self._random, is_even=setup.is_even)
        self.due = Arrivals(every * setup.due_per_s, self._random, is_even=setup.is_even)
        self.machines = Machines(np.zeros(count, np.int64) if setup.on_one_machine else self._all, setup.cores)
        self.lags, self.latencies = Lags(setup.seconds), Lags(setup.seconds)
        self.queue = DueJobs(count, self.lags)
        longest_s = setup.webhook_s * (1 + setup.spread) + 5.0
        self.attempts = DelayLine(count, longest_s, setup.bin_s, self._random)
        self._clients = DelayLine(count, 5.0, setup.bin_s / 4, self._random)
        if setup.clients:
            self._clients.put(np.repeat(self._all, setup.clients), np.zeros(count * setup.clients))
        is_slow = setup.webhook_s * 1_000 > FAST_MS
        self.slots = max(1, int(setup.slots * _SLOW_SHARE)) if is_slow else setup.slots
        self._herds: list[tuple[float, Ints]] = []
        self.now = np.zeros(count)
        self._before = np.zeros(count)
        self.running, self._ahead = (np.zeros(count, np.int64) for _ in range(2))
        self._fresh = np.zeros(count, np.int64)
        self._fresh_s = np.zeros(count)
        self._turnover, self._turned_s = np.zeros(count), np.zeros(count)
        self.sent, self.again, self.created, self.asked = (np.zeros(count, np.int64) for _ in range(4))
        self.busy_s = np.zeros(count)
        self.rounds = np.zeros(count, np.int64)

    def herd(self, at_s: float, counts: Ints) -> None:
        """So many jobs of each cluster are due at one instant."""
        self._herds.append((at_s, counts))

    def fail(self, of: Ints, at_s: float, gaps_s: Floats) -> None:
        """These lose their leader; the next one serves after the gap and sends again what was under way."""
        lost = self.attempts.clear(of)
        self.running[of] = 0
        self._ahead[of] = 0
        self.again[of] += lost
        moment = np.full(len(of), at_s)
        self.queue.put(of, moment, moment, lost)
        self.now[of] = at_s + gaps_s

    def run(self, until_s: float) -> None:
        """Make all rounds that begin before this moment."""
        began_s = float(self.now.min())
        moment_s = min(until_s, began_s + _MOMENT_S)
        while True:
            while len(behind := np.flatnonzero(self.now < moment_s)):
                self._round(behind, moment_s)
            self._idle(max(0.0, moment_s - began_s))
            self.machines.settle(max(1e-9, moment_s - began_s))
            if moment_s >= until_s:
                return
            began_s, moment_s = moment_s, min(until_s, moment_s + _MOMENT_S)

    def _round(self, of: Ints, until_s: float) -> None:
        now, before = self.now[of], self._before[of]
        created = self.creates.count(of, now) + self._clients.take(of, now) * self.setup.batch
        ended = self._end(of, now)
        self._fall_due(of, before, now)
        at_once = np.minimum(ended, self._ahead[of])
        self.queue.send(of, at_once, before, now)
        claims, begun = self._claim(of, at_once)
        is_empty = (claims + ended + created) == 0
        deliver_s, create_s = self._work(of, (claims + ended) / 2, created)
        append_s = np.where(is_empty, 0.0, self.setup.costs.append_s(self._random, len(of), created + claims))
        commit = now + create_s + deliver_s / 2 + append_s * self.machines.stretch_of(of)
        over = commit + deliver_s / 2
        self.queue.send(of, begun, commit, over)
        self._begin(of, at_once, before, now)
        self._begin(of, begun, commit, over)
        self._answer(of, created, (before, now), (commit, over))
        self._before[of] = now
        self.rounds[of] += ~is_empty
        self._rest(of, np.maximum(now + create_s + deliver_s, commit), until_s)

    def _end(self, of: Ints, now: Floats) -> Ints:
        ended = self.attempts.take(of, now)
        self.running[of] -= ended
        passed = np.exp(-(now - self._turned_s[of]) / _MEMORY_S)
        self._turnover[of] = self._turnover[of] * passed + ended / _MEMORY_S
        self._turned_s[of] = now
        return ended

    def _fall_due(self, of: Ints, before: Floats, now: Floats) -> None:
        fresh, since = self._fresh[of], self._fresh_s[of]
        self.queue.put(of, since, since, fresh)
        self._fresh[of] = 0
        came = self.due.count(of, now)
        self.queue.put(of, before, now, came)
        self.asked[of] += came + fresh
        for at_s, counts in self._herds:
            here = of[(before < at_s) & (at_s <= now)]
            moment = np.full(len(here), at_s)
            self.queue.put(here, moment, moment, counts[here])
            self.asked[here] += counts[here]

    def _claim(self, of: Ints, at_once: Ints) -> tuple[Ints, Ints]:
        """How many claims the entry holds, and how many of them are sent when it is committed."""
        self.running[of] += at_once
        ahead = self._ahead[of] - at_once
        waiting = self.queue.waiting[of] - ahead
        begun = np.minimum(self.slots - self.running[of], waiting)
        most = self._most_ahead(of)
        more = np.clip(most - ahead, 0, waiting - begun)
        self._ahead[of] = ahead + more
        self.running[of] += begun
        return begun + more, begun

    def _work(self, of: Ints, jobs: Floats, created: Ints) -> tuple[Floats, Floats]:
        """The seconds that deliveries and creates take of the leader's loop; the machine has the others' work, too."""
        costs, where = self.setup.costs, self.setup.where
        delivering, creating = costs.round_s(jobs, created, self.setup.batch, self.running[of])
        receiver_s = jobs * costs.receiver_us / 1e6 * where.receiver
        self.machines.use(of, where.sum_s(delivering) + where.sum_s(creating) + receiver_s)
        self.busy_s[of] += delivering[0] + creating[0]
        stretch = self.machines.stretch_of(of)
        return delivering[0] * costs.serial * stretch, creating[0] * stretch

    def _idle(self, seconds: float) -> None:
        """Use the CPU that is used whether something happens or not."""
        idle = self.setup.costs.idle
        self.machines.use(self._all, np.full(self.setup.clusters, self.setup.where.sum_s(idle) * seconds))
        self.busy_s += idle[0] * seconds

    def _begin(self, of: Ints, counts: Ints, first: Floats, last: Floats) -> None:
        """Attempts begin evenly between these moments."""
        self.sent[of] += counts
        own = np.repeat(of, counts)
        begin = np.repeat(first, counts) + np.repeat(last - first, counts) * self._random.random(len(own))
        takes = self.setup.webhook_s * (1 + self.setup.spread * self._random.uniform(-1, 1, len(own)))
        self.attempts.put(own, begin + takes + self.setup.costs.between_s)

    def _answer(self, of: Ints, created: Ints, came: tuple[Floats, Floats], told: tuple[Floats, Floats]) -> None:
        some = created > 0
        self.created[of] += created
        first, last = told[0] - came[0], told[1] - came[1]
        self.latencies.add(told[0][some], first[some], last[some], created[some])
        if self.setup.due_at_once:
            self._fresh[of] = self._random.binomial(created, self.setup.due_at_once)
            self._fresh_s[of] = told[0]
        if self.setup.clients:
            who = np.repeat(of, created // self.setup.batch)
            at = np.repeat(told[0], created // self.setup.batch)
            until = np.repeat(told[1], created // self.setup.batch)
            self._clients.put(who, at + (until - at) * self._random.random(len(who)) + self.setup.costs.client_s)

    def _most_ahead(self, of: Ints) -> Ints:
        wanted = (self._turnover[of] * COMMIT_S).astype(np.int64)
        most: Ints = np.minimum(self.slots // CLAIMS_AHEAD_SHARE, wanted)
        return most

    def _gathered(self, of: Ints, ready: Floats) -> Floats:
        """While all slots are busy, reports gather for a moment from the first one on, or until half the claims went.

        Creates do not wait for that, so it is left out where there are some.
        """
        most, ahead = self._most_ahead(of), self._ahead[of]
        is_busy = (self.running[of] >= self.slots) & (2 * ahead > most)
        is_busy &= (self.creates.rates[of] == 0) & (not self.setup.clients)
        first = self.attempts.next_s(of)
        half_s = (ahead - most / 2) / np.maximum(self._turnover[of], 1e-9)
        until = np.minimum(first + GATHER_S, np.maximum(first, self._before[of] + half_s))
        return np.where(is_busy, np.maximum(until, ready), ready)

    def _rest(self, of: Ints, ready: Floats, until_s: float) -> None:
        """The next round begins when this one is over, reports have gathered, or something comes."""
        ahead = self._ahead[of]
        ready = self._gathered(of, ready)
        has_more = (self.queue.waiting[of] > ahead) & (self.running[of] < self.slots)
        has_more |= self._fresh[of] > 0
        coming = np.minimum(self.creates.next_s(of), self.due.next_s(of))
        coming = np.minimum(coming, np.minimum(self.attempts.next_s(of), self._clients.next_s(of)))
        for at_s, _ in self._herds:
            coming = np.where(at_s > self._before[of], np.minimum(coming, at_s), coming)
        jumps = ~has_more & (coming > ready)
        self.now[of] = np.where(jumps, np.minimum(coming, np.maximum(until_s, ready)), ready)
        self._before[of] = np.where(jumps, np.nextafter(self.now[of], -NEVER), self._before[of])
