"""Answers a replica about its log's history: may this state lead, who begins the log, who is the odd one out."""

from typing import Protocol

from hookline.clock import Clock
from hookline.errors import Compacted, Halted, StateDiffers
from hookline.node.identity import GO_ON, Verdict
from hookline.node.state_machine.machine import StateMachine
from hookline.protocol.codec import Entry
from hookline.protocol.commands import BeginLog

CLUSTER_ID_BYTES = 16


def require(verdict: Verdict) -> None:
    """Return when the state may go on. Raises Halted, StateDiffers, Compacted."""
    if verdict.kind == "halt":
        raise Halted(verdict.why)
    if verdict.kind == "install":
        raise (StateDiffers if verdict.keeps else Compacted)(verdict.why)


class History(Protocol):
    """The view of one node's state."""

    async def judge(self) -> Verdict:
        """May the state go on with the log as it is now? Raises LogFault when the log does not answer."""

    async def judge_asking(self) -> Verdict:
        """As ``judge``, after asking the other nodes themselves: before a state leads."""

    def beginning(self) -> BeginLog:
        """Gives the words of the first entry, after "begin" was the verdict."""

    async def settle(self, entry: Entry) -> bool:
        """The entry was written for another state than this one: True when most nodes have this one, so it is applied.

        Raises:
            StateDiffers: this state is the odd one out.
            Halted: there is nobody to tell.
        """


class LonelyHistory:
    """Of a node that is its whole cluster: the log is in its state, and there is nobody to ask."""

    def __init__(self, machine: StateMachine, clock: Clock, *, cluster: str, shard: int) -> None:
        self._machine = machine
        self._clock = clock
        self._cluster = cluster
        self._shard = shard

    async def judge(self) -> Verdict:
        is_new = self._machine.identity is None or self._machine.is_restored
        return Verdict("begin") if is_new else GO_ON

    async def judge_asking(self) -> Verdict:
        return await self.judge()

    def beginning(self) -> BeginLog:
        own = self._machine.identity
        if own is None:
            return BeginLog(self._clock.token(CLUSTER_ID_BYTES).hex(), 1, self._cluster, self._shard)
        return BeginLog(own.cluster_id, own.generation + 1, own.cluster, own.shard)

    async def settle(self, entry: Entry) -> bool:
        """Nobody else writes its log."""
        return False
