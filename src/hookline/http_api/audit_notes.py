"""Rows of the audit log about calls that are refused, made alike in nodes and proxies."""

from collections.abc import Sequence
from typing import Final

from hookline.clock import Clock
from hookline.errors import Forbidden
from hookline.http_api.callers import ApiCaller, HeaderPairs
from hookline.http_api.request_ids import request_ids
from hookline.protocol.calls import Call
from hookline.protocol.commands import AuditNote, NoteAudit

ID_BYTES: Final = 10


def forbidden_note(
    clock: Clock, call: Call, caller: ApiCaller, name: str, addresses: Sequence[str], headers: HeaderPairs
) -> NoteAudit:
    """The row about a call that the caller's key lacks the scope for; ``name``: the key's."""
    address, *hops = addresses or [""]
    summary = f"the key lacks the scope {call.needed_scope}"
    note = AuditNote(
        *(clock.token(ID_BYTES).hex(), call.name, "", caller.key, name, caller.tenant),
        *(address, ", ".join(hops), summary, trace_of(headers)),
    )
    return NoteAudit(note, 0, "refused", Forbidden.code)


def trace_of(headers: HeaderPairs) -> str:
    """The id of the request's trace, else the id that its sender gave it, else nothing."""
    ids = request_ids(headers)
    return ids.get("trace_id") or ids.get("request_id", "")
