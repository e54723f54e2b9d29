"""Is this state, this log and this etcd one and the same cluster, at one point of one history? Pure.

Whoever starts a node in another node's directory, on an emptied etcd, or on one that was set back, must not make it
lose or repeat a job. So a node compares what the three say of themselves before it stands for election, when it has
won one, and again and again while it follows. Where that cannot tell which state is right, a person decides.

The table of all cases: docs/explanation/identity-and-history.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

_DOC = "docs/how-to/etcd-was-lost.md"


class Charter(msgspec.Struct, frozen=True, kw_only=True):
    """The statement of etcd about the cluster whose log it holds. Written when a log is begun, and by nothing else.

    Attributes:
        cluster_id: 32 hex digits, made once for a cluster.
        cluster, shard: its name and number.
        generation: 1 for a new cluster; one more each time that somebody decides to begin the log anew.
        begins_after: the entry that the state has on which this generation begins; 0: on an empty one.
        digest: of that state, in hex.
    """

    cluster_id: str
    cluster: str
    shard: int
    generation: int = 1
    begins_after: int = 0
    digest: str = ""


class Position(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node's position: whose state it has, and up to which entry. Digests in hex; ``generation`` 0: it is empty."""

    node: str
    cluster_id: str = ""
    cluster: str = ""
    shard: int = 0
    generation: int = 0
    applied: int = 0
    digest: str = ""

    @property
    def is_empty(self) -> bool:
        """It has no state yet."""
        return self.applied == 0


@dataclass(frozen=True, slots=True)
class Anchor:
    """The log's entry at the index up to which a state has come."""

    term: int
    nonce: bytes
    before: bytes


@dataclass(frozen=True, slots=True)
class Overruled:
    """From entry ``index`` on the entries of a term were written by a node whose state was the odd one out."""

    term: int
    index: int

    def covers(self, term: int, index: int) -> bool:
        """Was that entry written by the odd one?"""
        return term == self.term and index >= self.index


@dataclass(frozen=True, slots=True)
class Log:
    """The log in etcd: its first and newest index (0, 0: empty), and the entry that the state ends with."""

    first: int = 0
    last: int = 0
    anchor: Anchor | None = None
    overruled: tuple[Overruled, ...] = ()

    @property
    def is_empty(self) -> bool:
        """It holds no entry."""
        return self.last == 0


