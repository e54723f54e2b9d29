"""The small authority: what it issues holds where TLS is as strict as it gets, and is read back as it was asked for."""

import ssl
from pathlib import Path

import pytest

from hookline.clock import SystemClock
from hookline.errors import InvalidConfig
from hookline.tls.authority import MadeCertificate, issue, make_authority, read

NOW_S = 1_790_000_000.0
DAY_S = 86_400


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Raises ssl.SSLError when one does not take the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname=name)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.fixture
def authority() -> MadeCertificate:
    return make_authority("ours", NOW_S)


def contexts(folder: Path, authority: MadeCertificate, made: MadeCertificate) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server and a client that show the certificate and trust its authority, by RFC 5280 to the letter."""
    ca, pair = folder / "ca.pem", folder / "pair.pem"
    ca.write_bytes(authority.cert)
    pair.write_bytes(made.cert + made.key)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.verify_mode = ssl.CERT_REQUIRED
    for context in (server, client):
        context.load_cert_chain(pair)
        context.load_verify_locations(ca)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    return server, client


@pytest.mark.parametrize("host", ["n1.internal", "10.0.0.1", "::1", "a.wild.example"])
def test_a_certificate_holds_for_each_of_its_hosts_at_both_sides(tmp_path: Path, host: str) -> None:
    now_s = _now_s()
    ours = make_authority("ours", now_s)
    made = issue(ours, "n1", ["n1.internal", "10.0.0.1", "[::1]", "*.wild.example"], now_s, 90)
    server, client = contexts(tmp_path, ours, made)
    handshake(server, client, host)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(server, client, "elsewhere.example")


def test_what_another_authority_of_the_same_name_has_signed_is_not_taken(tmp_path: Path) -> None:
    now_s = _now_s()
    ours, other = make_authority("ours", now_s), make_authority("ours", now_s)
    server, client = contexts(tmp_path, ours, issue(other, "n1", ["n1"], now_s, 90))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client, "n1")


def test_a_certificate_signs_no_other(tmp_path: Path) -> None:
    now_s = _now_s()
    ours = make_authority("ours", now_s)
    made = issue(ours, "n1", ["n1"], now_s, 90)
    with pytest.raises(InvalidConfig, match="has not signed itself"):
        issue(made, "n2", ["n2"], now_s, 1)


def test_it_is_read_back_as_it_was_asked_for(authority: MadeCertificate) -> None:
    made = issue(authority, "n1", ["N1.Internal", "10.0.0.1"], NOW_S, 90)
    (found,) = read(made.cert)
    assert (found.subject, found.issuer) == ("CN=n1", "CN=ours")
    assert found.hosts == ["n1.internal", "10.0.0.1"]
    assert (found.ends.timestamp(), found.begins.timestamp()) == (NOW_S + 90 * DAY_S, NOW_S - 3_600)
    assert (found.is_authority, found.uses) == (False, ["server", "client"])
    (own,) = read(authority.cert)
    assert own.is_authority
    assert own.ends.timestamp() - NOW_S == 3_652 * DAY_S, "ten years"
    assert read(made.cert + authority.cert) == [found, own]


@pytest.mark.parametrize("host", ["n1:7070", "http://n1", "", "-n1", "n1..internal", "a" * 254, "*", "é.example"])
def test_what_is_no_host_is_refused(authority: MadeCertificate, host: str) -> None:
    with pytest.raises(InvalidConfig, match="is not a host") as caught:
        issue(authority, "n1", [host], NOW_S, 90)
    assert caught.value.field == "host"


def test_a_certificate_does_not_outlive_its_authority(authority: MadeCertificate) -> None:
    with pytest.raises(InvalidConfig, match="the authority ends on"):
        issue(authority, "n1", [], NOW_S + 3_600 * DAY_S, 90)


def test_files_that_are_no_authority_are_refused(authority: MadeCertificate) -> None:
    other = make_authority("other", NOW_S)
    for wrong, why in (
        (MadeCertificate(authority.cert, other.key), "is not that of its certificate"),
        (MadeCertificate(b"", authority.key), "are not a certificate and its key"),
        (MadeCertificate(authority.cert, b"x"), "are not a certificate and its key"),
    ):
        with pytest.raises(InvalidConfig, match=why):
            issue(wrong, "n1", [], NOW_S, 90)


def _now_s() -> float:
    """OpenSSL goes by the machine's clock."""
    return SystemClock().wall_ms() / 1_000
