"""The entries that a dispatcher has on their way into the log, and its claims before, in and after one. Pure data."""

from dataclasses import dataclass

from hookline.node.dispatch.due import Due
from hookline.node.dispatch.seats import Seat
from hookline.node.state_machine.leader_reads import ClaimedJob
from hookline.protocol.claims import ClaimRef
from hookline.protocol.commands import AnyCommand, LoseClaims, RecordOutcome


@dataclass(slots=True, eq=False)
class ProposedClaim:
    """A claim on its way into the log. Two may name one job: of them one at most is granted."""

    due: Due
    seat: Seat
    is_cancelled: bool = False


@dataclass(slots=True, eq=False)
class HandedOutClaim:
    """A claim of this term that was handed out."""

    due: Due
    seat: Seat
    job: ClaimedJob
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class ProposedEntry:
    """The contents of one proposal: the claims whose outcomes it records, and those it makes, by seat."""

    recorded: tuple[ClaimRef, ...]
    claims: tuple[tuple[ProposedClaim, ...], ...]
    begun_by_ms: int


def recorded_by(command: AnyCommand) -> tuple[ClaimRef, ...]:
    """The claims that the command closes."""
    match command:
        case RecordOutcome():
            return (ClaimRef(command.seq, command.attempt),)
        case LoseClaims():
            return tuple(ClaimRef(*claim) for claim in command.claims)
        case _:
            return ()
