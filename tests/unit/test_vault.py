"""Secrets at rest: sealing, rotation of the keys, and where the keys come from."""

import base64
import os
import stat
from pathlib import Path

import pytest

from hookline import errors
from hookline.clock import SystemClock
from hookline.node.vault import Vault
from hookline.protocol import signatures

CLOCK = SystemClock()
OLD, NEW = b"o" * 32, b"n" * 32
OLD_TEXT, NEW_TEXT = base64.b64encode(OLD).decode(), base64.b64encode(NEW).decode()
NONCE = bytes(range(12))
SECRET = signatures.generate_secret(b"k" * 32)


def key_file(path: Path, content: str, mode: int = 0o600) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


class TestSealing:
    def test_round_trip(self) -> None:
        assert Vault([OLD]).open(Vault([OLD]).seal("sécret", nonce=NONCE)) == "sécret"

    def test_format_is_stable(self) -> None:
        """Golden bytes: sealed secrets of earlier releases must open for ever."""
        sealed = Vault([OLD]).seal(SECRET, nonce=NONCE)
        assert sealed[:17].hex() == "01" + "b7bca737" + "000102030405060708090a0b"
        assert len(sealed) == 17 + len(SECRET) + 16
        assert sealed[17:].hex() == (
            "6fed755dbd24f8a25154df7e220e1ca7983bae1011c14db2b4656b6ff699d361"
            "69bea2e87a449b088476b0e9d6b42ab4563cefa6afbb4efad9169bf992ee9e4c"
            "f0b2"
        )

    def test_plaintext_does_not_appear(self) -> None:
        assert SECRET.encode() not in Vault([OLD]).seal(SECRET, nonce=NONCE)

    def test_nonce_of_another_length(self) -> None:
        with pytest.raises(ValueError, match="12 bytes"):
            Vault([OLD]).seal(SECRET, nonce=b"short")

    def test_first_key_seals_and_all_open(self) -> None:
        rotated = Vault([NEW, OLD])
        assert rotated.open(Vault([OLD]).seal("a", nonce=NONCE)) == "a"
        assert Vault([NEW]).open(rotated.seal("b", nonce=NONCE)) == "b"

    def test_unknown_key_is_named(self) -> None:
        sealed = Vault([OLD]).seal(SECRET, nonce=NONCE)
        with pytest.raises(errors.SecretKeyMissing) as caught:
            Vault([NEW]).open(sealed)
        assert sealed[1:5].hex() in caught.value.detail
        assert "HOOKLINE_SECRET_KEY" in caught.value.detail

    def test_any_changed_byte_is_refused(self) -> None:
        vault = Vault([OLD])
        sealed = vault.seal(SECRET, nonce=NONCE)
        for position in range(len(sealed)):
            changed = bytearray(sealed)
            changed[position] ^= 1
            with pytest.raises((errors.StateDamaged, errors.SecretKeyMissing)):
                vault.open(bytes(changed))

    def test_cut_short(self) -> None:
        sealed = Vault([OLD]).seal("", nonce=NONCE)
        for length in range(len(sealed)):
            with pytest.raises(errors.StateDamaged):
                Vault([OLD]).open(sealed[:length])

    def test_header_is_authenticated(self) -> None:
        """A sealed secret cannot be passed off as sealed by another of our keys, even the same nonce and text."""
        vault = Vault([OLD, NEW])
        sealed = vault.seal(SECRET, nonce=NONCE)
        other = Vault([NEW]).seal(SECRET, nonce=NONCE)
        with pytest.raises(errors.StateDamaged, match="does not decrypt"):
            vault.open(other[:5] + sealed[5:])


class TestSigningKey:
    def test_signs_as_the_secret_would(self) -> None:
        vault = Vault([OLD])
        key = vault.signing_key(vault.seal(SECRET, nonce=NONCE))
        expected = signatures.sign([signatures.parse_secret(SECRET)], "id", 1, b"body")
        assert signatures.sign([key], "id", 1, b"body") == expected

    def test_is_cached(self) -> None:
        vault = Vault([OLD])
        sealed = vault.seal(SECRET, nonce=NONCE)
        assert vault.signing_key(sealed) is vault.signing_key(bytes(bytearray(sealed)))

    def test_the_cache_is_bounded(self) -> None:
        vault = Vault([OLD])
        first = vault.seal(SECRET, nonce=NONCE)
        key = vault.signing_key(first)
        for number in range(4096):
            vault.signing_key(vault.seal(SECRET, nonce=b"many" + number.to_bytes(8)))
        assert vault.signing_key(first) is not key

    def test_what_is_not_a_signing_secret(self) -> None:
        vault = Vault([OLD])
        with pytest.raises(errors.InvalidSecret):
            vault.signing_key(vault.seal("plain text", nonce=NONCE))


def test_repr_shows_key_ids_only() -> None:
    vault = Vault([OLD, NEW])
    assert repr(vault) == "Vault(b7bca737, fe06271a)"


