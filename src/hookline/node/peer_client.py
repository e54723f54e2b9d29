"""What a node asks the others of its cluster about themselves."""

from datetime import timedelta

import msgspec
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from hookline.node.identity import Position

PATH = "/internal/position"
_TIMEOUT_S = 0.5  # a new leader waits for it, when the old one's machine is gone


class PeerClient:
    """Connections to the other nodes."""

    def __init__(self) -> None:
        options = ClientBuilder().http1_only().no_proxy().follow_redirects(False)
        self._client = options.timeout(timedelta(seconds=_TIMEOUT_S)).build()

    async def position(self, url: str) -> Position | None:
        """Where the node's state is; None when it does not answer."""
        try:
            response = await self._client.get(url + PATH).build().send()
            body = (await response.bytes()).to_bytes()
            return msgspec.json.decode(body, type=Position) if response.status == 200 else None
        except (PyreqwestError, msgspec.MsgspecError):
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
