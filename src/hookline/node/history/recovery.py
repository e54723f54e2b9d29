"""Plans which log a cluster goes on with after etcd was lost or set back, from a person's choice. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from hookline.errors import InvalidConfig
from hookline.node.identity import Charter, Log, Position


@dataclass(frozen=True, slots=True)
class Candidate:
    """A state that a log could go on from.

    Attributes:
        is_waiting: its node is halted, or is not running.
        answers: the node says so itself, now; else it told so once, and may have come further.
    """

    position: Position
    is_waiting: bool
    answers: bool = True


def plan_recovery(
    chosen: Candidate, others: Sequence[Candidate], charter: Charter | None, log: Log, *, force: bool
) -> Charter:
    """The charter of the generation that begins on the chosen state.

    Args:
        chosen: the state to go on from.
        others: the states of the other nodes, as far as they are known.
        charter: what etcd holds now.
        log: likewise.
        force: the operator knows what is left behind.

    Raises:
        InvalidConfig: the choice leaves something behind, or there is nothing to recover.
    """
    state = chosen.position
    if state.is_empty:
        raise InvalidConfig(f"node {state.node} has no state; choose one that has", field="from")
    if not force:
        _refuse_loss(chosen, others, charter, log)
    generations = [state.generation, *(it.position.generation for it in others)]
    if charter is not None:
        generations.append(charter.generation)
    return Charter(
        cluster_id=state.cluster_id,
        cluster=state.cluster,
        shard=state.shard,
        generation=max(generations) + 1,
        begins_after=state.applied,
        digest=state.digest,
    )


def _refuse_loss(chosen: Candidate, others: Sequence[Candidate], charter: Charter | None, log: Log) -> None:
    state = chosen.position
    if not chosen.is_waiting:
        raise InvalidConfig(
            f"node {state.node} works: there is nothing to recover. --force begins anew all the same", field="from"
        )
    for other in others:
        position = other.position
        is_same = position.cluster_id == state.cluster_id
        if is_same and (position.generation, position.applied) > (state.generation, state.applied):
            raise InvalidConfig(
                f"node {position.node} has more: entries up to {position.applied} of generation {position.generation}; "
                f"{state.node} has them up to {state.applied} of {state.generation}. Choose {position.node}; or add "
                "--force, which leaves the rest in the state that is kept aside",
                field="from",
            )
    silent = next((other.position for other in others if not other.answers), None)
    if silent is not None:
        raise InvalidConfig(
            f"node {silent.node} does not answer, so nobody knows what it has: etcd says entry {silent.applied}, and "
            "what etcd says may be old. Start it; or add --force, which leaves what only it has in the state that is "
            "kept aside",
            field="from",
        )
    if charter is None or log.is_empty:
        return
    if charter.cluster_id != state.cluster_id:
        raise InvalidConfig(
            f"etcd holds a log of another cluster (id {charter.cluster_id[:8]}, entries up to {log.last}); jobs that "
            "it took are in the states of its nodes only. --force forgets that log",
            field="from",
        )
    if log.last > state.applied:
        raise InvalidConfig(
            f"the log in etcd goes up to entry {log.last}, node {state.node} to {state.applied}; --force forgets what "
            "is beyond. A node that follows that log has it",
            field="from",
        )
