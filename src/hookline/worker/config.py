"""Settings of a worker: parsed once, frozen, checked with messages that name the setting and the fix."""

from dataclasses import dataclass

from hookline.errors import InvalidConfig
from hookline.node.config import DeliveryConfig
from hookline.protocol import limits
from hookline.protocol.limits import check_range
from hookline.tls.files import NO_TLS, TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig(DeliveryConfig):
    """One worker. Rules and secrets are those of its cluster's nodes; times in milliseconds.

    Attributes:
        cluster: urls of nodes, of one cluster; the others are learned from them.
        name: recorded with its attempts; None: made up.
        host, port: where it says whether it works.
        slots: attempts that may run at once.
        tls: its files for TLS.
    """

    cluster: tuple[str, ...]
    name: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    slots: int = 100
    tls: TlsFiles = NO_TLS

    def __post_init__(self) -> None:
        check_range(self, "slots", 1, 10_000)
        check_range(self, "port", 0, 65_535)
        check_range(self, "shutdown_grace_ms", 0, limits.ATTEMPT_MS_MAX)
        if not self.cluster:
            raise InvalidConfig("no node is named; give the url of one or more with --cluster", field="cluster")
        name = self.name
        if name is not None and not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
            raise InvalidConfig(f"name is {name!r}; use letters, digits, - and _", field="name")
        if self.secret_key is None and self.secret_key_file is None:
            raise InvalidConfig(
                "a worker needs the secret key of the cluster's nodes: give it as --secret-key-file or in "
                "HOOKLINE_SECRET_KEY. A node that made one has it in secret.key in its data directory",
                field="secret_key_file",
            )
