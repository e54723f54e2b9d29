"""Asks the nodes of a cluster where their states are."""

import msgspec

from hookline.node.identity import Position
from hookline.peers.sender import UNREADABLE, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS

_CALL = NodeCall.to(CALLS["readPosition"])
_TIMEOUT_S = 0.5  # a new leader waits for it, when the old one's machine is gone


async def ask_position(sender: Sender, url: str) -> Position | None:
    """The position of the state of the node at ``url``; None when the node does not answer."""
    try:
        answer = await sender.send(url, _CALL, _TIMEOUT_S)
        return msgspec.json.decode(answer.body, type=Position) if answer.status == 200 else None
    except (NotSent, Unclear, *UNREADABLE):
        return None
