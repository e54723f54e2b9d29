"""Compares this machine's clock with those of nodes and of etcd, and its keys with theirs."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hookline.cli.doctor.asking import Asker, NotHeard
from hookline.cli.doctor.fleet import HeardFleet

if TYPE_CHECKING:
    from hookline.clock import Clock
    from hookline.protocol.proofs import ProofKey
    from hookline.tls.live import LiveTls


class ProvenCalls(NamedTuple):
    """The result of calls that prove by a key of this machine that it belongs to the cluster.

    Attributes:
        ahead_ms: by url: how far the clock there is ahead of this machine's, and how wrong that may be.
        refusing: urls where another key holds.
        agreeing: urls where this key holds, and not any other as well.
    """

    ahead_ms: dict[str, tuple[float, float]]
    refusing: list[str]
    agreeing: list[str]


def ask_clocks(urls: Sequence[str], key: "ProofKey", tls: "LiveTls", clock: "Clock", timeout_s: float) -> ProvenCalls:
    """Ask each node for its clock, and whether it would tell anybody: then nothing is known of its key."""
    from hookline.protocol.proofs import proof_key
    from hookline.telemetry.logs import configure_logs

    configure_logs(as_json=False, level="critical")  # what nodes refuse is told by the checks
    ahead_ms, refusing = asyncio.run(_asked(urls, key, tls, clock, timeout_s))
    _, strict = asyncio.run(_asked(list(ahead_ms), proof_key(clock.token(32)), tls, clock, timeout_s))
    return ProvenCalls(ahead_ms, sorted(refusing), sorted(strict - refusing))


async def _asked(
    urls: Sequence[str], key: "ProofKey", tls: "LiveTls", clock: "Clock", timeout_s: float
) -> tuple[dict[str, tuple[float, float]], set[str]]:
    """Tells for ``ProvenCalls`` how far ahead they are, and which refuse."""
    import msgspec

    from hookline.node.clocks.others import ClockReading
    from hookline.peers.proven_sender import proven_sender
    from hookline.peers.sender import UNREADABLE, NodeCall, NotSent, Unclear
    from hookline.protocol.calls import CALLS

    call = NodeCall.to(CALLS["readClock"])
    found = {}
    async with proven_sender(key, clock, tls=tls) as sender:
        for url in urls:
            asked_ms, before_ms = clock.wall_ms(), clock.boot_ms()
            try:
                answer = await sender.send(url, call, timeout_s)
                there_ms = msgspec.json.decode(answer.body, type=ClockReading).wall_ms
            except (NotSent, Unclear, *UNREADABLE):
                continue
            took_ms = clock.boot_ms() - before_ms
            found[url] = (there_ms - (asked_ms + took_ms / 2), took_ms / 2)
        return found, sender.refusing


def dates_ahead(fleet: HeardFleet, members: Iterable[str], asker: Asker) -> dict[str, tuple[float, float]]:
    """The clocks of the machines behind nodes, proxies and members of etcd, by the dates of their answers."""
    found = {}
    for process in fleet.processes:
        if process.heard is not None and process.heard.ahead_ms is not None:
            found[process.url] = (process.heard.ahead_ms, process.heard.slack_ms)
    for url in members:
        try:
            heard = asker.ask(url, "/version")
        except NotHeard:
            continue
        if heard.ahead_ms is not None:
            found[f"etcd {url}"] = (heard.ahead_ms, heard.slack_ms)
    return found
