"""The history of a cluster's log, as one of its nodes judges it: by etcd, by what the others tell, by their votes."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress

from hookline.clock import Clock
from hookline.errors import Halted, LogFault, StateDiffers
from hookline.node.config import NodeConfig
from hookline.node.etcd.charters import Charters, OverruledRecord
from hookline.node.etcd.client import EtcdDenied
from hookline.node.etcd.statuses import NodeStatus, Statuses
from hookline.node.history.interface import CLUSTER_ID_BYTES, require
from hookline.node.identity import Charter, Dispute, Own, Position, Verdict, judge, rule
from hookline.node.state_machine.machine import StateMachine
from hookline.protocol.codec import Entry
from hookline.protocol.commands import BeginLog
from hookline.telemetry.area_log import log_of

_VOTE_EVERY_S = 0.3
_HALTED_POLL_S = 1.0
_UNDECIDED_MS = 30_000  # so long a dispute waits for more votes

AskPosition = Callable[[str], Coroutine[None, None, Position | None]]

_log = log_of("history")


def position_of(machine: StateMachine, node: str) -> Position:
    """Gives the position of a node's state in its cluster's log."""
    identity = machine.identity
    if identity is None:
        return Position(node=node)
    return Position(
        node=node,
        cluster_id=identity.cluster_id,
        cluster=identity.cluster,
        shard=identity.shard,
        generation=identity.generation,
        applied=machine.applied,
        digest=machine.digest.hex(),
    )


def own_of(config: NodeConfig, machine: StateMachine) -> Own:
    """This node, as ``identity`` judges it."""
    last = machine.last
    position = position_of(machine, config.node)
    return Own(config.cluster, config.shard, position, last.nonce, last.before, machine.is_restored)


def new_charter(config: NodeConfig, machine: StateMachine, clock: Clock) -> Charter:
    """Of a cluster that begins on this node's state, which is empty or was restored from a backup."""
    identity = machine.identity
    if identity is None:
        return Charter(cluster_id=clock.token(CLUSTER_ID_BYTES).hex(), cluster=config.cluster, shard=config.shard)
    return Charter(
        cluster_id=identity.cluster_id,
        cluster=identity.cluster,
        shard=identity.shard,
        generation=identity.generation + 1,
        begins_after=machine.applied,
        digest=machine.digest.hex(),
    )


