"""Services that the API needs from the rest of the node. The API owns these shapes; ``assembly`` fills them in."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hookline.errors import NotLeader, StateDamaged
from hookline.http_api.guard import Guard
from hookline.http_api.inner_door import InnerDoor
from hookline.node.admission import Admission
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.watch import ClockWatch
from hookline.node.config import NodeConfig
from hookline.node.dispatch.seats import RunnerStatus
from hookline.node.identity import Position
from hookline.node.metrics import NodeMetrics
from hookline.node.replica import Replica
from hookline.node.state_machine.reads import Reads
from hookline.node.storage.snapshots import Snapshots
from hookline.node.vault import Vault
from hookline.peers.sender import Sender
from hookline.protocol.claims import Frame, Orders
from hookline.protocol.http import NodeView, RecentAttempts
from hookline.protocol.internal_http import ClusterMoves


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """The work and the breaker of a destination right now."""

    breaker: str  # closed, open, half_open
    breaker_until_ms: int | None
    running: int
    waiting: int
    recent: RecentAttempts | None = None


class DeliveryView(Protocol):
    """The running dispatch, as far as users may look into it."""

    def why_waiting(self, tenant: str, destination: str, due_ms: int, attempts: int) -> tuple[str, str, int | None]:
        """(reason, detail, until_ms) for a pending job; reasons as in ``protocol.http.WaitingFor``."""

    def destination_status(self, tenant: str, destination: str) -> DestinationStatus:
        """The present state of a destination; all zeros for one that is idle."""

    def slots(self) -> tuple[int, int]:
        """(in use, limit)."""

    def runners(self) -> list[RunnerStatus] | None:
        """The processes that make attempts; None: only the leader knows."""

    def why_nobody_attempts(self) -> str | None:
        """Why no claim is made, in the present mode; None: claims are made, or this node does not lead."""

    def delivers(self) -> bool:
        """Are attempts under way, or due within a second? False at a follower."""

    def breakers(self) -> Mapping[str, int]:
        """How many destinations have a breaker in each state, as far as they are in memory."""

    def lacking_keys(self) -> list[str]:
        """Ids of keys that jobs are held for, since this node does not have them."""


class LogStorage(NamedTuple):
    """The databases of etcd, by member: (bytes of the file, bytes of it that are used); and the quota of each."""

    members: Mapping[str, tuple[int, int]]
    quota_bytes: int


class Role(Protocol):
    """This node among the nodes of its cluster."""

    def is_leading(self) -> bool:
        """May this node answer for the cluster now?"""

    def leader_url(self) -> str | None:
        """The leader's url; None while there is none, or it is this node."""

    def leader_name(self) -> str | None:
        """The leader's name, this node's too."""

    def nodes(self) -> list[NodeView]:
        """All nodes of the cluster, by name."""

    def position(self) -> Position:
        """The history that this node's state belongs to, and the entry that it has come to."""

    def halted(self) -> str | None:
        """Why this node waits for a person; None: it does not."""

    def hand_over(self) -> bool:
        """Let another node lead; False when there is none."""

    def pressure(self) -> float:
        """How full the log's storage is, 0 to 1."""

    def log_storage(self) -> LogStorage:
        """The sizes behind that."""


async def nobody_leads(_frame: Frame) -> Orders:
    """Of a node that has no dispatch."""
    raise NotLeader


@dataclass(frozen=True, slots=True)
class Services:
    """Handed to ``create_app``."""

    config: NodeConfig
    clock: GuardedClock
    replica: Replica
    reads: Reads
    vault: Vault
    admission: Admission
    delivery: DeliveryView
    is_ready: Callable[[], str | None]  # None when ready, else why not
    metrics: NodeMetrics
    role: Role
    sender: Sender  # to the other nodes
    clocks: ClockWatch
    inner_door: InnerDoor
    guard: Guard | None = None  # None: nobody is asked for a key
    swap: Callable[[Frame], Awaitable[Orders]] = nobody_leads  # takes what a runner reports to the leader
    is_stopping: Callable[[], bool] = lambda: False
    is_overloaded: Callable[[], bool] = lambda: False
    snapshots: Snapshots | None = None  # None: this node gives out no copies of its state
    on_damage: Callable[[StateDamaged], None] = lambda _error: None  # told when a read finds the state damaged
    # Told from which address a proxy asked, and where it says that it listens.
    on_proxy: Callable[[str, str], None] = lambda _address, _listens: None
    moves: Callable[[], ClusterMoves | None] = lambda: None  # how far a leader's moves are; None: another node leads
    kept_aside: Callable[[], list[str]] = list  # names of the states that were replaced and kept
