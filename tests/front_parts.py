"""A front in the process of its node: the same parts over a real link, without a second process."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette

from hookline.node.api.context import Api
from hookline.node.api.job_requests import JobRequests
from hookline.node.api.jobs_api import ProcessShare
from hookline.node.database import read_beside
from hookline.node.front.app import FrontParts, front_app
from hookline.node.front.counted import Counted
from hookline.node.front.front_end import FrontEnd
from hookline.node.front.jobs_api import FrontVault
from hookline.node.front.keys import admission, front_guard
from hookline.node.front.node_end import NodeEnd
from hookline.node.front.setup import without_secrets
from hookline.node.state_machine.reads import Reads
from hookline.processes.link import linked
from hookline.protocol.api_keys import hash_of


@asynccontextmanager
async def front_before(api: Api, app: Starlette, tasks: asyncio.TaskGroup) -> AsyncIterator[Starlette]:
    """The application of a front before this node; it goes by the node's own clock.

    Fails when the front could not answer a call that it should, and left it to the node without being told to.
    """
    left: list[str] = []

    def look(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if event["event"] == "front_could_not_answer":
            left.append(event.get("exception", repr(event)))
        return event

    structlog.configure(processors=[look, *structlog.get_config()["processors"]])
    front, node = FrontEnd(), NodeEnd(api, app, tasks.create_task, lambda: None)
    its, ours = socket.socketpair()
    front.link, node.link = await linked(its, front.received), await linked(ours, node.received)
    config, clock = without_secrets(api.config), api.services.clock
    counted = Counted(front)
    with read_beside(config.data_dir / "state.db") as reader:
        requests = JobRequests(config, FrontVault(), clock.token)
        reads = Reads(reader, requests.content.shown, requests.content.shown_response)
        share = ProcessShare(config, clock, reads, requests)
        telling = tasks.create_task(_tell(node, counted))
        try:
            roots = [hash_of(key) for key in api.config.root_keys]
            guard = front_guard(roots, share.reads, clock)
            admit = admission(config, api.services.inner_door.keys, clock)
            yield front_app(FrontParts(share, front, counted, lambda: False, admit, guard))
        finally:
            telling.cancel()
            front.link.close()
            await node.link.ended.wait()
            node.gone()
    assert not left, left


async def _tell(node: NodeEnd, counted: Counted) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(counted.run())
        node.tell_time()
