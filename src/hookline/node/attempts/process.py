"""An attempt process: ``python -m hookline.node.attempts.process DESCRIPTOR``, started by a node.

It runs a ``Runner`` whose leader is at the other end of a link. It keeps nothing: when it is gone, its open claims are
lost and its node starts another one; when its node is gone, it ends at once and sends nothing more.
"""

import asyncio
import os
import sys

import uvloop

from hookline.clock import Clock, SystemClock, ToldClock
from hookline.lack import raise_descriptor_limit
from hookline.memory import settle_memory
from hookline.node.attempts.delivery import delivery_of
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.process_messages import Assignment, Setup, decode_assignment, decode_setup, encode
from hookline.node.attempts.resolver import Lookup, Resolver, system_lookup
from hookline.node.attempts.runner import Runner
from hookline.node.attempts.transport import HttpTransport, Transport
from hookline.node.attempts.vetting import Vetter
from hookline.node.dispatch.exchange import Inbox
from hookline.node.vault import Vault
from hookline.processes.child import own_end
from hookline.processes.link import Link, linked
from hookline.protocol.claims import ClaimReport
from hookline.telemetry.area_log import set_log_levels
from hookline.telemetry.logs import configure_logs
from hookline.telemetry.tracing.export import begin_tracing, end_tracing

_LAST_SPANS_S = 0.5


class LinkExchange:
    """The runner's side (``dispatch.exchange.Exchange``) of a link: what the node sends goes into the inbox."""

    def __init__(self, link: Link, clock: ToldClock, own_addresses: OwnAddresses) -> None:
        self._link = link
        self._clock = clock
        self._own_addresses = own_addresses
        self._inbox = Inbox()
        self._term, self._valid_until_ms = 0, 0.0
        self._reports: list[ClaimReport] = []

    def open(self, inbox: Inbox, _held: object) -> None:
        self._inbox = inbox

    def offer(self, slots: int) -> None:
        """The node has told it so many."""

    def close(self) -> list[ClaimReport]:
        return []

    def valid_until_ms(self, term: int) -> float:
        return self._valid_until_ms if term == self._term else 0.0

    def report(self, report: ClaimReport) -> None:
        if not self._reports:
            asyncio.get_running_loop().call_soon(self._tell)
        self._reports.append(report)

    def _tell(self) -> None:
        reports, self._reports = self._reports, []
        self._link.send(encode(reports))

    def leave(self) -> None:
        """The node asks."""

    async def drained(self) -> None:
        """The node keeps them until they are recorded."""

    def take(self, assignment: Assignment) -> None:
        """Take the orders of the node."""
        self._term, self._valid_until_ms = assignment.term, assignment.valid_until_ms
        self._clock.offset_ms = assignment.wall_ms
        if assignment.log_levels:
            set_log_levels(assignment.log_levels)
        if assignment.places is not None:
            self._own_addresses.tell("the node", assignment.places)
        self._inbox.put(assignment.claims, assignment.cancelled)


async def run(
    setup: Setup,
    link: Link,
    received: "asyncio.Queue[bytes]",
    *,
    machine: Clock,
    lookup: Lookup,
    transport: Transport,
) -> None:
    """Make attempts until cancelled."""
    clock, own_addresses = ToldClock(machine), OwnAddresses([])
    exchange = LinkExchange(link, clock, own_addresses)
    async with Resolver(lookup, clock) as resolver, asyncio.TaskGroup() as tasks:
        vault = Vault(setup.keys)
        vetter = Vetter(resolver, setup.config.rules, own_addresses=own_addresses)
        delivery = delivery_of(vault, vetter, transport, clock, default_secret=setup.config.signing_secret)
        runner = Runner(delivery, clock, exchange, slots=setup.slots)
        tasks.create_task(runner.run())
        tasks.create_task(_take(runner, exchange, received))
        link.send(encode([]))  # ready


async def _take(runner: Runner, exchange: LinkExchange, received: "asyncio.Queue[bytes]") -> None:
    while True:
        assignment = decode_assignment(await received.get())
        exchange.take(assignment)
        if assignment.is_over:
            await asyncio.sleep(0)  # the runner sees its claims first
            runner.break_off()


async def _main(descriptor: int) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()
    link = await linked(own_end(descriptor), received.put_nowait)
    setup = decode_setup(await received.get())
    raise_descriptor_limit()
    configure_logs(as_json=setup.logs_as_json, level=setup.log_levels)
    begin_tracing(setup.traces, SystemClock())
    settle_memory()
    async with asyncio.TaskGroup() as tasks:
        machine, lookup = SystemClock(), system_lookup()
        transport = HttpTransport(egress_proxy=setup.config.egress_proxy)
        tasks.create_task(run(setup, link, received, machine=machine, lookup=lookup, transport=transport))
        await link.ended.wait()
        end_tracing(_LAST_SPANS_S)  # it blocks the loop: the node is gone, and nothing else may leave any more
        os._exit(0)


def main() -> None:
    """Until the node is gone."""
    uvloop.run(_main(int(sys.argv[1])))


if __name__ == "__main__":
    main()
