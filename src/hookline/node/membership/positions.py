"""Asks the nodes of a cluster where their states are."""

import asyncio
from collections.abc import Sequence

import msgspec

from hookline.node.etcd.statuses import NodeStatus
from hookline.node.history.recovery import Candidate
from hookline.node.identity import Charter, Position
from hookline.peers.sender import UNREADABLE, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS

_CALL = NodeCall.to(CALLS["readPosition"])
_TIMEOUT_S = 0.5  # a new leader waits for it, when the old one's machine is gone
_AWAY_MS = 10_000  # a node that has told nothing for so long is not running


async def ask_position(sender: Sender, url: str) -> Position | None:
    """The position of the state of the node at ``url``; None when the node does not answer."""
    try:
        answer = await sender.send(url, _CALL, _TIMEOUT_S)
        return msgspec.json.decode(answer.body, type=Position) if answer.status == 200 else None
    except (NotSent, Unclear, *UNREADABLE):
        return None


async def ask_candidates(
    sender: Sender, statuses: Sequence[NodeStatus], charter: Charter | None
) -> dict[str, Candidate]:
    """By name, each node that has told about itself, with the state that it has now, if it answers.

    What it told last may be older than its state: an etcd that was set back says what it told before.
    """
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(ask_position(sender, status.url)) for status in statuses]
    now_ms = max((status.at_ms for status in statuses), default=0)
    found = {}
    for status, task in zip(statuses, asked, strict=True):
        position = task.result()
        answers = position is not None and position.node == status.name
        is_waiting = charter is None or status.halted is not None or status.at_ms < now_ms - _AWAY_MS
        told = status.position or Position(node=status.name)
        found[status.name] = Candidate(position if answers and position else told, is_waiting, answers)
    return found
