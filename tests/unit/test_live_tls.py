"""A process tells of its certificates, and reads them again when they change."""

import asyncio
import ssl
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from hookline.clock import SystemClock
from hookline.errors import InvalidConfig
from hookline.tls import live
from hookline.tls.files import TlsFiles
from hookline.tls.live import LiveTls, kept_fresh
from tests.certificates import Authority

DAY_MS = 86_400_000


class LaterClock(SystemClock):
    """The machine's, some time later."""

    later_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.later_ms


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[MutableMapping[str, Any]]]:
    """Collects what is logged."""
    structlog.reset_defaults()
    monkeypatch.setattr(live, "_log", structlog.get_logger())
    with capture_logs() as found:
        yield found


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"cert": "c"}, "--tls-cert and --tls-key belong together"),
        ({"key": "k"}, "--tls-cert and --tls-key belong together"),
        ({"client_cert": "c"}, "--tls-client-cert and --tls-client-key belong together"),
        ({"client_ca": "c"}, "--tls-client-ca has no use without"),
    ],
)
def test_files_that_make_no_sense_are_refused(files: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        TlsFiles(**{name: Path(path) for name, path in files.items()})


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.pair("n1")
    _, other = authority.pair("n2")
    empty, encrypted = tmp_path / "empty.pem", tmp_path / "encrypted.pem"
    empty.write_bytes(b"")
    encrypted.write_text(ENCRYPTED)
    for files, message in (
        (TlsFiles(cert=cert, key=tmp_path / "none.pem"), "none.pem cannot be read: No such file"),
        (TlsFiles(cert=empty, key=key), "empty.pem is not a PEM file with a certificate"),
        (TlsFiles(cert=cert, key=empty), "are not a certificate and its key"),
        (TlsFiles(cert=cert, key=other), "n2-key.pem is not that of the certificate in .*n1.pem"),
        (TlsFiles(cert=cert, key=encrypted), "encrypted.pem is encrypted"),
        (TlsFiles(cert=cert, key=key, client_ca=empty), "empty.pem is not a PEM file with a certificate"),
        (TlsFiles(ca=tmp_path), "cannot be read: Is a directory"),
    ):
        with pytest.raises(InvalidConfig, match=message):
            LiveTls(files, SystemClock())


def test_the_end_of_a_certificate_is_said_once_a_day_two_weeks_before(
    authority: Authority, lines: list[MutableMapping[str, Any]]
) -> None:
    clock = LaterClock()
    tls = LiveTls(authority.files(days=90), clock)
    said = {}
    for days in (0, 75, 76.1, 76.2, 77.2, 90.1, 90.2):
        clock.later_ms = int(days * DAY_MS)
        lines.clear()
        tls.remind()
        said[days] = [(line["event"], line["certificate"]) for line in lines]
    soon, ended = ("tls_certificate_ends_soon", "server"), ("tls_certificate_has_ended", "server")
    assert said == {0: [], 75: [], 76.1: [soon], 76.2: [], 77.2: [soon], 90.1: [ended], 90.2: []}


async def test_files_that_change_are_read_again_and_on_request(
    authority: Authority, lines: list[MutableMapping[str, Any]]
) -> None:
    files = authority.files("n1")
    tls = LiveTls(files, SystemClock())
    first = tls.server_context()
    await tls.look()
    assert tls.server_context() is first
    authority.pair("n1")
    await tls.look()
    second = tls.server_context()
    assert second is not first
    hangup = asyncio.Event()
    async with kept_fresh(tls, hangup):
        hangup.set()
        while not lines[1:]:  # noqa: ASYNC110  # there is no event of it
            await asyncio.sleep(0)
        assert tls.server_context() is not second
    assert [line["event"] for line in lines] == ["tls_files_loaded"] * 2


async def test_what_fails_beside_it_is_raised_as_it_is() -> None:
    for error in (InvalidConfig("no"), KeyboardInterrupt(), asyncio.CancelledError()):
        with pytest.raises(type(error)) as caught:
            async with kept_fresh(LiveTls(TlsFiles(), SystemClock())):
                raise error
        assert caught.value is error


async def test_a_pair_for_nodes_and_their_authority_change_as_well(authority: Authority) -> None:
    cert, key = authority.pair("client")
    tls = LiveTls(TlsFiles(client_cert=cert, client_key=key, ca=authority.ca), SystemClock())
    first = tls.client_context()
    assert set(tls.ends()) == {"client", "ca"}
    authority.pair("client")
    await tls.look()
    assert tls.client_context() is not first


def test_without_files_a_process_trusts_the_system_and_shows_nothing() -> None:
    tls = LiveTls(TlsFiles(), SystemClock())
    assert not tls.is_server
    assert tls.client_context().verify_mode is ssl.CERT_REQUIRED
    assert tls.client_context() is tls.client_context()


# openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes-128-cbc -pass pass:geheim
ENCRYPTED = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjQ368JiyIxhwICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEEPE1vl27LPhwuxKRhoSoBgEgZAQ
zfLF484E94OFsuLAnJi21MN20DAlMr36d8HzlHB6an+BLEWZKlJw3nzQRntY2buH
LW13bTNIjkr6SWEOZC95+GFL1xATL5l3gYiBGl+WlfXpAebZ8Y7fLr3M5mj+H87c
YaZ4xnaLTWZUZHfX8lCfsVDWhHuUiAhUaeQl7CZUs75SMHvDrOcDxrzgnE5P7Iw=
-----END ENCRYPTED PRIVATE KEY-----
"""
