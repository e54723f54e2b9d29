"""Makes the contexts of the TLS library from files. They say at once what is wrong with a file."""

import ssl
from pathlib import Path
from typing import NamedTuple

from hookline.errors import InvalidConfig
from hookline.tls.files import TlsFiles

_ALPN = ["http/1.1"]


class Loaded(NamedTuple):
    """The contents of the files.

    Attributes:
        server: for a listener; None: it speaks plain HTTP.
        client: for calls to nodes; None: nothing was given for them.
        ends: when the files' certificates end, in seconds since 1970, by what they are for.
    """

    server: ssl.SSLContext | None
    client: ssl.SSLContext | None
    ends: dict[str, float]


def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Trusts the system's authorities, or those of ``SSL_CERT_FILE``, or of ``ca_file`` only. Takes some 20 ms."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(_ALPN)
    return context


def load(files: TlsFiles) -> Loaded:
    """Read all files. Raises InvalidConfig, which names the file."""
    for option, path in files.named().items():
        _check_readable(option, path)
    client_pair = (files.client_cert, files.client_key) if files.client_cert else (files.cert, files.key)
    ends = {}
    if files.cert is not None:
        ends["server"] = min(_ends("--tls-cert", files.cert))
    if files.client_cert is not None:
        ends["client"] = min(_ends("--tls-client-cert", files.client_cert))
    for option, name, ca in (("--tls-ca", "ca", files.ca), ("--tls-client-ca", "client_ca", files.client_ca)):
        if ca is not None:
            ends[name] = max(_ends(option, ca))  # old and new ones stand side by side while they change
    return Loaded(_server_context(files), _client_context(files.ca, *client_pair), ends)


def _server_context(files: TlsFiles) -> ssl.SSLContext | None:
    if files.cert is None or files.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_ALPN)
    _show(context, files.cert, files.key)
    if files.client_ca is not None:
        # A ticket would let in whoever had a valid certificate once.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(files.client_ca)
    return context


def _client_context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if ca is None and cert is None:
        return None
    context = tls_context(ca)
    if cert is not None and key is not None:
        _show(context, cert, key)
    return context


def _show(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    def refuse() -> str:  # else the library asks the terminal
        raise InvalidConfig(f"the key in {key} is encrypted; write it without a password")

    try:
        context.load_cert_chain(cert, key, refuse)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InvalidConfig(f"the key in {key} is not that of the certificate in {cert}") from error
        raise InvalidConfig(f"{cert} and {key} are not a certificate and its key: {error.reason or error}") from error
    except OSError as error:
        raise InvalidConfig(f"{cert} and {key} cannot be read: {error.strerror}") from error


def _check_readable(option: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InvalidConfig(f"{path} cannot be read: {error.strerror}", field=option[2:]) from error


def _ends(option: str, path: Path) -> list[float]:
    """When each certificate in the file ends."""
    from cryptography import x509  # noqa: PLC0415 - takes long, and most processes have no certificates

    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (ValueError, OSError) as error:
        raise InvalidConfig(f"{path} is not a PEM file with a certificate", field=option[2:]) from error
    return [one.not_valid_after_utc.timestamp() for one in found]
