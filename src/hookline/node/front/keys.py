"""The guard of a front: it reads keys from the state, and leaves to the node whatever it does not know as valid."""

from hookline.clock import Clock
from hookline.http_api.guard import Guard
from hookline.node.state_machine.reads import Reads
from hookline.protocol.api_keys import ApiKey, decode_key

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


def front_guard(root: bytes | None, reads: Reads, clock: Clock) -> Guard | None:
    """The guard; None: nobody is asked for a key."""
    if root is None:
        return None
    return Guard(root, FrontKeys(reads).find, clock, _nothing_to_look_at, lambda: False)
