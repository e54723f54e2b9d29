"""A front: ``python -m hookline.node.front.process DESCRIPTOR LISTENER``, started by a node.

It takes connections at the node's port, reads what clients send, and asks its node at the other end of a link. It
keeps nothing: when it is gone, its connections are, and its node starts another one; when its node is gone, it ends.
"""

import asyncio
import os
import socket
import sys
from contextlib import ExitStack

from hookline.http_api.server import ApiServer, make_server
from hookline.memory import settle_memory
from hookline.node.api.job_requests import JobRequests
from hookline.node.api.jobs_api import ProcessShare
from hookline.node.database import read_beside
from hookline.node.front.app import FrontParts, front_app
from hookline.node.front.counted import Counted
from hookline.node.front.front_end import FrontEnd
from hookline.node.front.jobs_api import FrontVault
from hookline.node.front.keys import admission, front_guard
from hookline.node.front.messages import Ready
from hookline.node.front.setup import FrontSetup, decode_setup
from hookline.node.state_machine.reads import Reads
from hookline.node.storage.snapshots import STATE_FILE
from hookline.processes.child import own_end
from hookline.processes.link import linked
from hookline.telemetry.logs import configure_logs
from hookline.telemetry.loop_lag import LoopLag
from hookline.telemetry.tracing.export import begin_tracing, end_tracing
from hookline.tls.live import LiveTls, kept_fresh

_READY_POLL_S = 0.005
_LAST_SPANS_S = 0.5


class _Inbox:
    """Takes the setup; the front's end has all that follows."""

    def __init__(self, end: FrontEnd) -> None:
        self._end = end
        self.setup: asyncio.Future[FrontSetup] = asyncio.get_running_loop().create_future()

    def __call__(self, message: bytes) -> None:
        if self.setup.done():
            self._end.received(message)
        else:
            self.setup.set_result(decode_setup(message))


async def _main(descriptor: int, listening: int) -> None:
    end = FrontEnd()
    inbox = _Inbox(end)
    end.link = await linked(own_end(descriptor), inbox)
    setup = await inbox.setup
    configure_logs(as_json=setup.logs_as_json, level=setup.log_levels)
    begin_tracing(setup.traces, end.clock)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(_serve(setup, end, listening))
        ending = tasks.create_task(end.link.ended.wait())
        await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            end_tracing(_LAST_SPANS_S)
            os._exit(0)  # the node is gone: nobody is left to ask
        ending.cancel()


async def _serve(setup: FrontSetup, end: FrontEnd, listening: int) -> None:
    config, clock, counted = setup.config, end.clock, Counted(end)
    lag = LoopLag(clock)
    with ExitStack() as stack:
        reader = stack.enter_context(read_beside(config.data_dir / STATE_FILE))
        requests = JobRequests(config, FrontVault(), clock.token)
        content = requests.content
        share = ProcessShare(config, clock, Reads(reader, content.shown, content.shown_response), requests)
        os.set_inheritable(listening, False)
        listener = stack.enter_context(socket.socket(fileno=listening))
        guard = front_guard(setup.roots, share.reads, clock)
        app = front_app(FrontParts(share, end, counted, lag.is_high, admission(config, setup.proof_keys, clock), guard))
        tls = LiveTls(config.tls, clock)
        server = make_server(app, listener, allow_hosts=setup.hosts, tls=tls, is_listener_shared=True)
        async with kept_fresh(tls), asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[listener]))
            beside = [tasks.create_task(counted.run()), tasks.create_task(lag.run())]
            await _started(server)
            settle_memory()
            end.send(Ready())
            await end.draining.wait()
            server.should_exit = True
            await serving
            for task in beside:
                task.cancel()
    counted.tell()
    end_tracing(_LAST_SPANS_S)
    end.link.close()


async def _started(server: ApiServer) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
        await asyncio.sleep(_READY_POLL_S)


def main() -> None:
    """Until it is told to end, or the node is gone."""
    import uvloop  # noqa: PLC0415 - only here

    uvloop.run(_main(int(sys.argv[1]), int(sys.argv[2])))


if __name__ == "__main__":
    main()
