"""What a node asks the others of its cluster about themselves."""

import msgspec

from hookline.http_client.caller import Caller
from hookline.http_client.client import NoAnswer, NoConnection
from hookline.node.identity import Position
from hookline.protocol.calls import CALLS

PATH = CALLS["readPosition"].path
_TIMEOUT_S = 0.5  # a new leader waits for it, when the old one's machine is gone


class PeerClient:
    """Connections to the other nodes."""

    def __init__(self) -> None:
        self._caller = Caller()

    async def position(self, url: str) -> Position | None:
        """Where the node's state is; None when it does not answer."""
        try:
            answer = await self._caller.call("GET", url, PATH, timeout_s=_TIMEOUT_S)
            return msgspec.json.decode(answer.body, type=Position) if answer.status == 200 else None
        except (NoConnection, NoAnswer, msgspec.MsgspecError):
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._caller.close()
