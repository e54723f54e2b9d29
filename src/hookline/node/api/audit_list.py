"""``GET /audit``, and the row that another of our processes has the leader write."""

import msgspec

from hookline.errors import InvalidCursor, InvalidRequest
from hookline.http_api import strict_json
from hookline.http_api.cursors import decode_cursor, encode_cursor
from hookline.http_api.messages import ApiRequest, Reply, page_limit
from hookline.node.api.context import Api
from hookline.node.api.views import page_reply
from hookline.node.state_machine.matching import AuditFilter
from hookline.node.state_machine.rows import AuditRow
from hookline.protocol.audit import decode_audit
from hookline.protocol.commands import NoteAudit
from hookline.protocol.durations import format_time, parse_time
from hookline.protocol.http_audit import AUDIT_FILTERS, AuditPage, AuditView
from hookline.protocol.tenants import tenant_name

_notes = msgspec.json.Decoder(NoteAudit)


async def list_audit(api: Api, request: ApiRequest) -> Reply:
    """``GET /audit``: the newest first."""
    query = request.query(*AUDIT_FILTERS, "limit", "cursor")
    limit, cursor, after = page_limit(query), query.get("cursor"), query.get("after")
    scope = "audit " + repr([query.get(name) for name in AUDIT_FILTERS])
    wanted = AuditFilter(
        query.get("action"), query.get("actor"), None if after is None else parse_time(after, field="after")
    )
    rows, has_more = await api.reads.audit(wanted, None if cursor is None else _position(cursor, scope), limit)
    next_cursor = encode_cursor(str(rows[-1].number), scope) if has_more else None
    page = AuditPage([_view(api.config.cluster, row) for row in rows], next_cursor)
    return page_reply(request, page, scope, [str(row.number) for row in rows])


async def take_note(api: Api, request: ApiRequest) -> Reply:
    """``POST /internal/audit``: a row about what was done or refused by a process that does not lead."""
    body = await request.body()
    strict_json.check_utf8(body)
    note = strict_json.decode(_notes, body)
    if note.of:
        raise InvalidRequest("the row has to tell by itself what came of it", field="of")
    await api.propose(note)
    return Reply(200, b"{}")


def _position(cursor: str, scope: str) -> int:
    text = decode_cursor(cursor, scope)
    if not (text.isascii() and text.isdigit()):
        raise InvalidCursor(field="cursor")
    return int(text)


def _view(cluster: str, row: AuditRow) -> AuditView:
    record = decode_audit(row.record)
    note = record.note
    return AuditView(
        id=note.id,
        at=format_time(row.time_ms),
        cluster=cluster,
        action=note.action,
        target=note.target,
        actor=note.actor,
        actor_name=note.actor_name,
        tenant=tenant_name(note.tenant),
        address=note.address,
        via=note.via,
        summary=note.summary,
        outcome=record.outcome,
        code=record.code,
        changed=record.changed,
        trace=note.trace,
    )
