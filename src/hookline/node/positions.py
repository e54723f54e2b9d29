"""What the nodes of a cluster say about where their states are."""

import msgspec

from hookline.http_client.caller import Caller
from hookline.http_client.client import NoAnswer, NoConnection
from hookline.node.identity import Position
from hookline.protocol.calls import CALLS

PATH = CALLS["readPosition"].path
_TIMEOUT_S = 0.5  # a new leader waits for it, when the old one's machine is gone


async def ask_position(caller: Caller, url: str) -> Position | None:
    """Where the state of the node at ``url`` is; None when it does not answer."""
    try:
        answer = await caller.call("GET", url, PATH, timeout_s=_TIMEOUT_S)
        return msgspec.json.decode(answer.body, type=Position) if answer.status == 200 else None
    except (NoConnection, NoAnswer, msgspec.MsgspecError):
        return None
