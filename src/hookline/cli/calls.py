"""Calls of the commands to a service: the SDK's calls, with answers as they travel, to be printed as they came."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hookline.client.blocking_transport import BlockingTransport
from hookline.client.carriers import Carrier
from hookline.client.connections import Connecting
from hookline.client.retrying import RETRIES, Retrying
from hookline.client.transport import service_url, with_key, with_tenant
from hookline.client.trust import trust_of
from hookline.clock import SystemClock

if TYPE_CHECKING:
    import httpx2


class Calls(BlockingTransport):
    """Sends what ``client.requests`` makes. ``clock`` is where its ids and keys come from."""

    def __init__(
        self,
        url: str,
        timeout_s: float,
        key: str | None = None,
        tenant: str | None = None,
        *,
        ca_file: Path | None = None,
        cert: tuple[Path, Path] | None = None,
    ) -> None:
        self.clock = SystemClock()
        url = service_url(url)
        connecting: Connecting[httpx2.Client] = Connecting(
            url=url,
            headers=with_tenant(with_key(None, key, url), tenant),
            trust=trust_of(True, ca_file, cert, looks_around=url.startswith("https:")),
        )
        super().__init__(connecting, Retrying(RETRIES, timeout_s, self.clock), time.sleep, _carrier)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _carrier(connecting: "Connecting[httpx2.Client]") -> Carrier:
    """Through the HTTP library if there is TLS; else without it, since importing it takes longer than a command."""
    if connecting.url.startswith("https:"):
        from hookline.client.pooled_connections import PooledConnections

        return PooledConnections(connecting)
    from hookline.client.plain_connections import PlainConnections

    return PlainConnections(connecting)
