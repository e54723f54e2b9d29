"""``hookline certs …``: a small certificate authority, for those who have none."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from hookline.cli.output import print_json, show_whole, stdout
from hookline.cli.parameters import File, Flag, NamedPath, Texts
from hookline.cli.sheet import Facts, facts
from hookline.clock import SystemClock
from hookline.errors import InvalidConfig

if TYPE_CHECKING:
    from hookline.tls.authority import CertificateFacts, MadeCertificate

CA, CA_KEY = "ca.pem", "ca-key.pem"
DAYS_MAX = 825  # what browsers and systems take of a private authority
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

app = App(name="certs", help="Make the certificates of nodes, proxies and clients, for those who have no authority.")


@app.command
def init(directory: File, /, *, json: Flag = False) -> None:
    """Make an authority: ca.pem, which all may have, and ca-key.pem, with which certificates are issued.

    It holds for ten years. Keep the key where no service runs.

    For example: hookline certs init ca

    Args:
        directory: Where to; it is made when missing.
        json: Print exactly one JSON document on stdout.
    """
    from hookline.cli.new_files import write_new
    from hookline.tls.authority import make_authority

    clock = SystemClock()
    made = make_authority(f"Hookline authority {clock.token(4).hex()}", clock.wall_ms() / 1_000)
    cert, key = directory / CA, directory / CA_KEY
    write_new({key: made.key, cert: made.cert})
    _tell({"certificate": cert, "key": key}, as_json=json)


@app.command
def issue(*, ca: NamedPath, name: str, host: Texts = None, days: int = 90, out: NamedPath, json: Flag = False) -> None:
    """Issue a certificate, to be shown by a server and by a client: NAME.pem and NAME-key.pem, and ca.pem beside them.

    Without --host it is for a client only. To renew one, issue it into a new directory and move both files over the
    old ones; what runs reads them again.

    For example: hookline certs issue --ca ca --name n1 --host 10.0.0.1 --host n1.internal --out n1

    Args:
        ca: The directory of the authority.
        name: Whose it is; names the files.
        host: A name or an address at which others call it; may be given again.
        days: How long it holds.
        out: Where to; it is made when missing.
        json: Print exactly one JSON document on stdout.
    """
    from hookline.cli.new_files import write_new
    from hookline.tls.authority import issue as issued

    if not _NAME.fullmatch(name):
        raise InvalidConfig(f"--name is {name!r}; use up to 63 letters, digits, . - and _", field="name")
    if not 1 <= days <= DAYS_MAX:
        raise InvalidConfig(f"--days is {days}; use 1 to {DAYS_MAX}", field="days")
    authority = read_authority(ca)
    made = issued(authority, name, host or [], SystemClock().wall_ms() / 1_000, days)
    cert, key, beside = out / f"{name}.pem", out / f"{name}-key.pem", out / CA
    files = {key: made.key, cert: made.cert}
    if not beside.exists():
        files[beside] = authority.cert
    elif beside.read_bytes() != authority.cert:
        raise InvalidConfig(f"{beside} is that of another authority; choose another directory", field="out")
    write_new(files)
    _tell({"certificate": cert, "key": key, "authority": beside}, as_json=json)


@app.command
def show(file: File, /, *, json: Flag = False) -> None:
    """Show what the certificates in a file are for, and when they end.

    Args:
        file: A PEM file, as of --tls-cert.
        json: Print exactly one JSON document on stdout.
    """
    from hookline.cli.inputs import read_file
    from hookline.tls.authority import read

    try:
        found = read(read_file(str(file)))
    except ValueError as error:
        raise InvalidConfig(f"{file} is not a PEM file with a certificate", field="file") from error
    if json:
        print_json([_shown(one) for one in found])
        return
    for one in found:
        show_whole(_sheet(one))


def read_authority(directory: Path) -> "MadeCertificate":
    """The authority that ``init`` made there. Raises InvalidConfig."""
    from hookline.tls.authority import MadeCertificate

    try:
        return MadeCertificate((directory / CA).read_bytes(), (directory / CA_KEY).read_bytes())
    except OSError as error:
        raise InvalidConfig(
            f"there is no authority in {directory}: {error.filename}: {error.strerror}; hookline certs init makes one",
            field="ca",
        ) from error


def _tell(made: dict[str, Path], *, as_json: bool) -> None:
    if as_json:
        print_json({name: str(path) for name, path in made.items()})
    else:
        stdout().print(facts(made.items()), soft_wrap=True)


def _shown(found: "CertificateFacts") -> dict[str, object]:
    begins, ends = (time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in (found.begins, found.ends))
    return found._asdict() | {"begins": begins, "ends": ends, "days_left": _days_left(found)}


def _sheet(found: "CertificateFacts") -> Facts:
    left = _days_left(found)
    return facts(
        (
            ("for", found.subject.removeprefix("CN=")),
            ("of", found.issuer.removeprefix("CN=")),
            ("hosts", ", ".join(found.hosts) or "-"),
            ("use", "authority" if found.is_authority else ", ".join(found.uses) or "any"),
            ("begins", f"{found.begins:%Y-%m-%d %H:%M} UTC"),
            ("ends", f"{found.ends:%Y-%m-%d %H:%M} UTC, {f'in {left} days' if left >= 0 else 'it is over'}"),
            ("SHA-256", found.fingerprint),
        )
    )


def _days_left(found: "CertificateFacts") -> int:
    return int((found.ends.timestamp() - SystemClock().wall_ms() / 1_000) // 86_400)
