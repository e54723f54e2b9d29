"""Writes down when API keys were used, to the hour: a request costs no entry of the log."""

from hookline.node.dispatch.duty import Duty
from hookline.node.replica import Replica
from hookline.protocol.commands import TouchApiKeys

_REST_S = 60.0
_WRITTEN_EVERY_MS = 3_600_000  # of one key
_STEP_KEYS = 1_000


class KeyUses(Duty):
    """Runs on the leader, for what was used at this node.

    Args:
        replica: takes it, and has what was written before.
        uses: ids of keys, and when each was used last.
    """

    def __init__(self, replica: Replica, uses: dict[str, int]) -> None:
        super().__init__()
        self._replica = replica
        self._uses = uses

    async def run(self) -> None:
        """Until ``stop``."""
        while not self._is_over:
            await self.rest(_REST_S)
            if not self._is_over:
                await self.step()

    async def step(self) -> None:
        """Write down what is new by an hour; nothing is proposed when nothing is."""
        kept = self._replica.api_keys.by_id
        told = [
            (key_id, used_ms)
            for key_id, used_ms in self._uses.items()
            if key_id in kept and used_ms >= kept[key_id].used_ms + _WRITTEN_EVERY_MS
        ]
        if told:
            await self._replica.propose([TouchApiKeys(tuple(told[:_STEP_KEYS]))], no_timeout=True)
