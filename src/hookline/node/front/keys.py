"""The guard and the inner door of a front: what it does not know as right it leaves to the node."""

from collections.abc import Sequence

from hookline.clock import Clock
from hookline.http_api.callers import Admit, admit_as_client
from hookline.http_api.guard import Guard
from hookline.http_api.inner_door import InnerDoor
from hookline.node.config import NodeConfig
from hookline.node.state_machine.reads import Reads
from hookline.protocol.api_keys import ApiKey, decode_key
from hookline.protocol.proofs import ProofKey

_REMEMBERED_MAX = 1_000


class FrontKeys:
    """Keys as the state has them now: each request reads its own, and takes it apart when it is another one."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._known: dict[str, tuple[bytes, ApiKey]] = {}

    def find(self, key_id: str) -> ApiKey | None:
        """A key by its id."""
        blob = self._reads.api_key(key_id)
        if blob is None:
            return None
        known = self._known.get(key_id)
        if known is None or known[0] != blob:
            if len(self._known) >= _REMEMBERED_MAX:
                self._known.clear()
            known = self._known[key_id] = blob, decode_key(blob)
        return known[1]


async def _nothing_to_look_at() -> None:
    return


def front_guard(roots: Sequence[bytes], reads: Reads, clock: Clock) -> Guard | None:
    """The guard; None: nobody is asked for a key."""
    if not roots:
        return None
    return Guard(roots, FrontKeys(reads).find, clock, _nothing_to_look_at, lambda: False)


def admission(config: NodeConfig, keys: Sequence[ProofKey], clock: Clock) -> Admit:
    """Says who makes the calls that a front answers itself. Those between our processes it leaves to the node."""
    if config.internal_host is not None:
        return admit_as_client
    return InnerDoor(keys, clock, asks_for_keys=config.root_key is not None, is_reached_from_afar=True).admit