class ClusterHistory:
    """One node's view.

    Args:
        charters: the charter and the log in etcd.
        statuses: what the nodes tell.
        machine: this node's state.
        config: what it was started as.
        digest_at: the digest of its state at a recent entry, if it is known.
        leader: who is said to lead: (node, term).
        ask: the position of the node at a url; None: it does not answer.

    Attributes:
        charter: as it was read last.
        disputed: the entries that this node does not apply, with the digest that its state has before them, in hex.
        halted: why it waits for a person.
    """

    def __init__(
        self,
        charters: Charters,
        statuses: Statuses,
        machine: StateMachine,
        config: NodeConfig,
        clock: Clock,
        *,
        digest_at: Callable[[int], bytes | None],
        leader: Callable[[], tuple[str, int] | None],
        ask: AskPosition,
    ) -> None:
        self._charters = charters
        self._statuses = statuses
        self._machine = machine
        self._config = config
        self._clock = clock
        self._digest_at = digest_at
        self._leader = leader
        self._ask = ask
        self.charter: Charter | None = None
        self.disputed: dict[int, str] = {}
        self.halted: str | None = None
        self._is_allowed = False

    @property
    def is_clear(self) -> bool:
        """This node's state was found to be one with the log, and nothing speaks against it."""
        return self._is_allowed and self.why_halted() is None

    async def judge(self) -> Verdict:
        # The others first: they cannot be ahead of a log that is read after them.
        return await self._judge([it.position for it in self._statuses.others() if it.position is not None])

    async def judge_asking(self) -> Verdict:
        """As ``judge``, after asking the other nodes themselves: what etcd holds of them may be old, or gone."""
        await self._statuses.exchange()
        others = self._statuses.others()
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._ask(it.url)) for it in others]
        answers = [task.result() for task in asked]
        return await self._judge([it for it in (*answers, *(it.position for it in others)) if it is not None])

    async def _judge(self, peers: Sequence[Position]) -> Verdict:
        self.charter, log = await self._charters.read(self._machine.applied)
        return judge(own_of(self._config, self._machine), self.charter, log, peers)

    async def until_allowed(self, told: Callable[[str], None], rotate: Callable[[], None]) -> None:
        """Return when this node's state may go on with the log; until then the node waits for a person.

        Args:
            told: called with each new reason.
            rotate: called when etcd does not answer; that is waited for, and is nothing for a person.

        Raises:
            StateDiffers, Compacted: another node's state has to be installed.
        """
        while True:
            try:
                if self._config.new_cluster:
                    await self._begin_cluster()
                verdict = await self.judge_asking()
            except LogFault as error:
                self.waits_for_etcd(error, told)
                rotate()
                await asyncio.sleep(_HALTED_POLL_S)
                continue
            if verdict.kind != "halt":
                if self.halted is not None:
                    await self._say(None)
                require(verdict)
                self._is_allowed = True
                return
            if verdict.why != self.halted:
                await self._say(verdict.why)
                told(verdict.why)
            await asyncio.sleep(_HALTED_POLL_S)

    def waits_for_etcd(self, error: LogFault, told: Callable[[str], None]) -> None:
        """Have it known that etcd does not let this node in: that is for a person. An outage passes by itself."""
        if isinstance(error, EtcdDenied) and error.detail != self.halted:
            self.halted = error.detail
            told(error.detail)

    async def _say(self, halted: str | None) -> None:
        """Have it known at once: an operator may look, and a leader counts who has halted."""
        self.halted = halted
        with suppress(LogFault):
            await self._statuses.exchange()

    async def _begin_cluster(self) -> None:
        """Writes a charter where there is none yet, as ``--new-cluster`` asks. Of several nodes the first decides."""
        if not (self._machine.applied == 0 or self._machine.is_restored):
            return
        found, _ = await self._charters.read(0)
        if found is not None:
            return
        await self._statuses.exchange()
        charter = new_charter(self._config, self._machine, self._clock)
        fuller = [it for it in self._statuses.others() if it.applied > charter.begins_after]
        if fuller:
            _log.error("new_cluster_refused", reason=f"node {fuller[0].name} has entries up to {fuller[0].applied}")
            return
        await self._charters.begin(charter)

    def why_halted(self) -> str | None:
        """Why the node waits, for a person or for the votes of other nodes."""
        if self.halted is None and self.disputed:
            return f"its state differs from the one that entry {min(self.disputed)} was written for"
        return self.halted

    def beginning(self) -> BeginLog:
        charter = self.charter
        assert charter is not None, "judged before"
        return BeginLog(charter.cluster_id, charter.generation, charter.cluster, charter.shard)

    # --- while this node leads -----------------------------------------------------------------------------------

    async def contradiction(self) -> str | None:
        """Why this node must not go on leading: others have what the log does not have.

        Raises:
            EtcdUnclear, EtcdRefused: etcd does not answer.
        """
        own = position_of(self._machine, self._config.node)
        same = [it for it in self._statuses.others() if it.position is not None and _is_same(it.position, own)]
        ahead = max(same, key=lambda it: it.applied, default=None)
        if ahead is not None and ahead.applied > own.applied:
            # Others may know earlier than the leader that its newest entry is in the log: it may wait for the answer.
            _, log = await self._charters.read(0)
            if ahead.applied > log.last:
                return (
                    f"node {ahead.name} has entries up to {ahead.applied}, and the log that this node leads ends at "
                    f"{log.last}: etcd was set back"
                )
        halted = sorted(it.name for it in same if it.halted is not None)
        if halted and len(halted) > (len(self._statuses.all())) // 2:
            return f"the nodes {', '.join(halted)} have another history than the log that this node leads"
        return None

    # --- who is the odd one out ----------------------------------------------------------------------------------

    def votes(self) -> dict[str, str]:
        """This node's digest before each entry that some node disputes, as far as it is known."""
        wanted = {int(index) for status in self._statuses.others() for index in status.votes}
        known = {index: self._digest_at(index - 1) for index in wanted}
        return {str(index): digest.hex() for index, digest in known.items() if digest is not None} | {
            str(index): digest for index, digest in self.disputed.items()
        }

    async def settle(self, entry: Entry) -> bool:
        self.disputed[entry.index] = self._machine.digest.hex()
        _log.error("state_disputed", index=entry.index, own=self._machine.digest.hex(), written=entry.before.hex())
        try:
            return await self._settle(entry)
        finally:
            self.disputed.pop(entry.index, None)

    async def _settle(self, entry: Entry) -> bool:
        until_ms = self._clock.boot_ms() + _UNDECIDED_MS
        while True:
            try:
                ruling = await self._ruling(entry)
            except LogFault as error:
                _log.warning("dispute_waits", error=error.detail)
                ruling = None
            if ruling is not None:
                return ruling
            if self._clock.boot_ms() > until_ms:
                raise Halted(
                    f"entry {entry.index} was written for another state than this node's, and too few nodes answer to "
                    "tell which of the two is right; start the others"
                )
            await asyncio.sleep(_VOTE_EVERY_S)

    async def _ruling(self, entry: Entry) -> bool | None:
        """As ``settle``; None: not yet."""
        own = self._machine.digest.hex()
        # The others first: a node overrules a leader before it applies the entry, and tells that it did after that.
        await self._statuses.exchange()
        statuses = self._statuses.all()
        found = await self._charters.overruled(entry.term)
        if found is not None and found.index <= entry.index:
            if found.index == entry.index and found.digest != own:
                raise StateDiffers(f"most nodes had another state before entry {entry.index} than this one")
            return True
        leader = self._leader()
        author = leader[0] if leader is not None and leader[1] == entry.term else None
        dispute = Dispute(entry.index, own, entry.before.hex(), None if author == self._config.node else author)
        applied = dict.fromkeys(self._past(entry), dispute.written)
        ruling = rule(dispute, self._config.node, len(statuses), applied | _votes_on(entry.index, statuses))
        if ruling == "odd":
            raise StateDiffers(f"most nodes have another state before entry {entry.index} than this one")
        if ruling == "mine":
            record = OverruledRecord(term=entry.term, index=entry.index, digest=own, by=self._config.node)
            await self._charters.overrule(record)
            _log.error("leader_overruled", term=entry.term, index=entry.index, leader=author)
        return None

    def _past(self, entry: Entry) -> list[str]:
        """The other nodes that have applied an entry of a term that nobody has overruled.

        Their states were the one it was written for, whether they still know that digest or have started since.
        """
        own = position_of(self._machine, self._config.node)
        return [
            it.name
            for it in self._statuses.others()
            if it.halted is None
            and it.position is not None
            and _is_same(it.position, own)
            and it.position.applied >= entry.index
        ]


def _votes_on(index: int, statuses: Sequence[NodeStatus]) -> dict[str, str]:
    return {it.name: it.votes[str(index)] for it in statuses if str(index) in it.votes}


def _is_same(one: Position, other: Position) -> bool:
    return (one.cluster_id, one.generation) == (other.cluster_id, other.generation)
