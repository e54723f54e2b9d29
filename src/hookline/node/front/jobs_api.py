"""Context of a handler in a front: reads the state itself, and asks the node for all that only the node knows."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from hookline.errors import Misdirected
from hookline.http_api.callers import CLIENT
from hookline.http_api.fate import is_open_now
from hookline.http_api.messages import ApiRequest
from hookline.node.api.jobs_api import JobsApi, ProcessShare
from hookline.node.api.ownership import is_fallback, not_at_home
from hookline.node.api.views import JobViews, Pending, pending_of
from hookline.node.front.front_end import FrontEnd, RelayInstead
from hookline.node.front.messages import Confirm, Confirmed, Create, CreateAnswer, Gone, JobFate
from hookline.node.state_machine.read_rows import JobRow
from hookline.node.state_machine.reads import Reads
from hookline.protocol.codec import split
from hookline.protocol.commands import Created, CreateJob, Refused, Result, Results
from hookline.protocol.http import WaitingFor
from hookline.protocol.jobs import State
from hookline.protocol.settings import DestinationSettings, decode_destination
from hookline.telemetry.tracing.spans import child


class FrontVault:
    """A front holds no key: a job with a secret of its own, or with a sealed payload, is the node's to read."""

    def seal(self, plaintext: str, *, nonce: bytes) -> bytes:
        raise RelayInstead

    def open(self, sealed: bytes) -> str:
        raise RelayInstead

    def seal_bytes(self, plaintext: bytes, *, nonce: bytes) -> bytes:
        raise RelayInstead

    def open_bytes(self, sealed: bytes) -> bytes:
        raise RelayInstead


class FrontViews(JobViews):
    """Views for one call, by what the node has said for it."""

    def __init__(self, reads: Reads, *, signs_all: bool) -> None:
        super().__init__(signs_all=signs_all)
        self._reads = reads
        self._settings: dict[tuple[str, str], DestinationSettings] = {}
        self._waiting: dict[Pending, WaitingFor] = {}

    def tell_settings(self, tenant: str, destination: str, settings: DestinationSettings) -> None:
        """The node says that these are in force."""
        self._settings[tenant, destination] = settings

    def tell_waiting(self, of: Pending, reason: WaitingFor) -> None:
        """The node says why it waits."""
        self._waiting[of] = reason

    def settings(self, tenant: str, destination: str) -> DestinationSettings:
        known = self._settings.get((tenant, destination))
        if known is None:
            row = self._reads.destination(tenant, destination)
            known = self._settings[tenant, destination] = DestinationSettings() if row is None else row.settings
        return known

    def waiting_for(self, of: Pending) -> WaitingFor:
        return self._waiting[of]


class FrontJobsApi(JobsApi):
    """One for each call.

    The state is read first and the node asked afterwards whether it leads in the term in which it led before: then
    nobody else did in between, so what was read holds all that was acknowledged before the call came.
    """

    def __init__(
        self, share: ProcessShare, end: FrontEnd, request: ApiRequest, observe_create: Callable[[float], None]
    ) -> None:
        self._views = FrontViews(share.reads, signs_all=share.config.signing_secret is not None)
        super().__init__(share, self._views)
        self._end = end
        self._request = request
        self._term = end.term
        self._observe_create = observe_create
        self._caller = None if request.caller == CLIENT else request.caller
        self._is_settled = False

    async def create(self, request: ApiRequest, command: CreateJob, *, is_shown: bool) -> Results:
        told = await self._create([command], is_each=False, is_shown=is_shown)
        if told.waiting_for is not None:
            tenant, destination = command.work.tenant, command.work.destination
            self._views.tell_settings(tenant, destination, decode_destination(told.settings))
            self._views.tell_waiting(Pending(tenant, destination, command.due_ms, 0), told.waiting_for)
        return Results([_result(fate) for fate in told.fates], told.time_ms)

    async def create_each(self, request: ApiRequest, commands: Sequence[CreateJob]) -> list[Result | Misdirected]:
        told = await self._create(commands, is_each=True, is_shown=False)
        return [not_at_home(fate.home, "id") if fate.home else _result(fate) for fate in told.fates]

    async def _create(self, commands: Sequence[CreateJob], *, is_each: bool, is_shown: bool) -> CreateAnswer:
        """The node's answer. A large batch goes there in parts, so that the link is open to others in between."""
        is_open_now()
        end, number = self._end, self._end.number()
        first = Create(number, [], is_each, is_shown, self._caller, is_fallback(self._request), has_more=True)
        *parts, last = split(commands) or [[]]
        try:
            for part in parts:
                await end.link.room()
                end.send(replace(first, commands=part))
            with child("commit", attributes={"hookline.commands": len(commands)}):
                told = await end.ask(replace(first, commands=last, has_more=False), CreateAnswer)
        finally:
            if parts:
                end.send(Gone(number))  # the node keeps none of it if the last part was not sent
        self._is_settled = True
        return told

    async def look_at(self, rows: Sequence[JobRow]) -> None:
        pending = list(dict.fromkeys(pending_of(row) for row in rows if row.state is State.PENDING))
        if self._is_settled and not pending:
            return
        asked = Confirm(self._end.number(), self._term, self._request.call.name, self._caller, pending)
        told = await self._end.ask(asked, Confirmed)
        self._is_settled = True
        for one, reason in zip(pending, told.waiting_for, strict=True):
            self._views.tell_waiting(one, reason)

    async def settle(self) -> None:
        """The answer is known; may this front give it? Raises RelayInstead, AnsweredByNode when it may not."""
        if not self._is_settled:
            await self.look_at(())

    def observe_create(self, seconds: float) -> None:
        self._observe_create(seconds)


def _result(fate: JobFate) -> Result:
    return Refused(fate.refused) if fate.refused else Created(0, fate.id, fate.is_deduplicated)
