"""Settings of a proxy: parsed once, frozen, checked with messages that name the setting and the fix."""

from dataclasses import dataclass, field
from pathlib import Path

from hookline.errors import InvalidConfig
from hookline.http_api.access import check_access
from hookline.protocol.limits import check_range
from hookline.protocol.topology import Topology, parse_topology_file
from hookline.tls.files import NO_TLS, TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """One proxy. Times in milliseconds.

    Attributes:
        allow_hosts: names that a proxy at a loopback address answers to.
        topology: the file it starts with; without one it asks ``seeds``, urls of nodes or proxies.
        request_timeout_ms: how long a request may take in all.
        try_timeout_ms: how long one try of a repeatable call may take. Longer than a node waits for an election.
        tries_max: the retry budget of one request, over all nodes and clusters.
        probe_interval_ms: how often the proxy asks each node for its health; ``probe_timeout_ms`` bounds the answer.
        list_timeout_ms: how long a call that goes to all clusters waits for one that stays silent.
        requests_max: requests under way at once; more are refused.
        shutdown_grace_ms: for requests under way when the proxy stops.
        root_key: that of the nodes; None: nobody is asked for a key.
        former_root_key: the one before it, which does as well while it is replaced.
        no_auth: that is so wherever it listens.
        tls: its files for TLS.
    """

    host: str = "127.0.0.1"
    port: int = 7000
    allow_hosts: tuple[str, ...] = ()
    topology: Path | None = None
    seeds: tuple[str, ...] = ()
    request_timeout_ms: int = 10_000
    try_timeout_ms: int = 4_000
    tries_max: int = 10
    probe_interval_ms: int = 1_000
    probe_timeout_ms: int = 1_000
    list_timeout_ms: int = 2_000
    requests_max: int = 1_000
    shutdown_grace_ms: int = 10_000
    root_key: str | None = field(default=None, repr=False)
    former_root_key: str | None = field(default=None, repr=False)
    no_auth: bool = False
    tls: TlsFiles = NO_TLS

    def __post_init__(self) -> None:
        check_range(self, "port", 0, 65_535)
        check_range(self, "request_timeout_ms", 100, 300_000)
        check_range(self, "try_timeout_ms", 50, 300_000)
        check_range(self, "tries_max", 1, 100)
        check_range(self, "probe_interval_ms", 50, 60_000)
        check_range(self, "probe_timeout_ms", 50, 60_000)
        check_range(self, "list_timeout_ms", 50, 300_000)
        check_range(self, "requests_max", 1, 100_000)
        check_range(self, "shutdown_grace_ms", 0, 300_000)
        check_access(self.host, self.root_key, self.former_root_key, no_auth=self.no_auth)
        if (self.topology is None) == (not self.seeds):
            raise InvalidConfig("give either --topology FILE or --seed URL", field="topology")

    @property
    def root_keys(self) -> tuple[str, ...]:
        """Those that do, the newest first; empty: nobody is asked for a key."""
        return tuple(key for key in (self.root_key, self.former_root_key) if key is not None)


def read_topology_file(file: Path) -> Topology:
    """The topology that a proxy starts with. Raises InvalidConfig and InvalidTopology."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidConfig(f"the topology file {file} cannot be read: {reason}", field="topology") from error
    return parse_topology_file(text)
