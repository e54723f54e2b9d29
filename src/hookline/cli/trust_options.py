"""Options of a command that calls Hookline over TLS: whom it trusts, and which certificate it shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hookline.cli.parameters import NamedPath
from hookline.errors import InvalidConfig

if TYPE_CHECKING:
    from hookline.tls.live import LiveTls


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrustOptions:
    """PEM files for https addresses.

    Attributes:
        ca_file: Authorities that may have signed its certificate, instead of those that the system trusts.
        client_cert: A certificate to show, if it asks for one.
        client_key: The key of that certificate.
    """

    ca_file: Annotated[NamedPath | None, Parameter(env_var="HOOKLINE_CA_FILE")] = None
    client_cert: Annotated[NamedPath | None, Parameter(env_var="HOOKLINE_CLIENT_CERT")] = None
    client_key: Annotated[NamedPath | None, Parameter(env_var="HOOKLINE_CLIENT_KEY")] = None

    def pair(self) -> tuple[Path, Path] | None:
        """The certificate and its key. Raises InvalidConfig when only one is named."""
        if (self.client_cert is None) != (self.client_key is None):
            raise InvalidConfig("--client-cert and --client-key belong together; give both", field="client_cert")
        return None if self.client_cert is None or self.client_key is None else (self.client_cert, self.client_key)

    def tls(self) -> "LiveTls":
        """For a call between nodes. Raises InvalidConfig."""
        return tls_of(self.ca_file, self.pair())


def tls_of(ca_file: Path | None, pair: tuple[Path, Path] | None) -> "LiveTls":
    """That of a command which trusts these authorities and shows this certificate. Raises InvalidConfig."""
    from hookline.clock import SystemClock
    from hookline.tls.files import TlsFiles
    from hookline.tls.live import LiveTls

    cert, key = pair or (None, None)
    return LiveTls(TlsFiles(ca=ca_file, client_cert=cert, client_key=key), SystemClock())


DEFAULT_TRUST = TrustOptions()
