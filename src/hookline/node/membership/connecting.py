"""Connects a node with etcd, by the certificates that are in its files at the time."""

from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

from hookline.http_client.caller import Caller
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.kernel import kernel_agrees
from hookline.node.clocks.others import Others
from hookline.node.config import NodeConfig
from hookline.node.etcd.blocking import BlockingTxn
from hookline.node.etcd.client import EtcdClient
from hookline.node.leadership.renewal import renewing_thread
from hookline.node.leadership.watch import LeaderWatch
from hookline.node.membership.etcd import EtcdParts
from hookline.node.membership.home import home_of
from hookline.node.membership.joining import address_of
from hookline.peers.sender import Sender
from hookline.tls.files import NO_TLS, TlsFiles
from hookline.tls.live import LiveTls, kept_fresh

START_BYTES: Final = 8


async def connected(
    config: NodeConfig,
    clock: GuardedClock,
    sender: Sender,
    may_lead: Callable[[float], bool],
    stack: AsyncExitStack,
) -> tuple[EtcdParts, LiveTls]:
    """Connected with etcd and the other nodes for as long as ``stack`` is; and the certificates for etcd.

    Raises InvalidConfig when a file for TLS cannot be used.
    """
    address = address_of(config)
    client = EtcdClient(address)
    stack.push_async_callback(client.close)
    blocking = BlockingTxn(address)
    stack.callback(blocking.close)

    def renew() -> None:
        with suppress(OSError):  # a file is gone again: the next look says so
            client.renew()
            blocking.renew()

    files = NO_TLS
    if address.is_secure:
        files = TlsFiles(ca=address.ca_file, client_cert=address.cert_file, client_key=address.key_file)
    tls = await stack.enter_async_context(kept_fresh(LiveTls(files, clock, peer="etcd", changed=renew)))
    members = Caller(tls=tls.client_context)
    stack.push_async_callback(members.close)
    parts = EtcdParts(
        client=client,
        sender=sender,
        renewing=partial(renewing_thread, blocking),
        watch=LeaderWatch,
        ask_clocks=lambda nodes: Others(nodes, sender, address.endpoints, members, clock.boot_ms).ask,
        kernel_agrees=kernel_agrees,
        home=home_of(config.data_dir, clock),
        start=clock.token(START_BYTES).hex(),
        may_lead=may_lead,
    )
    return parts, tls
