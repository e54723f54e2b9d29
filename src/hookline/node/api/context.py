"""Context of a node's handlers: its services, and what the API builds once on top of them."""

import asyncio
from collections.abc import Sequence
from itertools import chain

import msgspec

from hookline.errors import DeadlineExceeded, HooklineError, Internal, Misdirected, Unavailable, by_code
from hookline.http_api.fate import is_open_now
from hookline.http_api.messages import ApiRequest
from hookline.node.api.audit import current_note
from hookline.node.api.job_requests import JobRequests
from hookline.node.api.jobs_api import JobsApi, ProcessShare
from hookline.node.api.ownership import Ownership
from hookline.node.api.services import Services
from hookline.node.api.views import Views
from hookline.node.state_machine.read_rows import JobRow
from hookline.protocol.calls import CALLS
from hookline.protocol.codec import split
from hookline.protocol.commands import AnyCommand, CreateJob, Refused, Result, Results
from hookline.protocol.ids import check_id
from hookline.telemetry.tracing.spans import child

_ERRORS = by_code()


class Api(JobsApi):
    """One per app."""

    def __init__(self, services: Services) -> None:
        requests = JobRequests(services.config, services.vault, services.clock.token)
        self.views = Views(services)
        super().__init__(ProcessShare(services.config, services.clock, services.reads, requests), self.views)
        self.services = services
        self.ownership = Ownership(services.config, services.replica)
        # The row of a create, with the limit that this node's operator set.
        self.create_call = msgspec.structs.replace(CALLS["createJob"], body_bytes_max=services.config.job_bytes_max)
        # Settings of a destination are read, merged and replaced as a whole; one call at a time.
        self.destinations = asyncio.Lock()
        self.keys = asyncio.Lock()  # so are keys

    async def create(self, request: ApiRequest, command: CreateJob, *, is_shown: bool = True) -> Results:
        self.ownership.check_home(request, command.id if command.id_is_chosen else None, command.key)
        with self.services.admission.reserve(command.work.tenant, 1, command.work.size, creates=1):
            return await self.propose(command)

    async def create_each(self, request: ApiRequest, commands: Sequence[CreateJob]) -> list[Result | Misdirected]:
        found = self.ownership.strays(request, commands)
        own = [command for command, stray in zip(commands, found, strict=True) if stray is None]
        size = sum(command.work.size for command in own)
        with self.services.admission.reserve(request.caller.tenant, len(own), size, creates=len(own)):
            results = iter(await self.propose_all(own))
        return [next(results) if stray is None else stray for stray in found]

    async def look_at(self, rows: Sequence[JobRow]) -> None:
        """All of it is in this process."""

    def observe_create(self, seconds: float) -> None:
        self.services.metrics.create_seconds.observe(seconds)

    def count_refusal(self, code: str, times: int = 1) -> None:
        """Calls were answered with that problem."""
        self.services.metrics.rejections.labels(code).inc(times)

    async def propose(self, *commands: AnyCommand) -> Results:
        """Put the commands into the log, in one entry; their results once they are durable.

        What is to be in the audit log about them goes into the same entry.
        """
        noting = current_note()
        note = None if noting is None else noting.beside(commands)
        proposal = self.services.replica.propose(commands if note is None else (*commands, note))
        is_open_now()
        with child("commit", attributes={"hookline.commands": len(commands)}):
            results = await proposal
        assert isinstance(results, Results)
        return results if note is None else Results(results[:-1], results.time_ms)

    async def propose_all(self, commands: Sequence[AnyCommand]) -> list[Result]:
        """Put any number of commands into the log, in as many entries as they need; their results in order."""
        # All are proposed before the first is awaited: so the replica takes them together, or none of them.
        proposals = [self.services.replica.propose(part) for part in split(commands)]
        is_open_now()
        with child("commit", attributes={"hookline.commands": len(commands)}):
            return await together(proposals)


def id_of(request: ApiRequest) -> str:
    """The id in the path. Raises InvalidId."""
    return check_id(request.path["id"])


async def together(proposals: Sequence[asyncio.Future[list[Result]]]) -> list[Result]:
    """The results of all, in order.

    Raises:
        Unavailable: none of them is in the log.
        DeadlineExceeded: some are; a call that is made again has to name the same ids.
    """
    outcomes = await asyncio.gather(*proposals, return_exceptions=True)
    results = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if not errors:
        return list(chain.from_iterable(results))
    unclear = [error for error in errors if not isinstance(error, Unavailable)]
    if unclear or not results:
        raise (unclear or errors)[0]
    raise DeadlineExceeded("a part of it was accepted before the leader changed; repeat it with the same ids")


def refusal(result: Refused) -> HooklineError:
    """The error that a refused command stands for."""
    return _ERRORS.get(result.code, Internal)()
