"""Hands each command to the function that applies it. Pure: the result depends on the entry and the database only."""

from hookline.errors import UnknownCommand
from hookline.node.state_machine import (
    apply_audit,
    apply_deletes,
    apply_jobs,
    apply_keys,
    apply_moves,
    apply_schedules,
    apply_tenants,
    apply_upkeep,
)
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.tables import Tables
from hookline.protocol import commands as c
from hookline.protocol.codec import Entry


def apply_command(tables: Tables, effects: Effects, entry: Entry, command: c.AnyCommand) -> c.Result:
    """Change the state as the command says and return the result."""
    now = entry.time_ms
    match command:
        case c.CreateJob():
            return apply_jobs.create_job(tables, effects, now, command)
        case c.ClaimJobs():
            return apply_jobs.claim_jobs(tables, effects, now, entry.term, command)
        case c.RecordOutcome():
            return apply_jobs.record_outcome(tables, effects, now, command)
        case c.RecordTicks():
            return apply_schedules.record_ticks(tables, effects, now, command)
        case c.CancelJobs():
            return apply_jobs.cancel_jobs(tables, effects, now, command)
        case c.UpdateJob():
            return apply_jobs.update_job(tables, effects, command)
        case c.RedriveJobs():
            return apply_jobs.redrive_jobs(tables, effects, command)
        case c.PutSchedule():
            return apply_schedules.put_schedule(tables, effects, now, command)
        case c.DeleteSchedule():
            return apply_schedules.delete_schedule(tables, effects, command)
        case c.RunSchedule():
            return apply_schedules.run_schedule(tables, effects, now, command)
        case c.PutDestination():
            return apply_upkeep.put_destination(tables, effects, command)
        case c.PurgeFinished():
            return apply_upkeep.purge_finished(tables, now, command)
        case c.PurgeKeys():
            return apply_upkeep.purge_keys(tables, command)
        case c.BeginTerm():
            return apply_jobs.begin_term(tables, effects, now, command)
        case c.ExpireClaims():
            return apply_jobs.expire_claims(tables, effects, now, entry.term, command)
        case c.LoseClaims():
            return apply_jobs.lose_claims(tables, effects, now, command)
        case c.BeginLog():
            return apply_upkeep.begin_log(tables, command)
        case c.SetTopology():
            return apply_upkeep.set_topology(tables, effects, command)
        case c.ImportDestinations():
            return apply_upkeep.import_destinations(tables, effects, command)
        case c.DeleteJob():
            return apply_deletes.delete_job(tables, effects, now, command)
        case c.SetMode():
            return apply_upkeep.set_mode(tables, effects, command)
        case c.DeletePayload():
            return apply_deletes.delete_payload(tables, command)
        case c.PutApiKeys():
            return apply_keys.put_keys(tables, now, command)
        case c.TouchApiKeys():
            return apply_keys.touch_keys(tables, command)
        case c.NoteAudit():
            return apply_audit.note_audit(tables, effects, now, command)
        case c.PurgeAudit():
            return apply_audit.purge_audit(tables, command)
        case c.PutTenant():
            return apply_tenants.put_tenant(tables, effects, command)
        case c.TakeBatch():
            return apply_moves.take_batch(tables, command)
        case c.GiveAway():
            return apply_moves.give_away(tables, now, command)
        case c.ActivateBatch():
            return apply_moves.activate_batch(tables, effects, command)
        case c.EndDeparture():
            return apply_moves.end_departure(tables, command)
        case c.EndMove():
            return apply_moves.end_move(tables, command)
        case c.PurgeElsewhere():
            return apply_moves.purge_elsewhere(tables, command)
        case c.ForgetPointer():
            return apply_moves.forget_pointer(tables, command)
        case _:
            raise UnknownCommand(f"this release does not know the command {type(command).__name__}; upgrade me")