class TestLoad:
    def test_first_start_makes_a_key_only_the_owner_can_read(self, tmp_path: Path) -> None:
        sealed = Vault.load(tmp_path, None, None, CLOCK).seal(SECRET, nonce=NONCE)
        assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]
        assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
        assert Vault.load(tmp_path, None, None, CLOCK).open(sealed) == SECRET

    def test_two_first_starts_make_different_keys(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        first, second = (Vault.load(tmp_path / name, None, None, CLOCK) for name in ("a", "b"))
        assert repr(first) != repr(second)

    def test_a_start_that_loses_the_race_takes_the_winners_key(self, tmp_path: Path) -> None:
        class SlowClock(SystemClock):
            """Lets another start make its key while this one is about to."""

            def token(self, size: int) -> bytes:
                if size == 32:
                    key_file(tmp_path / "secret.key", OLD_TEXT)
                return super().token(size)

        assert repr(Vault.load(tmp_path, None, None, SlowClock())) == repr(Vault([OLD]))
        assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]

    def test_a_failed_write_leaves_nothing(self, tmp_path: Path) -> None:
        class BrokenClock(SystemClock):
            """Stands in for anything that fails after the file was opened, such as a full disk."""

            def token(self, size: int) -> bytes:
                if size == 32:
                    raise OSError(28, "No space left on device")
                return super().token(size)

        with pytest.raises(OSError, match="No space left"):  # the disk's trouble, and no setting's
            Vault.load(tmp_path, None, None, BrokenClock())
        assert list(tmp_path.iterdir()) == []

    def test_env_first_key_seals(self, tmp_path: Path) -> None:
        vault = Vault.load(tmp_path, None, f"{NEW_TEXT}, {OLD_TEXT}", CLOCK)
        assert repr(vault) == repr(Vault([NEW, OLD]))
        assert list(tmp_path.iterdir()) == []

    def test_file_first_line_seals(self, tmp_path: Path) -> None:
        path = key_file(tmp_path / "keys", f"{NEW_TEXT}\n\n{OLD_TEXT}\n", 0o640)
        assert repr(Vault.load(tmp_path, path, None, CLOCK)) == repr(Vault([NEW, OLD]))

    def test_env_and_file_together(self, tmp_path: Path) -> None:
        path = key_file(tmp_path / "keys", NEW_TEXT)
        with pytest.raises(errors.InvalidConfig, match=r"Both HOOKLINE_SECRET_KEY and --secret-key-file"):
            Vault.load(tmp_path, path, OLD_TEXT, CLOCK)

    @pytest.mark.parametrize(
        ("env", "message"),
        [
            ("", "HOOKLINE_SECRET_KEY holds no key; make one with: openssl rand -base64 32"),
            (" , ", "HOOKLINE_SECRET_KEY holds no key"),
            ("pass&word", "Key 1 in HOOKLINE_SECRET_KEY is not base64; make one with: openssl rand -base64 32"),
            (f"{OLD_TEXT},schlüssel", "Key 2 in HOOKLINE_SECRET_KEY is not base64"),
            (OLD_TEXT.rstrip("="), "Key 1 in HOOKLINE_SECRET_KEY is not base64"),
            (base64.b64encode(b"k" * 16).decode(), "Key 1 in HOOKLINE_SECRET_KEY has 16 bytes, not 32"),
            (f"{OLD_TEXT},{OLD_TEXT}", "HOOKLINE_SECRET_KEY holds the same key twice"),
            (",".join(base64.b64encode(bytes([n]) * 32).decode() for n in range(17)), "more than 16 keys"),
        ],
    )
    def test_bad_env(self, tmp_path: Path, env: str, message: str) -> None:
        with pytest.raises(errors.InvalidConfig) as caught:
            Vault.load(tmp_path, None, env, CLOCK)
        assert message in caught.value.detail
        assert caught.value.field == "HOOKLINE_SECRET_KEY"
        assert not any(part and part in caught.value.detail for part in env.replace(" ", "").split(","))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("mode", [0o604, 0o644, 0o620, 0o602, 0o601])
    def test_file_open_to_others(self, tmp_path: Path, mode: int) -> None:
        path = key_file(tmp_path / "keys", OLD_TEXT, mode)
        with pytest.raises(errors.InvalidConfig, match=rf"open to other users \(mode {mode:04o}\); run: chmod 600"):
            Vault.load(tmp_path, path, None, CLOCK)

    def test_the_default_file_open_to_others(self, tmp_path: Path) -> None:
        key_file(tmp_path / "secret.key", OLD_TEXT, 0o644)
        with pytest.raises(errors.InvalidConfig, match=r"secret\.key is open to other users"):
            Vault.load(tmp_path, None, None, CLOCK)

    def test_missing_empty_or_binary_file(self, tmp_path: Path) -> None:
        with pytest.raises(errors.InvalidConfig, match="cannot be read: No such file"):
            Vault.load(tmp_path, tmp_path / "nowhere", None, CLOCK)
        with pytest.raises(errors.InvalidConfig, match="holds no key"):
            Vault.load(tmp_path, key_file(tmp_path / "empty", ""), None, CLOCK)
        binary = tmp_path / "binary"
        binary.write_bytes(b"\xff" * 32)
        binary.chmod(0o600)
        with pytest.raises(errors.InvalidConfig, match=r"Key 1 in .* is not base64"):
            Vault.load(tmp_path, binary, None, CLOCK)

    def test_what_is_not_a_small_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe", 0o600)
        for path in (tmp_path / "pipe", tmp_path, key_file(tmp_path / "big", "A" * 4097)):
            with pytest.raises(errors.InvalidConfig, match=r"not a file of at most|Is a directory"):
                Vault.load(tmp_path, path, None, CLOCK)

    def test_data_directory_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(errors.InvalidConfig, match=r"cannot be created.*make the data directory writable"):
            Vault.load(tmp_path / "nowhere", None, None, CLOCK)
