"""Bounds of connections, in time, size and number."""

from dataclasses import dataclass

from hookline.protocol.limits import KIB, REQUEST_SECONDS_MAX


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of one connection, and of all of them together.

    Attributes:
        request_s: to send the whole head; then for each pause in the body, which in all may take six times as long.
            The same for a client that takes its answer.
        head_bytes: request line, headers and trailers; what stands around chunks may be an eighth of the body more.
        discarded_bytes: taken after a request was refused, before the connection is cut. They are not looked at, and
            a client that is cut while it sends sees no answer: twice the largest body.
        unsent_bytes: of answers that clients do not take, over all connections; those who wait longest are cut.
        requests_bytes: of larger bodies, and of heads that come in parts, over all connections, until they are
            answered; those that are on their way for longest are refused.
        idle_s: between two requests.
        connections: open at once.
        handshake_s: for that of TLS.
        handshakes: under way at once; the one that takes longest makes room. At most half of the connections.
    """

    request_s: float = REQUEST_SECONDS_MAX
    head_bytes: int = 64 * KIB
    discarded_bytes: int = 32 * 1024 * KIB
    unsent_bytes: int = 24 * 1024 * KIB
    requests_bytes: int = 24 * 1024 * KIB
    idle_s: int = 75
    connections: int = 10_000
    handshake_s: float = 5.0
    handshakes: int = 1_000

    @property
    def look_s(self) -> float:
        """The shortest time that a connection is waited for."""
        return min(self.request_s, self.idle_s)
