"""A small certificate authority: makes its own certificate, issues others, and reads them.

Source of the extensions: RFC 5280; the verification of Python 3.13 is as strict as that.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Final, NamedTuple, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hookline.errors import InvalidConfig

AUTHORITY_DAYS: Final = 3_652
_BACK: Final = timedelta(hours=1)  # clocks differ
_LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_USES: Final = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


class MadeCertificate(NamedTuple):
    """A certificate and its key, in PEM."""

    cert: bytes
    key: bytes


class CertificateFacts(NamedTuple):
    """The words of a certificate.

    Attributes:
        subject, issuer: names.
        hosts: names and addresses that it is for.
        begins, ends: as it holds from and until.
        is_authority: it signs others.
        uses: server, client.
        fingerprint: SHA-256 of it, in hex.
    """

    subject: str
    issuer: str
    hosts: list[str]
    begins: datetime
    ends: datetime
    is_authority: bool
    uses: list[str]
    fingerprint: str


def make_authority(name: str, now_s: float, days: float = AUTHORITY_DAYS) -> MadeCertificate:
    """An authority that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _builder(_named(name), _named(name), key.public_key(), now_s, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_others=True), critical=True)
        .add_extension(own, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), critical=False)
    )
    return _made(builder.sign(key, hashes.SHA256()), key)


def issue(authority: MadeCertificate, name: str, hosts: Sequence[str], now_s: float, days: float) -> MadeCertificate:
    """A certificate of ``authority`` for a server and a client.

    Args:
        authority: signs it.
        name: whose it is.
        hosts: names and addresses at which it is called; none: it can only be shown by a client.
        now_s: the time.
        days: how long it holds.

    Raises:
        InvalidConfig: a host cannot be one, or the authority's files cannot be used, or it ends before.
    """
    issuer, issuer_key = _loaded(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    if (end := _time(now_s) + timedelta(days=days)) > issuer.not_valid_after_utc:
        raise InvalidConfig(
            f"the authority ends on {issuer.not_valid_after_utc:%Y-%m-%d}, before {end:%Y-%m-%d}; ask for fewer days, "
            "or make a new one",
            field="days",
        )
    builder = (
        _builder(_named(name), issuer.subject, key.public_key(), now_s, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_others=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_USES), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(cast("ec.EllipticCurvePublicKey", issuer.public_key())),
            critical=False,
        )
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return _made(builder.sign(issuer_key, hashes.SHA256()), key)


def read(pem: bytes) -> list[CertificateFacts]:
    """All certificates in a file. Raises ValueError."""
    return [_facts(one) for one in x509.load_pem_x509_certificates(pem)]


def _facts(found: x509.Certificate) -> CertificateFacts:
    hosts: list[str] = []
    uses: list[str] = []
    is_authority = False
    for extension in found.extensions:
        match extension.value:
            case x509.SubjectAlternativeName() as names:
                hosts = [*names.get_values_for_type(x509.DNSName)]
                hosts += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
            case x509.ExtendedKeyUsage() as usage:
                told = {ExtendedKeyUsageOID.SERVER_AUTH: "server", ExtendedKeyUsageOID.CLIENT_AUTH: "client"}
                uses = [told.get(use, use.dotted_string) for use in usage]
            case x509.BasicConstraints() as constraints:
                is_authority = constraints.ca
    return CertificateFacts(
        found.subject.rfc4514_string(),
        found.issuer.rfc4514_string(),
        hosts,
        found.not_valid_before_utc,
        found.not_valid_after_utc,
        is_authority,
        uses,
        found.fingerprint(hashes.SHA256()).hex(),
    )


def _loaded(authority: MadeCertificate) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        cert = x509.load_pem_x509_certificate(authority.cert)
        key = load_pem_private_key(authority.key, None)
    except (ValueError, TypeError) as error:
        raise InvalidConfig(f"the authority's files are not a certificate and its key: {error}", field="ca") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != cert.public_key():
        raise InvalidConfig("the authority's key is not that of its certificate", field="ca")
    try:
        cert.verify_directly_issued_by(cert)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise InvalidConfig(
            "the authority has not signed itself; hookline certs init made no such", field="ca"
        ) from error
    return cert, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now_s: float, days: float
) -> x509.CertificateBuilder:
    now = _time(now_s)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + timedelta(days=days)) - _BACK)
        .not_valid_after(now + timedelta(days=days))
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, signs_others: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_others,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_others,
        crl_sign=signs_others,
        encipher_only=False,
        decipher_only=False,
    )


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        if not _HOST.fullmatch(text) or len(text) > 253:
            raise InvalidConfig(
                f"{text!r} is not a host; use a name such as n1.internal, or an address, without a port", field="host"
            ) from None
        return x509.DNSName(text.lower())


def _made(cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> MadeCertificate:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return MadeCertificate(cert.public_bytes(Encoding.PEM), private)


def _time(now_s: float) -> datetime:
    return datetime.fromtimestamp(int(now_s), UTC)
