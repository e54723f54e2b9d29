"""Options and environment variables of a process for TLS."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from hookline.cli.parameters import NamedPath

if TYPE_CHECKING:
    from hookline.tls.files import TlsFiles


def _env(name: str) -> Parameter:
    return Parameter(env_var=f"HOOKLINE_TLS_{name}")


@Parameter(name="*", group=Group("TLS"))
@dataclass(frozen=True, kw_only=True)
class TlsOptions:
    """PEM files for TLS, which are read again when they change; hookline certs makes some.

    Attributes:
        tls_cert: The certificate to show where it listens, with those between it and its authority; needs --tls-key.
        tls_key: Its key.
        tls_client_ca: Authorities: whoever connects has to show a certificate of one of them.
        tls_ca: Authorities of the nodes it calls, instead of those that the system trusts.
        tls_client_cert: The certificate to show to nodes, if it is not to be --tls-cert; needs --tls-client-key.
        tls_client_key: Its key.
    """

    tls_cert: Annotated[NamedPath | None, _env("CERT")] = None
    tls_key: Annotated[NamedPath | None, _env("KEY")] = None
    tls_client_ca: Annotated[NamedPath | None, _env("CLIENT_CA")] = None
    tls_ca: Annotated[NamedPath | None, _env("CA")] = None
    tls_client_cert: Annotated[NamedPath | None, _env("CLIENT_CERT")] = None
    tls_client_key: Annotated[NamedPath | None, _env("CLIENT_KEY")] = None

    def files(self) -> "TlsFiles":
        """The files. Raises InvalidConfig."""
        from hookline.tls.files import TlsFiles

        return TlsFiles(**{field.name.removeprefix("tls_"): getattr(self, field.name) for field in fields(self)})


DEFAULT_TLS_OPTIONS = TlsOptions()
