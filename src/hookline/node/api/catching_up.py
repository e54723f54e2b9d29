"""A follower is a moment behind: before it refuses a key, it comes to where the leader is."""

import asyncio

import msgspec

from hookline.node.api.services import Role
from hookline.node.identity import Position
from hookline.node.replica import Replica
from hookline.peers.sender import UNREADABLE, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS

_CALL = NodeCall.to(CALLS["readPosition"])
_ASK_S = 1.0
_WAIT_S = 1.0
_POLL_S = 0.005


async def catch_up(replica: Replica, role: Role, sender: Sender) -> None:
    """Return when this node has applied what the leader had when it was asked, or cannot learn of it in a moment."""
    url = role.leader_url()
    if url is None:
        return
    try:
        answer = await sender.send(url, _CALL, _ASK_S)
        wanted = msgspec.json.decode(answer.body, type=Position).applied
    except (NotSent, Unclear, *UNREADABLE):
        return
    now = asyncio.get_running_loop().time
    until = now() + _WAIT_S
    while replica.applied < wanted and now() < until:  # noqa: ASYNC110 - the replica sets no event for it
        await asyncio.sleep(_POLL_S)
