"""The PEM files of a process: what it shows, and whom it trusts."""

from dataclasses import dataclass, fields
from pathlib import Path

from hookline.errors import InvalidConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Files for TLS; without any, a process speaks plain HTTP, and trusts the system's authorities as a client.

    Attributes:
        cert, key: the pair that it shows where it listens, and as a client unless it has another for that.
        client_ca: whoever connects has to show a certificate of these authorities.
        ca: of these authorities have to be the nodes that it calls.
        client_cert, client_key: the pair that it shows to nodes that ask for one.
    """

    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    ca: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise InvalidConfig("--tls-cert and --tls-key belong together; give both", field="tls_cert")
        if (self.client_cert is None) != (self.client_key is None):
            raise InvalidConfig(
                "--tls-client-cert and --tls-client-key belong together; give both", field="tls_client_cert"
            )
        if self.client_ca is not None and self.cert is None:
            raise InvalidConfig("--tls-client-ca has no use without --tls-cert and --tls-key", field="tls_client_ca")

    @property
    def is_server(self) -> bool:
        """It speaks TLS where it listens."""
        return self.cert is not None

    @property
    def scheme(self) -> str:
        """That of its own urls."""
        return "https" if self.is_server else "http"

    def named(self) -> dict[str, Path]:
        """All files by the option that names them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {f"--tls-{name.replace('_', '-')}": path for name, path in values.items() if path is not None}

    def environment(self) -> dict[str, str]:
        """The variables by which another process of Hookline takes the same files."""
        return {
            f"HOOKLINE_{option[2:].upper().replace('-', '_')}": str(path.absolute())
            for option, path in self.named().items()
        }


NO_TLS = TlsFiles()
