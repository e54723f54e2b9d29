"""Makes the authority and the certificate of a Hookline on this machine, when somebody wants TLS and has none."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hookline.cli.new_files import write_new
from hookline.cli.output import stderr
from hookline.clock import SystemClock
from hookline.errors import InvalidConfig
from hookline.tls.files import TlsFiles

if TYPE_CHECKING:
    from hookline.tls.authority import CertificateFacts

FOLDER: Final = "tls"
_DAYS: Final = 825
_RENEW_S: Final = 30 * 86_400


def with_own_certificate(files: TlsFiles, data_dir: Path, host: str) -> TlsFiles:
    """The files with a certificate for this machine; it is made when it is missing, or ends soon.

    Args:
        files: as they were given; they must not have a certificate.
        data_dir: the certificate is in a folder of it.
        host: where the parts listen.

    Raises:
        InvalidConfig: there is a certificate, or one cannot be made.
    """
    from hookline.tls.authority import MadeCertificate, issue, make_authority, read

    if files.cert is not None or files.ca is not None:
        raise InvalidConfig("give either --tls, or --tls-cert, --tls-key and --tls-ca", field="tls")
    folder = (data_dir / FOLDER).absolute()
    ca, ca_key = folder / "ca.pem", folder / "ca-key.pem"
    cert, key = folder / "server.pem", folder / "server-key.pem"
    clock = SystemClock()
    now_s = clock.wall_ms() / 1_000
    if not ca.exists():
        made = make_authority(f"Hookline authority {clock.token(4).hex()}", now_s)
        write_new({ca_key: made.key, ca: made.cert})
    hosts = sorted({"localhost", "127.0.0.1", "::1"} | _more(host))
    if cert.exists() and not _is_fit(read(cert.read_bytes())[0], hosts, now_s):
        cert.unlink()
        key.unlink(missing_ok=True)
    if not cert.exists():
        key.unlink(missing_ok=True)  # left by a start that was broken off
        made = issue(MadeCertificate(ca.read_bytes(), ca_key.read_bytes()), "hookline", hosts, now_s, _DAYS)
        write_new({key: made.key, cert: made.cert})
    stderr().print(f"authority: export HOOKLINE_CA_FILE={ca}", style="dim", soft_wrap=True)
    return replace(files, cert=cert, key=key, ca=ca)


def _more(host: str) -> set[str]:
    try:
        return set() if ip_address(host).is_unspecified else {host}
    except ValueError:
        return {host}


def _is_fit(found: "CertificateFacts", hosts: list[str], now_s: float) -> bool:
    return set(hosts) <= set(found.hosts) and found.ends.timestamp() - now_s > _RENEW_S
