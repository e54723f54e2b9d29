"""Makes TLS contexts of texts in PEM: an authority of one's own, and a certificate to show."""

import os
import ssl
import tempfile
from typing import Literal

from hookline.errors import HooklineError

PemPart = Literal["ca", "certificate"]


class UnusablePem(HooklineError):
    """OpenSSL cannot use a part of it; ``part`` names it, and the text says why."""

    code = "unusable_pem"

    def __init__(self, part: PemPart, why: str) -> None:
        super().__init__(why)
        self.part: PemPart = part


def own_context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """A context for a client.

    Args:
        ca: the authorities to trust in the place of the system's; None: the system's.
        certificate: to show, with the chain below it; None: none is shown.
        key: of the certificate.

    Raises:
        UnusablePem: a text is not what it should be.
    """
    try:
        context = ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, ValueError) as error:
        raise UnusablePem("ca", f"it holds no certificate in PEM: {_why(error)}") from None
    context.set_alpn_protocols(["http/1.1"])
    if certificate is not None:
        try:
            _load(context, f"{certificate.rstrip()}\n{key or ''}".encode())
        except (ssl.SSLError, ValueError) as error:
            raise UnusablePem("certificate", f"the certificate and its key are not a pair: {_why(error)}") from None
    return context


def _why(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).lower()


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """OpenSSL reads a pair from a file only; this one is in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("hookline", os.MFD_CLOEXEC), "wb") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password=_no_password)
        return
    with tempfile.NamedTemporaryFile() as named:
        named.write(pem)
        named.flush()
        context.load_cert_chain(named.name, password=_no_password)


def _no_password() -> str:
    """Without it OpenSSL would ask at the terminal for the password of an encrypted key."""
    raise ValueError("the key is encrypted; give it without a password")
