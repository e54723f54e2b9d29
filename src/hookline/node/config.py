"""Settings of a node: parsed once, frozen, checked with messages that name the setting and the fix."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from hookline.errors import InvalidConfig
from hookline.http_api.access import check_access
from hookline.http_client.tunnel import TunnelProxy
from hookline.protocol import limits
from hookline.protocol.destination_patterns import NO_PATTERNS, Patterns
from hookline.protocol.destination_rules import DEFAULT_PORTS, Rules
from hookline.protocol.limits import check_range
from hookline.protocol.modes import Mode
from hookline.tls.files import NO_TLS, TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryConfig:
    """The part of a node and of a worker that makes attempts: which destinations it may call, and by which secrets."""

    allow_private_destinations: bool = False
    allow_destinations: Patterns = NO_PATTERNS
    deny_destinations: Patterns = NO_PATTERNS
    destination_ports: frozenset[int] = DEFAULT_PORTS
    egress_proxy: TunnelProxy | None = field(default=None, repr=False)
    signing_secret: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    secret_key_file: Path | None = None
    allow_hosts: tuple[str, ...] = ()  # names that it answers to at a loopback address
    shutdown_grace_ms: int = 10_000

    @property
    def rules(self) -> Rules:
        """The rules that say which destinations jobs may have."""
        is_open = self.allow_private_destinations
        return Rules(self.allow_destinations, self.deny_destinations, self.destination_ports, is_open)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig(DeliveryConfig):
    """One node. Sizes in bytes, times in milliseconds."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 7070
    cluster: str = "c0"
    shard: int = 0
    node: str = "n1"

    # A cluster of several nodes.
    etcd: tuple[str, ...] = ()
    etcd_ca: Path | None = None
    etcd_cert: Path | None = None
    etcd_key: Path | None = None
    etcd_user: str | None = None
    etcd_password: str | None = field(default=None, repr=False)
    etcd_quota_bytes: int = 2 * 1024**3
    advertise: str | None = None
    internal_host: str | None = None  # None: calls between processes come to the same address as all others
    internal_port: int = 0
    new_cluster: bool = False
    api_processes: int = 0  # 0: the node's own process takes connections
    tls: TlsFiles = NO_TLS

    # Who may call.
    root_key: str | None = field(default=None, repr=False)  # None: nobody is asked for a key
    former_root_key: str | None = field(default=None, repr=False)  # while it is replaced it does, too
    no_auth: bool = False

    # Delivery.
    mode: Mode | None = None  # of a cluster of one node, from its start on; None: as it was
    slots: int = 100
    attempt_processes: int = 0  # 0: attempts are made in the node's own process
    allow_missing_secret_key: bool = False
    encrypt_payloads: bool = False
    attempt_max_ms: int = 3_600_000

    # Limits.
    pending_jobs_max: int = 10_000_000
    pending_bytes_max: int = 10 * 1024**3
    payload_bytes_max: int = limits.PAYLOAD_BYTES_MAX
    batch_jobs_max: int = limits.BATCH_JOBS_MAX

    # Idempotency and retention.
    key_window_ms: int = 24 * 3_600_000
    retention_ms: int = 7 * 24 * 3_600_000
    retention_dead_ms: int = 30 * 24 * 3_600_000
    retention_jobs: int = 10_000_000
    audit_retention_ms: int = 90 * 24 * 3_600_000
    audit_rows: int = 100_000

    def __post_init__(self) -> None:
        check_range(self, "slots", 1, 10_000)
        check_range(self, "attempt_processes", 0, min(64, self.slots))
        check_range(self, "api_processes", 0, 64)
        check_range(self, "port", 0, 65_535)
        check_range(self, "internal_port", 0, 65_535)
        check_range(self, "shard", 0, 999_999_999)
        check_range(self, "pending_jobs_max", 1, 10**9)
        check_range(self, "pending_bytes_max", 1, 10**13)
        check_range(self, "payload_bytes_max", 1, limits.PAYLOAD_BYTES_MAX)
        check_range(self, "batch_jobs_max", 1, limits.BATCH_JOBS_MAX)
        check_range(self, "key_window_ms", 0, 30 * 86_400_000)
        check_range(self, "retention_ms", 1_000, 3_650 * 86_400_000)
        check_range(self, "retention_dead_ms", 1_000, 3_650 * 86_400_000)
        check_range(self, "retention_jobs", 0, 10**9)
        check_range(self, "audit_retention_ms", 1_000, 3_650 * 86_400_000)
        check_range(self, "audit_rows", 1, 10**7)
        check_range(self, "attempt_max_ms", limits.TIMEOUT_MS_MIN, limits.ATTEMPT_MS_MAX)
        check_range(self, "shutdown_grace_ms", 0, limits.ATTEMPT_MS_MAX)
        for host, _ in self.places:
            check_access(host, self.root_key, self.former_root_key, no_auth=self.no_auth)
        for name in ("cluster", "node"):
            value = getattr(self, name)
            if not value or not value.replace("-", "").replace("_", "").isalnum() or not value.isascii():
                raise InvalidConfig(f"{name} is {value!r}; use letters, digits, - and _", field=name)

    def without_root_key(self) -> "NodeConfig":
        """For a process of the node that has no use for it; it still sees whether there is one."""
        return self if self.root_key is None else replace(self, root_key="-" * 16, former_root_key=None)

    @property
    def root_keys(self) -> tuple[str, ...]:
        """Those that do, the newest first; empty: nobody is asked for a key."""
        return tuple(key for key in (self.root_key, self.former_root_key) if key is not None)

    @property
    def job_bytes_max(self) -> int:
        """The largest body of one job: its payload, which may be written in base64, and everything else."""
        return self.payload_bytes_max * 4 // 3 + limits.ENVELOPE_BYTES_MAX

    @property
    def url(self) -> str:
        """The url of this node, for clients."""
        return self._url_at(self.host, self.port)

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        """Host and port where it listens: for clients, and for our processes if that is another one."""
        public = (self.host, self.port)
        return (public,) if self.internal_host is None else (public, (self.internal_host, self.internal_port))

    @property
    def advertised_url(self) -> str:
        """The url at which nodes, proxies and workers reach this one."""
        inner = None if self.internal_host is None else self._url_at(self.internal_host, self.internal_port)
        return self.advertise or inner or self.url

    def _url_at(self, host: str, port: int) -> str:
        return f"{self.tls.scheme}://[{host}]:{port}" if ":" in host else f"{self.tls.scheme}://{host}:{port}"
