"""How the SDK speaks TLS: it names whose certificates are trusted, and the one that is shown."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from hookline.errors import InvalidConfig

if TYPE_CHECKING:
    import ssl

FilePath: TypeAlias = str | os.PathLike[str]
Verify: TypeAlias = "ssl.SSLContext | str | os.PathLike[str] | bool"
CertPair: TypeAlias = tuple[FilePath, FilePath]

CA_FILE = "HOOKLINE_CA_FILE"
CLIENT_CERT, CLIENT_KEY = "HOOKLINE_CLIENT_CERT", "HOOKLINE_CLIENT_KEY"


@dataclass(frozen=True, slots=True)
class Trust:
    """How the SDK speaks TLS.

    Attributes:
        verify: a file of certificates to trust, or a context; True: those that the system trusts; False: any.
        cert: the files of a certificate and its key, for a service that asks for one.
    """

    verify: Verify = True
    cert: CertPair | None = None

    def context(self) -> "ssl.SSLContext | None":
        """The TLS context of connections; None: the HTTP library's own. Raises InvalidConfig."""
        if self.verify is True and self.cert is None:
            return None
        import ssl  # noqa: PLC0415  # takes long, and http:// has no use for it

        if isinstance(self.verify, ssl.SSLContext):
            return self.verify
        if self.verify is False:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        elif self.verify is True:
            context = ssl.create_default_context()
        else:
            context = _context_of(self.verify)
        if self.cert is not None:
            _show(context, *self.cert)
        return context


SYSTEM = Trust()


def trust_of(verify: Verify, ca_file: FilePath | None, cert: CertPair | None, *, looks_around: bool) -> Trust:
    """As it was given; where that is nothing and it ``looks_around``, as the environment says.

    Raises:
        InvalidConfig: two things are given of which one can hold.
    """
    if ca_file is not None and verify is not True:
        raise InvalidConfig("give either ca_file or verify, not both", field="ca_file")
    if cert is not None and not isinstance(verify, (bool, str, os.PathLike)):
        raise InvalidConfig("verify is your own context; load the certificate into that", field="cert")
    if cert is not None and len(cert) != 2:
        raise InvalidConfig('cert is not a pair of files; give cert=("client.pem", "client-key.pem")', field="cert")
    if looks_around and verify is True:
        ca_file = ca_file or os.environ.get(CA_FILE) or None
        if cert is None and (found := os.environ.get(CLIENT_CERT)):
            cert = (found, os.environ.get(CLIENT_KEY) or found)
    if ca_file is None and cert is None and verify is True:
        return SYSTEM
    return Trust(verify if ca_file is None else ca_file, cert)


def _context_of(verify: FilePath) -> "ssl.SSLContext":
    import ssl  # noqa: PLC0415

    try:
        path = Path(verify)
        return ssl.create_default_context(capath=path) if path.is_dir() else ssl.create_default_context(cafile=path)
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        said = f"{str(verify)!r} is not a file of certificates to trust: {reason}"
        raise InvalidConfig(said, field="verify") from error


def _show(context: "ssl.SSLContext", cert: FilePath, key: FilePath) -> None:
    import ssl  # noqa: PLC0415

    def refuse() -> str:  # else the library asks the terminal
        raise InvalidConfig(f"the key in {os.fspath(key)} is encrypted; write it without a password", field="cert")

    try:
        context.load_cert_chain(cert, key, refuse)
    except ssl.SSLError as error:
        said = f"{os.fspath(cert)} and {os.fspath(key)} are not a certificate and its key: {error.reason or error}"
        raise InvalidConfig(said, field="cert") from error
    except (OSError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidConfig(f"the client certificate {cert}, {key} cannot be read: {reason}", field="cert") from error
