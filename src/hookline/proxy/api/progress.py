"""Asks all clusters how far they are with what has to move out of them."""

import msgspec

from hookline.errors import HooklineError
from hookline.peers.sender import UNREADABLE, NodeAnswer, NodeCall
from hookline.protocol.calls import CALLS
from hookline.protocol.internal_http import ClusterMoves
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.move_plan import fastest_of

_moves = msgspec.json.Decoder(ClusterMoves)


async def read_moves(api: ProxyApi, deadline_ms: float) -> dict[str, ClusterMoves | str]:
    """By the name of the cluster what it says, or why it says nothing; remembers how fast jobs move."""
    call = NodeCall.to(CALLS["readMoves"], b"")
    answers = await api.ask_all(lambda _: call, deadline_ms)
    told = {name: _read(answer) for name, answer in answers.items()}
    known, epoch = api.known.topology, api.known.topology.epoch
    fastest = fastest_of(known.move, [moves for moves in told.values() if isinstance(moves, ClusterMoves)])
    # The figure of a change sinks after its end; a later change says it anew.
    if fastest and (epoch > api.moved_epoch + 1 or fastest > api.moved_per_s):
        api.moved_per_s, api.moved_epoch = fastest, epoch
    return told


def why_not(answer: NodeAnswer | HooklineError) -> str | None:
    """The reason why there is no answer to be read; None: there is one."""
    if isinstance(answer, HooklineError):
        return answer.detail
    return None if answer.status == 200 else str(answer.problem.get("detail", f"it answered {answer.status}"))


def _read(answer: NodeAnswer | HooklineError) -> ClusterMoves | str:
    reason = why_not(answer)
    if reason is not None or isinstance(answer, HooklineError):
        return reason or ""
    try:
        return _moves.decode(answer.body)
    except UNREADABLE:
        return "it answers what cannot be read"