@dataclass(frozen=True, slots=True)
class Own:
    """This node: what it was started as, its state, and what that knows of its newest entry."""

    cluster: str
    shard: int
    position: Position
    nonce: bytes = b""
    before: bytes = b""
    is_restored: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Says what a node may do with its state.

    Attributes:
        kind: "go on" with it; "begin" the log on it; "install" another node's in its place; "halt" until a person
            has decided.
        why: a sentence, with what to do where that is a person's.
        keeps: the state is kept aside when another one is installed.
    """

    kind: Literal["go on", "begin", "install", "halt"]
    why: str = ""
    keeps: bool = True


GO_ON = Verdict("go on")


def judge(own: Own, charter: Charter | None, log: Log, peers: Sequence[Position] = ()) -> Verdict:
    """Compare all. ``peers``: the other nodes of the cluster, as far as they answer."""
    wrong = _started_as_another(own)
    if wrong is not None:
        return wrong
    if charter is None:
        return _without_charter(own, log)
    return _foreign(own, charter) or _in_cluster(own, charter, log, peers)


def check_own(own: Own) -> str | None:
    """Why a node must not start on its state, whatever the log says; None: it may."""
    wrong = _started_as_another(own)
    return wrong.why if wrong is not None else None


def _started_as_another(own: Own) -> Verdict | None:
    state = own.position
    if state.is_empty or (state.cluster, state.shard) == (own.cluster, own.shard):
        return None
    return Verdict(
        "halt",
        f"this data directory holds the state of cluster {state.cluster} with shard {state.shard} "
        f"({_id(state.cluster_id)}), up to entry {state.applied}; the node was started as cluster {own.cluster} with "
        f"shard {own.shard}. Start it with its own directory, or as what the directory holds",
    )


def _without_charter(own: Own, log: Log) -> Verdict:
    state = own.position
    if not log.is_empty:
        return Verdict(
            "halt",
            f"etcd holds a log of cluster {own.cluster} up to entry {log.last}, and not whose it is; somebody removed "
            f"that. See {_DOC}",
        )
    if own.is_restored:
        return Verdict(
            "halt",
            f"this state was restored from a backup (cluster {state.cluster}, {_id(state.cluster_id)}, entry "
            f"{state.applied}), and etcd holds no log of the cluster yet. When the same backup is on all nodes, begin "
            f"with: hookline cluster recover --cluster {own.cluster} --etcd … --from NODE",
        )
    if state.is_empty:
        return Verdict(
            "halt",
            f"etcd holds no cluster {own.cluster}, and this node has no state. Is it a new cluster, say so once: "
            f"hookline cluster init --cluster {own.cluster} --shard {own.shard} --etcd … . Was there one, etcd was "
            f"lost or is another one: see {_DOC}",
        )
    return Verdict(
        "halt",
        f"etcd holds no cluster {own.cluster}, and this node has its state up to entry {state.applied} "
        f"({_id(state.cluster_id)}): etcd was emptied, or is another one. Start the node with the right etcd; if that "
        f"is lost, see {_DOC}",
    )


def _foreign(own: Own, charter: Charter) -> Verdict | None:
    state = own.position
    if (charter.cluster, charter.shard) != (own.cluster, own.shard):
        return Verdict(
            "halt",
            f"etcd holds cluster {charter.cluster} with shard {charter.shard} ({_id(charter.cluster_id)}); this node "
            f"was started as cluster {own.cluster} with shard {own.shard}. Start it as what it belongs to",
        )
    if state.is_empty or state.cluster_id == charter.cluster_id:
        return None
    return Verdict(
        "halt",
        f"this data directory holds the state of another cluster that is called {state.cluster} too: "
        f"{_id(state.cluster_id)}, up to entry {state.applied}; etcd's is {_id(charter.cluster_id)}. Start the node "
        f"with its own directory, or an empty one. Was the cluster begun anew by mistake, see {_DOC}",
    )


def _in_cluster(own: Own, charter: Charter, log: Log, peers: Sequence[Position]) -> Verdict:
    state = own.position
    if state.generation > charter.generation:
        return Verdict(
            "halt",
            f"etcd is at generation {charter.generation} of the cluster, this state at {state.generation}: etcd was "
            f"set back to a time before the last recovery. See {_DOC}",
        )
    ahead = _peer_ahead(own, charter, log, peers)
    if ahead is not None:
        return ahead
    if state.generation < charter.generation:
        return _of_an_earlier_generation(own, charter, log)
    last = log.last or charter.begins_after
    if state.applied > last:
        return Verdict(
            "halt",
            f"the log in etcd ends at entry {last}, this node's state is at {state.applied}: etcd was emptied or set "
            f"back. Jobs of the missing entries are in this state. See {_DOC}",
        )
    if log.is_empty:
        return Verdict("begin")  # nothing but the state that the charter names has this generation or none
    if state.applied < log.first - 1:
        return Verdict(
            "install", f"the log begins at entry {log.first}, this state ends at {state.applied}", keeps=False
        )
    return _anchored(own, log)


def _peer_ahead(own: Own, charter: Charter, log: Log, peers: Sequence[Position]) -> Verdict | None:
    last = log.last or charter.begins_after
    for peer in peers:
        is_same = peer.cluster_id == charter.cluster_id and peer.generation == charter.generation
        if is_same and peer.applied > max(last, own.position.applied):
            return Verdict(
                "halt",
                f"node {peer.node} has entries up to {peer.applied}, and the log in etcd ends at {last}: etcd was "
                f"emptied or set back. See {_DOC}",
            )
    return None


def _of_an_earlier_generation(own: Own, charter: Charter, log: Log) -> Verdict:
    state = own.position
    is_chosen = state.applied == charter.begins_after and state.digest == charter.digest
    if log.is_empty:
        if is_chosen:
            return Verdict("begin")
        if state.is_empty:
            return Verdict("install", "this node is empty, and the log begins on a kept state", keeps=False)
        return Verdict(
            "install",
            f"the log begins anew on a state at entry {charter.begins_after}; this one, at {state.applied}, is not it",
        )
    if is_chosen and log.first == state.applied + 1:
        return GO_ON
    if state.is_empty:
        behind = Verdict("install", f"this node is empty, and the log begins at entry {log.first}", keeps=False)
        return GO_ON if log.first == 1 else behind
    return Verdict(
        "install",
        f"somebody decided to begin the log anew (generation {charter.generation}) on a state at entry "
        f"{charter.begins_after}; this one, at entry {state.applied} of generation {state.generation}, is another",
    )


def _anchored(own: Own, log: Log) -> Verdict:
    state = own.position
    if log.anchor is None or state.applied == log.first - 1:
        return GO_ON  # the next entry carries the digest that the state must have
    is_overruled = any(it.covers(log.anchor.term, state.applied) for it in log.overruled)
    is_entry = log.anchor.nonce == own.nonce
    if is_entry and (log.anchor.before == own.before) != is_overruled:
        return GO_ON
    if is_entry and is_overruled:
        return Verdict("install", "most nodes found that the state which this one followed was the odd one out")
    if is_entry:
        return Verdict("install", f"this state differs from the one that entry {state.applied} was written for")
    return Verdict(
        "halt",
        f"entry {state.applied} in etcd is not the one that this state has: the log was written anew after etcd was "
        f"set back, or the state is a copy from another time. See {_DOC}",
    )


def _id(cluster_id: str) -> str:
    return f"id {cluster_id[:8] or 'unknown'}"


@dataclass(frozen=True, slots=True)
class Dispute:
    """A node whose state has another digest than the entry that comes next.

    Attributes:
        index: of that entry.
        own, written: the digest of the node's state, and of the one the entry was written for; in hex.
        author: the node that wrote it, if that is known.
    """

    index: int
    own: str
    written: str
    author: str | None = None


Ruling = Literal["mine", "odd", "open"]


def rule(dispute: Dispute, node: str, nodes: int, votes: Mapping[str, str]) -> Ruling:
    """Find the odd one out: "mine", most nodes have this node's state; "odd", most have the other one.

    Args:
        dispute: what it is about.
        node: this one.
        nodes: how many the cluster has, those that are away included.
        votes: each node's digest before that entry, as far as it is known; in hex.
    """
    all_votes = {**({dispute.author: dispute.written} if dispute.author else {}), **votes, node: dispute.own}
    majority = nodes // 2 + 1
    given = list(all_votes.values())
    if given.count(dispute.own) >= majority and nodes > 1:
        return "mine"
    return "odd" if given.count(dispute.written) >= majority else "open"
