"""Lists the leader's duties beside dispatching: a new duty is one file and one line here."""

import asyncio
from collections.abc import Sequence

from hookline.node.clocks.guarded import GuardedClock
from hookline.node.config import NodeConfig
from hookline.node.dispatch.duty import Duty
from hookline.node.dispatch.expiry import ClaimExpiry
from hookline.node.dispatch.key_uses import KeyUses
from hookline.node.dispatch.retention import Retention
from hookline.node.dispatch.ticks import Ticks
from hookline.node.replica import Replica
from hookline.node.state_machine.leader_reads import LeaderReads


def duties_of(
    replica: Replica,
    reads: LeaderReads,
    clock: GuardedClock,
    config: NodeConfig,
    *others: Duty,
    expiry: ClaimExpiry,
    key_uses: dict[str, int],
) -> "Duties":
    """Those of every leader, and ``others``."""
    return Duties(
        (
            Ticks(replica, reads, clock, shard=config.shard),
            Retention(replica, reads, clock, config),
            expiry,
            KeyUses(replica, key_uses),
            *others,
        )
    )


class Duties:
    """Started in their order, stopped in the reverse."""

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._duties = duties

    async def run(self) -> None:
        """Until all have stopped. Raises (in a group) what one of them raises."""
        async with asyncio.TaskGroup() as tasks:
            for duty in self._duties:
                tasks.create_task(duty.run())

    def wake(self) -> None:
        """The time was set: whatever rests until a time has to look again."""
        for duty in self._duties:
            duty.wake()

    def stop(self) -> None:
        """Make ``run`` return."""
        for duty in reversed(self._duties):
            duty.stop()
