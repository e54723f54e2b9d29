"""How requests to a destination are let in, as options: an ``Authorization``, and TLS of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import Parameter

from hookline.cli import inputs
from hookline.cli.output import usage_error
from hookline.cli.parameters import AnyText, NamedPath


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class AccessOptions:
    """Access to a destination.

    Attributes:
        auth: The Authorization that requests carry, in JSON: the text itself, @FILE, or - for stdin. {"type": "bearer",
            "token": …}, {"type": "basic", "username": …, "password": …}, or {"type": "oauth2", "token_url": …,
            "client_id": …, "client_secret": …, "scope": …}.
        tls_ca: A file with the authorities to trust there, in PEM, in the place of the system's.
        tls_cert: A file with the certificate to show there, in PEM.
        tls_key: A file with its key.
    """

    auth: AnyText | None = None
    tls_ca: NamedPath | None = None
    tls_cert: NamedPath | None = None
    tls_key: NamedPath | None = None

    def fields(self) -> dict[str, Any]:
        """The fields of the request that were given."""
        found: dict[str, Any] = {} if self.auth is None else {"auth": inputs.json_payload(self.auth)}
        files = {"ca": self.tls_ca, "certificate": self.tls_cert, "key": self.tls_key}
        if pems := {name: _pem(file) for name, file in files.items() if file is not None}:
            found["tls"] = pems
        return found


NO_ACCESS_OPTIONS = AccessOptions()


def _pem(file: Path) -> str:
    try:
        return file.read_text("ascii")
    except OSError as error:
        raise usage_error(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise usage_error(f"{file} is not PEM, which is text.") from error
