"""Signing secrets at rest: sealed before they enter the log, opened only to sign.

A sealed secret is::

    1 byte   format version, 1
    4 bytes  key id: the first four bytes of SHA-256 of the key
    12 bytes nonce
    rest     AES-256-GCM ciphertext and tag; the first five bytes are authenticated with it

The first key seals and all keys open, so a key is rotated by putting a new one in front of it.
"""

import base64
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hookline import errors
from hookline.clock import Clock
from hookline.disk_errors import disk_trouble
from hookline.protocol.proofs import ProofKey, proof_key
from hookline.protocol.signatures import SigningKey, parse_secret

ENV_NAME = "HOOKLINE_SECRET_KEY"
FILE_OPTION = "--secret-key-file"
DEFAULT_FILE = "secret.key"

NONCE_BYTES = 12
KEY_BYTES = 32

_VERSION = 1
_KEY_ID_BYTES = 4
_HEADER_BYTES = 1 + _KEY_ID_BYTES
_SEALED_BYTES_MIN = _HEADER_BYTES + NONCE_BYTES + 16

_KEYS_MAX = 16
_KEY_FILE_BYTES_MAX = 4096
# Group may read (root:hookline 0640 is how packages install such files); nobody else may, and only the owner may write.
_FORBIDDEN_MODE = stat.S_IWGRP | stat.S_IRWXO
# Destinations' secrets stay; jobs with a secret of their own pass through. Under 1 KB each.
_CACHED_SIGNING_KEYS = 4096

_HOW_TO_MAKE = "make one with: openssl rand -base64 32"


