"""Notes who asks for a change, and has it written in the very entry that makes the change.

``Door`` begins a note for each call whose row says that it is audited, and ``Api.propose`` adds it to what is proposed
meanwhile. So no handler has to think of it; one that changes nothing in the log says so by ``Noting.write``.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final

import msgspec
from msgspec.structs import replace

from hookline.errors import HooklineError, NotLeader
from hookline.http_api.addresses import addresses_of
from hookline.http_api.audit_notes import ID_BYTES, trace_of
from hookline.http_api.forwarded_headers import ACTOR, FORWARDED
from hookline.http_api.guard import ROOT
from hookline.http_api.messages import ApiRequest
from hookline.node.api.services import Role, Services
from hookline.node.replica import Replica
from hookline.peers.sender import NodeCall, Sender, Unclear
from hookline.protocol.audit import told
from hookline.protocol.calls import CALLS
from hookline.protocol.commands import AnyCommand, AuditNote, AuditOutcome, NoteAudit
from hookline.telemetry.area_log import log_of

_TELL_S: Final = 2.0

_log = log_of("api")
_current: ContextVar["Noting | None"] = ContextVar("noting", default=None)


class Noting:
    """The note of one request.

    Attributes:
        note: what is known of it so far.
        is_wanted: a row is to be written.
    """

    def __init__(self, services: Services, request: ApiRequest) -> None:
        self._services = services
        self._only_changes = request.call.audited == "changes"
        self._is_written = False
        self.is_wanted = True
        self.note = _note_of(services, request)

    def about(self, summary: str, target: str = "") -> None:
        """Say what the commands do not."""
        self.note = replace(self.note, summary=summary, target=target or self.note.target)

    def drop(self) -> None:
        """Nothing is to be changed."""
        self.is_wanted = False

    def beside(self, commands: Sequence[AnyCommand]) -> NoteAudit | None:
        """The command that goes into one entry with these, behind them; None: there is none."""
        if not self.is_wanted or not commands:
            return None
        self._is_written = True
        said = told(commands)
        note = replace(self.note, summary=self.note.summary or said.summary, target=said.target or self.note.target)
        return NoteAudit(note, len(commands), only_changes=self._only_changes)

    async def write(self, outcome: AuditOutcome = "done") -> None:
        """Write a row about what no command says, unless there is one. What was done stays done if that fails."""
        if self._is_written or self._only_changes or not self.is_wanted:
            return
        self._is_written = True
        services = self._services
        writer = AuditWriter(services.role, services.replica, services.sender)
        await writer.write(NoteAudit(self.note, 0, outcome))


def begin_note(services: Services, request: ApiRequest) -> Noting | None:
    """A request begins; None: it is not audited. Tasks that it starts have the same note."""
    noting = None if request.call.audited == "no" else Noting(services, request)
    _current.set(noting)
    return noting


def current_note() -> Noting | None:
    """The note of this task's request."""
    return _current.get()


class AuditWriter:
    """Has the leader write rows that no change brings with it."""

    def __init__(self, role: Role, replica: Replica, sender: Sender) -> None:
        self._role = role
        self._replica = replica
        self._sender = sender

    async def write(self, command: NoteAudit) -> None:
        """Have it written; that it cannot be is logged, with all of the row."""
        try:
            if self._role.is_leading():
                await self._replica.propose([command])
            else:
                await self._tell_leader(command)
        except HooklineError as error:
            _log.warning("audit_row_not_written", why=error.detail, row=msgspec.to_builtins(command.note))

    async def _tell_leader(self, command: NoteAudit) -> None:
        url = self._role.leader_url()
        if url is None:
            raise NotLeader
        call = NodeCall.to(CALLS["takeNote"], msgspec.json.encode(command), (FORWARDED, b"1"))
        answer = await self._sender.send(url, call, _TELL_S)
        if answer.status != 200:
            raise Unclear(f"the leader answered {answer.status}")


def _note_of(services: Services, request: ApiRequest) -> AuditNote:
    action, actor = request.call.name, request.caller.key
    if request.call.scope == "internal" and (said := request.header(ACTOR)) is not None:
        action, _, actor = said.partition(" ")
    known = services.replica.api_keys.by_id.get(actor)
    tenant = request.caller.tenant if known is None else known.record.tenant
    address, *hops = addresses_of(request) or [""]
    return AuditNote(
        services.clock.token(ID_BYTES).hex(),
        action,
        next(iter(request.path.values()), ""),
        actor,
        "" if known is None or actor == ROOT else known.record.name,
        tenant,
        address,
        ", ".join(hops),
        trace=trace_of(request.headers),
    )
