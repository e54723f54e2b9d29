"""Keeps jobs that were just accepted and are due soon, so that the leader need not read them back to claim them. Pure.

Most jobs are due at once. Whatever else happens to a job than its first claim is read from the state.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.leader_reads import ClaimedJob
from hookline.protocol.commands import CreateJob
from hookline.protocol.jobs import decode_spec

BYTES_MAX: Final = 8 * 2**20
SOON_MS: Final = 2_000
KEPT_MS: Final = 60_000  # one that was not claimed by then was cancelled, or waits for long
_JOB_BYTES: Final = 500  # beside its spec


class _Fresh(NamedTuple):
    accepted_ms: int
    lane: int
    created_ms: int
    command: CreateJob


class FreshJobs:
    """Bounded; when it is full the newest are left out, since the oldest are claimed first."""

    def __init__(self) -> None:
        self._jobs: dict[int, _Fresh] = {}
        self._bytes = 0

    def committed(self, effects: Effects, now_ms: int) -> None:
        """Follow an entry."""
        for _, _, seq in effects.due:
            self._drop(seq)
        for seq, lane, created_ms, command in effects.created:
            if command.due_ms <= now_ms + SOON_MS and self._bytes < BYTES_MAX:
                self._jobs[seq] = _Fresh(now_ms, lane, created_ms, command)
                self._bytes += _size(command)
        self._drop_old(now_ms)

    def take(self, seqs: Iterable[int]) -> dict[int, ClaimedJob]:
        """Those of these jobs that are here, as they are claimed for the first time; they are forgotten."""
        found = {}
        for seq in seqs:
            kept = self._drop(seq)
            if kept is not None:
                command, due_ms = kept.command, kept.command.due_ms
                spec = decode_spec(command.work.spec)
                found[seq] = ClaimedJob(command.id, due_ms, 0, due_ms, kept.lane, spec, kept.created_ms)
        return found

    def _drop(self, seq: int) -> _Fresh | None:
        kept = self._jobs.pop(seq, None)
        if kept is not None:
            self._bytes -= _size(kept.command)
        return kept

    def _drop_old(self, now_ms: int) -> None:
        while self._jobs:
            seq = next(iter(self._jobs))
            if self._jobs[seq].accepted_ms > now_ms - KEPT_MS:
                return
            self._drop(seq)

    def __len__(self) -> int:
        return len(self._jobs)


def _size(command: CreateJob) -> int:
    return len(command.work.spec) + _JOB_BYTES
