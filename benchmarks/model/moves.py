"""Simulates a migration: many clusters push jobs to one, batch by batch, while that delivers.

A batch is two calls to the new home: one keeps it, one makes it count. What is between is done at the old home. The new
home takes all calls that wait into its next round. A job is frozen from when it is given up until it counts.
"""

from heapq import heappop, heappush
from typing import Final, NamedTuple

import numpy as np
from model.costs import Costs

from hookline.protocol.limits import ENTRY_BYTES_GATHER
from hookline.protocol.moves import BATCH_ITEMS_BESIDE

SPEED_PER_S: Final = 3_245  # docs/reference/benchmarks.md, Moving: one old home, batches of 20, beside deliveries
NEW_HOME_US: Final = 149  # the same row: CPU of the new home, a job
FREEZE_MS: Final = 29  # the same row
CALL_S: Final = 5.0  # node/moving/new_home.py: an old home waits so long for an answer
_CALL_CPU_S: Final = BATCH_ITEMS_BESIDE * NEW_HOME_US / 2 / 1e6  # at the new home, of each of the two calls
_JOB_BYTES: Final = 700  # with its payload of some 100 bytes


class Moved(NamedTuple):
    """How it went.

    Attributes:
        seconds: until all was there.
        per_s: jobs a second.
        freeze_p50_ms, freeze_max_ms: for which a job counted nowhere.
        lag_p99_ms: of the jobs that the new home delivered meanwhile.
        late_calls: that were not answered in time.
    """

    seconds: float
    per_s: float
    freeze_p50_ms: float
    freeze_max_ms: float
    lag_p99_ms: float
    late_calls: int


class _Home(NamedTuple):
    number: int
    is_counting: bool  # its call makes a batch count; else it has one kept
    since_s: float


def own_part_s(measured: Costs) -> float:
    """Seconds of a batch at the old home: all of the speed that was measured, of one node, but the new home's part."""
    there_s = 2 * (_CALL_CPU_S + measured.append_ms / 1_000)
    return max(0.0, BATCH_ITEMS_BESIDE / SPEED_PER_S - there_s)


def move(costs: Costs, own_s: float, sources: int, jobs_each: int, due_per_s: float, seed: int) -> Moved:
    """So many old homes push so many jobs each to a new home that delivers meanwhile."""
    random = np.random.default_rng(seed)
    call_s = _CALL_CPU_S
    most = max(1, ENTRY_BYTES_GATHER // (BATCH_ITEMS_BESIDE * _JOB_BYTES))
    left = [-(-jobs_each // BATCH_ITEMS_BESIDE)] * sources
    coming = [(float(random.random()) * 0.1, number, False) for number in range(sources)]
    coming.sort()
    given_up = [0.0] * sources
    waiting: list[_Home] = []
    freezes: list[float] = []
    lags: list[float] = []
    now_s, before_s, late = 0.0, 0.0, 0
    while coming or waiting:
        if not waiting:
            now_s = max(now_s, coming[0][0])
        while coming and coming[0][0] <= now_s:
            at_s, number, is_counting = heappop(coming)
            waiting.append(_Home(number, is_counting, at_s))
        taken, waiting = waiting[:most], waiting[most:]
        due = int(random.poisson(due_per_s * (now_s - before_s)))
        cpu_s = len(taken) * call_s + float(costs.deliver.us(np.array([max(due, 1.0)]), 0)[0]) * due / 1e6
        took_s = cpu_s + float(costs.append_s(random, 1, np.array([len(taken) * BATCH_ITEMS_BESIDE + due]))[0])
        lags += [now_s + took_s - at for at in random.uniform(before_s, now_s, due)]
        before_s, now_s = now_s, now_s + took_s
        for home in taken:
            late += now_s - home.since_s > CALL_S
            if not home.is_counting:
                given_up[home.number] = now_s + own_s / 2
                heappush(coming, (now_s + own_s / 2, home.number, True))
                continue
            freezes.append(now_s - given_up[home.number])
            left[home.number] -= 1
            if left[home.number]:
                heappush(coming, (now_s + own_s / 2, home.number, False))
    p50, most_s = np.quantile(freezes, [0.5, 1.0])
    lag = float(np.quantile(lags, 0.99)) if lags else 0.0
    return Moved(now_s, sources * jobs_each / now_s, p50 * 1e3, most_s * 1e3, lag * 1e3, late)
