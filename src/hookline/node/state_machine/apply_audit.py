"""Applying the commands that keep the audit log."""

from msgspec.structs import replace

from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.rows import AuditRow
from hookline.node.state_machine.tables import Tables
from hookline.protocol.audit import AuditRecord, decode_audit, encode_audit
from hookline.protocol.commands import AuditOutcome, Changed, NoteAudit, PurgeAudit, Refused, Result


def note_audit(tables: Tables, effects: Effects, time_ms: int, command: NoteAudit) -> Result:
    """Keep what came of the commands before it: a new row, or more of the one that the request has already."""
    outcome, changed, code = _outcome(effects, command)
    if command.only_changes and outcome != "done":
        return Changed(0)
    note = command.note
    known = tables.row(AuditRow, "audit_of", note.id)
    if known is None:
        record = encode_audit(AuditRecord(note, outcome, changed, code))
        tables.add_audit(note.id, time_ms, note.action, note.actor, record)
        return Changed(1)
    before = decode_audit(known.record)
    if outcome == "done":
        record = encode_audit(replace(before, outcome="done", changed=before.changed + changed))
        tables.replace_audit(known, record)
    return Changed(1)


def _outcome(effects: Effects, command: NoteAudit) -> tuple[AuditOutcome, int, str]:
    """(outcome, how many things changed, code of the error)."""
    if command.of == 0:
        return command.outcome, 0, command.code
    result = effects.results[-command.of]
    if isinstance(result, Refused):
        return "refused", 0, result.code
    changed = result.count if isinstance(result, Changed) else 1
    return ("done" if changed else "unchanged"), changed, ""


def purge_audit(tables: Tables, command: PurgeAudit) -> Result:
    """Forget the oldest rows, a bounded number at a time; how many."""
    rows = tables.all(AuditRow, "oldest_audit", command.limit)
    newest = tables.value("newest_audit") or 0
    old = [row for row in rows if row.time_ms < command.before_ms or row.number <= newest - command.keep]
    for row in old:
        tables.drop_audit(row)
    return Changed(len(old))
