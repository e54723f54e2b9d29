"""Certificates for tests, by the product's own authority: good ones, and such as must be refused."""

from pathlib import Path

from hookline.clock import SystemClock
from hookline.tls.authority import MadeCertificate, issue, make_authority
from hookline.tls.files import TlsFiles


class Authority:
    """An authority, and the certificates that it issued, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.now_s = SystemClock().wall_ms() / 1_000
        self._made = make_authority(f"authority of {folder.name}", self.now_s)
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self._made.cert)

    def make(self, name: str, *hosts: str, days: float = 90) -> MadeCertificate:
        """A certificate for these hosts; for 127.0.0.1 unless there are some."""
        return issue(self._made, name, hosts or ("127.0.0.1", "localhost"), self.now_s, days)

    def pair(self, name: str, *hosts: str, days: float = 90) -> tuple[Path, Path]:
        """The same, as files."""
        made = self.make(name, *hosts, days=days)
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        cert.write_bytes(made.cert)
        key.write_bytes(made.key)
        return cert, key

    def files(self, name: str = "node", *hosts: str, days: float = 90, mutual: bool = False) -> TlsFiles:
        """The files of a process, which trusts this authority; ``mutual``: whoever connects has to be of it, too."""
        cert, key = self.pair(name, *hosts, days=days)
        return TlsFiles(cert=cert, key=key, ca=self.ca, client_ca=self.ca if mutual else None)