class Vault:
    """Seals and opens secrets with AES-256-GCM. Its repr shows key ids only.

    Attributes:
        keys: as given, for processes of this node's own.
        proof_keys: one that follows from each, to prove to each other that nodes and workers are of one cluster.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take the keys, 32 bytes each; the first one seals."""
        self.keys = tuple(keys)
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._sealing_id = _key_id(keys[0])
        self.proof_keys: tuple[ProofKey, ...] = tuple(proof_key(key) for key in keys)
        self._cached_signing_key = lru_cache(maxsize=_CACHED_SIGNING_KEYS)(self._parse)

    @classmethod
    def load(cls, data_dir: Path, key_file: Path | None, env: str | None, clock: Clock) -> "Vault":
        """Take the keys from the environment or a file, else from ``<data_dir>/secret.key``, made on first start.

        Args:
            data_dir: an existing directory that only this node uses.
            key_file: the ``--secret-key-file`` setting, one base64 key a line.
            env: the value of ``HOOKLINE_SECRET_KEY``, base64 keys separated by commas.
            clock: gives the random bytes of a new key.

        Raises:
            InvalidConfig: a key cannot be read, or both settings are given; names the setting and the fix.
        """
        if env is not None or key_file is not None:
            return cls.of(key_file, env)
        default = data_dir / DEFAULT_FILE
        _ensure_key_file(default, clock)
        return cls(_parse_keys(_read_lines(default, str(default)), str(default)))

    @classmethod
    def of(cls, key_file: Path | None, env: str | None) -> "Vault":
        """Take the keys that were given, in one of the two ways. Raises InvalidConfig, as ``load``."""
        if env is not None and key_file is not None:
            raise errors.InvalidConfig(f"Both {ENV_NAME} and {FILE_OPTION} are set; keep one of them.", field=ENV_NAME)
        if key_file is not None:
            return cls(_parse_keys(_read_lines(key_file, FILE_OPTION), f"{FILE_OPTION} {key_file}"))
        return cls(_parse_keys((env or "").split(","), ENV_NAME))

    def seal(self, plaintext: str, *, nonce: bytes) -> bytes:
        """As ``seal_bytes``, a text."""
        return self.seal_bytes(plaintext.encode(), nonce=nonce)

    def seal_bytes(self, plaintext: bytes, *, nonce: bytes) -> bytes:
        """Encrypt ``plaintext`` with the first key. ``nonce`` is 12 random bytes, never used twice."""
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"the nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
        header = bytes([_VERSION]) + self._sealing_id
        return header + nonce + self._ciphers[self._sealing_id].encrypt(nonce, plaintext, header)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Those of all keys, in hex, the one that seals first."""
        return tuple(key_id.hex() for key_id in self._ciphers)

    def open(self, sealed: bytes) -> str:
        """As ``open_bytes``, what was a text."""
        return self.open_bytes(sealed).decode()

    def open_bytes(self, sealed: bytes) -> bytes:
        """Decrypt what ``seal`` returned, here or on another node with the same key.

        Raises:
            SecretKeyMissing: it was sealed with a key that is not among ours.
            StateDamaged: it is not what any ``seal`` returned.
        """
        if len(sealed) < _SEALED_BYTES_MIN:
            raise errors.StateDamaged("A sealed secret is too short; restore a backup or reinstall from a peer.")
        if sealed[0] != _VERSION:
            raise errors.StateDamaged(
                f"A sealed secret has format {sealed[0]}, not {_VERSION}: it is damaged, or of a newer release."
            )
        header, nonce = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES : _HEADER_BYTES + NONCE_BYTES]
        try:
            return self._cipher_for(header[1:]).decrypt(nonce, sealed[_HEADER_BYTES + NONCE_BYTES :], header)
        except InvalidTag:
            raise errors.StateDamaged(
                "A sealed secret does not decrypt with its key; restore a backup or reinstall from a peer."
            ) from None

    def signing_key(self, sealed: bytes) -> SigningKey:
        """Open and parse a sealed secret; the most recently used ones stay in memory, ready to sign.

        Raises:
            SecretKeyMissing, StateDamaged: as ``open``.
            InvalidSecret: what was sealed is not a signing secret.
        """
        return self._cached_signing_key(sealed)

    def __repr__(self) -> str:
        return f"Vault({', '.join(self.key_ids)})"

    def _parse(self, sealed: bytes) -> SigningKey:
        return parse_secret(self.open(sealed))

    def _cipher_for(self, key_id: bytes) -> AESGCM:
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            ours = ", ".join(self.key_ids)
            raise errors.SecretKeyMissing(
                f"It is sealed with key {key_id.hex()}, but this node has only {ours}; "
                f"add that key in {ENV_NAME} or {FILE_OPTION} and start again."
            )
        return cipher


def sealing_key_id(sealed: bytes) -> str:
    """The id of the key that a secret was sealed with, in hex."""
    return sealed[1:_HEADER_BYTES].hex()


def missing_keys(sealed: Iterable[bytes], vault: Vault) -> set[str]:
    """The ids of the keys that these secrets need and the vault does not have."""
    return {sealing_key_id(secret) for secret in sealed} - set(vault.key_ids)


def remembered_key(data_dir: Path) -> str | None:
    """The keys in ``<data_dir>/secret.key``, as ``HOOKLINE_SECRET_KEY`` has them; None when there is no such file."""
    file = data_dir / DEFAULT_FILE
    return ",".join(line.strip() for line in _read_lines(file, str(file)) if line.strip()) if file.exists() else None


def remember_key(data_dir: Path, key: str, clock: Clock) -> None:
    """Keep a key that the nodes agreed on in ``<data_dir>/secret.key``, unless there is one."""
    _create_key_file(data_dir / DEFAULT_FILE, key, clock)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:_KEY_ID_BYTES]


def _parse_keys(texts: Sequence[str], setting: str) -> list[bytes]:
    """Decode base64 keys; ``setting`` is where they came from, for the message. Messages never repeat a key."""
    stripped = [text.strip() for text in texts if text.strip()]
    if not stripped:
        # Also when the variable is set but empty: a key made up here would not open what other nodes seal.
        raise errors.InvalidConfig(f"{setting} holds no key; {_HOW_TO_MAKE}", field=setting)
    if len(stripped) > _KEYS_MAX:
        raise errors.InvalidConfig(f"{setting} holds more than {_KEYS_MAX} keys; remove the oldest.", field=setting)
    keys = [_parse_key(text, f"Key {number} in {setting}", setting) for number, text in enumerate(stripped, 1)]
    if len({_key_id(key) for key in keys}) < len(keys):
        raise errors.InvalidConfig(f"{setting} holds the same key twice; remove one of the two.", field=setting)
    return keys


def _parse_key(text: str, which: str, setting: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        raise errors.InvalidConfig(f"{which} is not base64; {_HOW_TO_MAKE}", field=setting) from None
    if len(key) != KEY_BYTES:
        raise errors.InvalidConfig(f"{which} has {len(key)} bytes, not {KEY_BYTES}; {_HOW_TO_MAKE}", field=setting)
    return key


def _read_lines(path: Path, setting: str) -> list[str]:
    try:
        # Not blocking, so that a pipe put there by mistake is refused below instead of stopping the start.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            _check_key_file(os.fstat(file.fileno()), path, setting)
            content = file.read()
    except OSError as error:
        raise errors.InvalidConfig(f"{setting}: {path} cannot be read: {error.strerror}.", field=setting) from error
    return content.decode("ascii", "replace").splitlines()


def _check_key_file(status: os.stat_result, path: Path, setting: str) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_size > _KEY_FILE_BYTES_MAX:
        raise errors.InvalidConfig(
            f"{setting}: {path} is not a file of at most {_KEY_FILE_BYTES_MAX} bytes.", field=setting
        )
    if status.st_mode & _FORBIDDEN_MODE:
        mode = stat.S_IMODE(status.st_mode)
        raise errors.InvalidConfig(
            f"{setting}: {path} is open to other users (mode {mode:04o}); run: chmod 600 {path}", field=setting
        )


def _ensure_key_file(path: Path, clock: Clock) -> None:
    try:
        if not path.exists():
            _create_key_file(path, base64.b64encode(clock.token(KEY_BYTES)).decode(), clock)
    except OSError as error:
        if disk_trouble(error) is not None:
            raise  # the key is not what is wrong
        raise errors.InvalidConfig(
            f"{path} cannot be created: {error.strerror}; make the data directory writable or set {ENV_NAME}.",
            field=str(path),
        ) from error


def _create_key_file(path: Path, key: str, clock: Clock) -> None:
    """Write the key so that after a crash at any point the file is whole or not there.

    Written and synced under another name first, then linked: a link, like O_EXCL, never replaces an existing file.
    """
    unfinished = path.with_name(f"{path.name}.{clock.token(8).hex()}")
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(key.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another start was faster: its key counts
            path.hardlink_to(unfinished)
    finally:
        unfinished.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
