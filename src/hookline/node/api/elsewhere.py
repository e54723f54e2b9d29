"""Says where something is that this cluster had, or is asked for: at another cluster, or on its way here."""

from hookline.errors import Arriving, HooklineError, Moved
from hookline.node.api.context import refusal
from hookline.node.state_machine.reads import Reads
from hookline.protocol.commands import CreateJob, Refused
from hookline.protocol.moves import JOB, KEY


def place_of(reads: Reads, tenant: str, kind: int, name: str) -> Moved | None:
    """The error that says at which cluster it is; None: nothing is known of that."""
    there = reads.elsewhere(tenant, kind, name)
    if there is None:
        return None
    shard, is_kept = there
    return Moved(f"it is at the cluster with shard {shard}; ask a proxy, or that cluster", shard=shard, kept=is_kept)


def gone_since(reads: Reads, tenant: str, job_id: str) -> HooklineError:
    """The error for a job that a create found, and that is not here any more: by the same entry it may have moved."""
    return place_of(reads, tenant, JOB, job_id) or Arriving(retry_after_s=1)


def refusal_of_create(reads: Reads, command: CreateJob, result: Refused) -> HooklineError:
    """The error for a job that was not made."""
    if result.code == Moved.code:
        names = [(KEY, command.key)] if command.key is not None else []
        for kind, name in (*names, (JOB, command.id)):
            if (moved := place_of(reads, command.work.tenant, kind, name)) is not None:
                return moved
        return Arriving(retry_after_s=1)  # it was forgotten in this very moment
    return refusal(result)
