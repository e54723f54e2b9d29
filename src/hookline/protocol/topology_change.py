"""Says what may follow a topology, and who decides about it. Pure; nodes, proxies and the command line agree.

One step at a time: ``previous`` remembers one placement, so an id is either where it was or where the change puts it.
A second change on top would forget the first placement, and an id that is still there would be made twice.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from hookline.errors import ChangeOpen, InvalidTopology
from hookline.protocol.topology import ClusterEntry, Move, Placement, Topology, check_same_shards

# A proxy or a cluster that was away missed some changes, never that many. A larger jump is a mistake or an attack: from
# the last epoch there is no next one, and the fleet could never be changed again.
EPOCH_JUMP_MAX = 1_000_000
_FORCE = "or force it, if you know that no id or key of before is sent again"


def decider_of(clusters: Iterable[ClusterEntry]) -> ClusterEntry:
    """The cluster that decides about what follows a topology of these: the smallest shard, whatever their order."""
    return min(clusters, key=lambda entry: entry.shard)


def outranks(one: int | None, other: int | None) -> bool:
    """Of two documents of one epoch, does the one decided by the shard ``one`` win? None: nobody knows who decided.

    There are two only where somebody decided who should not have: a fleet that began in two parts, a change by force.
    """
    return one is not None and (other is None or one < other)


def is_jump(old: int, new: int) -> bool:
    """Is the epoch ``new`` so far ahead of ``old`` that nobody takes it, decided or forced as it may be?"""
    return new - old > EPOCH_JUMP_MAX


def placement_of(topology: Topology) -> Placement:
    """Everything that decides the home of an id without a hint."""
    return Placement(strategy=topology.strategy, clusters=topology.clusters)


def same_homes(one: Placement, other: Placement) -> bool:
    """Does every id and key have the same home under both? Urls do not matter."""
    if one.strategy != other.strategy:
        return False
    if one.strategy == "modulo":
        return [entry.name for entry in one.clusters] == [entry.name for entry in other.clusters]
    return {(entry.name, entry.weight) for entry in one.clusters} == {
        (entry.name, entry.weight) for entry in other.clusters
    }


def is_other_change(old: Topology, new: Topology) -> bool:
    """Does what is under way in ``new`` lead elsewhere, or come from elsewhere, than in ``old``?"""
    if new.previous is None:
        return False
    is_same = old.previous is not None and same_homes(old.previous, new.previous)
    return not (is_same and same_homes(placement_of(old), placement_of(new)))


def completed(old: Topology, new: Topology) -> Topology:
    """``new`` with what follows from ``old``.

    That is the placement in force as its ``previous``, if it moves homes and does not say from where, and the shards of
    clusters that were taken out before.
    """
    if new.previous is None and not same_homes(placement_of(old), placement_of(new)):
        new = replace(new, previous=placement_of(old))
    return with_retired(old, new)  # what is on its way out may come back, and is not among them yet


def with_retired(old: Topology, new: Topology) -> Topology:
    """``new`` with the shards that were taken out up to now, and those that it takes out."""
    retired = tuple(sorted({*old.retired, *new.retired, *_taken_out(old, new)}))
    return new if retired == new.retired else replace(new, retired=retired)


def _taken_out(old: Topology, new: Topology) -> set[int]:
    """The shards that ``old`` has and ``new`` has not, not even on their way out."""
    return {entry.shard for entry in old.all_clusters()} - {entry.shard for entry in new.all_clusters()}


def ended(topology: Topology) -> Topology:
    """The topology after the change that is under way."""
    new = Topology(epoch=topology.epoch + 1, strategy=topology.strategy, clusters=topology.clusters)
    return completed(topology, new)


def taken_back(topology: Topology) -> Topology:
    """The way back from the change that is under way.

    A cluster that it takes out is left by the finished jobs as well: nobody decided that their ids may be forgotten.
    """
    assert topology.previous is not None
    previous = topology.previous
    back = replace(
        topology,
        epoch=topology.epoch + 1,
        strategy=previous.strategy,
        clusters=previous.clusters,
        previous=placement_of(topology),
    )
    with_finished = topology.move.with_finished or bool(leaving(back))
    aborting = not topology.move.aborting
    return replace(back, move=replace(topology.move, paused=False, aborting=aborting, with_finished=with_finished))


def paced(topology: Topology, move: Move) -> Topology:
    """The same change, going on in another way."""
    return replace(topology, epoch=topology.epoch + 1, move=move)


def leaving(topology: Topology) -> list[ClusterEntry]:
    """The clusters that the change takes out."""
    staying = {entry.name for entry in topology.clusters}
    return [entry for entry in topology.all_clusters() if entry.name not in staying]


def added_previous(old: Topology) -> str:
    """Tells the operator what ``completed`` did."""
    return (
        f"ids and keys get another home, so `previous` was added: the strategy and the clusters of epoch {old.epoch}."
        " Jobs and schedules move there now, and the change ends by itself when all have moved"
    )


def is_completed(given: Topology, stored: Topology) -> bool:
    """Are they the same, but for a ``previous`` that was added to what was given?"""
    if given.previous is None:
        stored = replace(stored, previous=None)
    return given == replace(stored, retired=given.retired) and set(given.retired) <= set(stored.retired)


def check_change(old: Topology, new: Topology, *, is_forced: bool = False) -> None:
    """Raise unless ``new`` may follow ``old``.

    Args:
        old: what is in force.
        new: what shall follow.
        is_forced: only what nobody may do is refused: an older epoch, a jump, a shard given to another cluster.

    Raises:
        InvalidTopology: the epoch is not the next one, a shard has another cluster, ``previous`` is missing or wrong.
        ChangeOpen: a change is under way, and this is another one.
    """
    if new.epoch <= old.epoch:
        raise InvalidTopology(f"epoch {new.epoch} is not newer than {old.epoch}", field="epoch")
    if is_jump(old.epoch, new.epoch):
        raise InvalidTopology(f"epoch {new.epoch} is too far ahead; write epoch = {old.epoch + 1}", field="epoch")
    check_same_shards(old.all_clusters(), new.all_clusters())
    _check_retired(old, new)
    if is_forced:
        return
    if new.epoch != old.epoch + 1:
        raise InvalidTopology(
            f"epoch {new.epoch} does not follow {old.epoch}; write epoch = {old.epoch + 1}", field="epoch"
        )
    if old.previous is not None:
        _check_in_change(old, old.previous, new)
    else:
        _check_first_step(old, new)
    if missing := set(with_retired(old, new).retired) - set(new.retired):
        raise InvalidTopology(
            f"shard {min(missing)} was taken out and is not in `retired`; apply it through a proxy, which adds it",
            field="retired",
        )


def _check_retired(old: Topology, new: Topology) -> None:
    """No cluster comes back under a shard that was taken out. Raises InvalidTopology."""
    for entry in new.clusters:
        if entry.shard in old.retired:
            raise InvalidTopology(
                f"shard {entry.shard} was that of a cluster that was taken out, and is never used again; take a new"
                f" number for {entry.name}",
                field="shard",
            )


def _check_first_step(old: Topology, new: Topology) -> None:
    """Nothing is under way."""
    before = placement_of(old)
    if new.previous is None:
        if not same_homes(before, placement_of(new)):
            raise InvalidTopology(
                "ids and keys get another home, and `previous` does not say where they were; apply it through a proxy,"
                f" which adds it, {_FORCE}",
                field="previous",
            )
    elif not same_homes(before, new.previous):
        raise InvalidTopology(
            f"`previous` is not the strategy and the clusters in force; leave it out, then the proxy adds it, {_FORCE}",
            field="previous",
        )


def _check_in_change(old: Topology, before: Placement, new: Topology) -> None:
    """Only its end, its way back, and other urls may follow."""
    now, then = placement_of(old), placement_of(new)
    if same_homes(now, then) and (new.previous is None or same_homes(before, new.previous)):
        return
    if same_homes(before, then) and new.previous is not None and same_homes(now, new.previous):
        return
    raise ChangeOpen(
        f"the change of epoch {old.epoch} is under way, as its `previous` says. It ends by itself when all has moved:"
        " hookline topology status. Or take it back: hookline topology abort. Then change again"
    )
