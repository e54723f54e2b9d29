"""What the API needs from the rest of the node. The API owns these shapes; ``runtime`` fills them in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hookline.clock import Clock
from hookline.node.admission import Admission
from hookline.node.config import NodeConfig
from hookline.node.replica import Replica
from hookline.node.state_machine.reads import Reads
from hookline.node.vault import Vault
from hookline.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """What is going on at a destination right now."""

    breaker: str  # closed, open, half_open
    breaker_until_ms: int | None
    running: int
    waiting: int


class Delivery(Protocol):
    """The running scheduler and executor, as far as users may look into them."""

    def why_waiting(self, destination: str, due_ms: int, attempts: int) -> tuple[str, str, int | None]:
        """(reason, detail, until_ms) for a pending job; reasons as in ``protocol.http.WaitingFor``."""

    def destination_status(self, destination: str) -> DestinationStatus:
        """The present state of a destination; all zeros for one that is idle."""

    def slots(self) -> tuple[int, int]:
        """(in use, limit)."""


@dataclass(frozen=True, slots=True)
class Services:
    """Handed to ``create_app``."""

    config: NodeConfig
    clock: Clock
    replica: Replica
    reads: Reads
    vault: Vault
    admission: Admission
    delivery: Delivery
    is_ready: Callable[[], str | None]  # None when ready, else why not
    metrics: Metrics
