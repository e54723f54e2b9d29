"""Context of the calls that create and read jobs: the node answers them, and so do its API processes.

Their handlers are the same in both, so a client sees no difference. What only the node knows stands here as a method.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from hookline.clock import Clock
from hookline.errors import Misdirected
from hookline.http_api.messages import ApiRequest
from hookline.node.api.job_requests import JobRequests
from hookline.node.api.views import JobViews
from hookline.node.config import NodeConfig
from hookline.node.state_machine.read_rows import JobRow
from hookline.node.state_machine.reads import Reads
from hookline.protocol.commands import CreateJob, Result, Results

_PAGES_AT_ONCE = 2


class ProcessShare:
    """The things that all requests of one process share.

    Attributes:
        pages: of what takes several megabytes, little is made at once; all is the work of one thread anyway.
        large_batch: one is read at a time.
    """

    def __init__(self, config: NodeConfig, clock: Clock, reads: Reads, requests: JobRequests) -> None:
        self.config = config
        self.clock = clock
        self.reads = reads
        self.requests = requests
        self.pages = asyncio.Semaphore(_PAGES_AT_ONCE)
        self.large_batch = asyncio.Lock()


class JobsApi(ABC):
    """Stands for the node to a handler."""

    def __init__(self, share: ProcessShare, views: JobViews) -> None:
        self.config = share.config
        self.clock = share.clock
        self.reads = share.reads
        self.requests = share.requests
        self.pages = share.pages
        self.large_batch = share.large_batch
        self.job_views = views

    def now_ms(self) -> int:
        """The wall clock."""
        return self.clock.wall_ms()

    @abstractmethod
    async def create(self, request: ApiRequest, command: CreateJob, *, is_shown: bool) -> Results:
        """Put the command into the log if the job belongs here and there is room; its result once it is durable.

        ``is_shown``: its view is asked for afterwards.
        """

    @abstractmethod
    async def create_each(self, request: ApiRequest, commands: Sequence[CreateJob]) -> list[Result | Misdirected]:
        """The same for many: those that belong to another cluster are left out, with the error that says so."""

    @abstractmethod
    async def look_at(self, rows: Sequence[JobRow]) -> None:
        """Learn what the views of these jobs show beside their rows. Before the first of them is shown."""

    @abstractmethod
    def observe_create(self, seconds: float) -> None:
        """A create call took that long."""
