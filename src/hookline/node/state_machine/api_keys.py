"""The API keys of a state in memory: each request asks for one, and a follower knows them as the leader does."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from hookline.protocol.api_keys import KeptApiKey, decode_key


class ApiKeys:
    """All keys by their id, as of the newest entry.

    Args:
        rows: (id, record as stored, used_ms).
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]] = ()) -> None:
        self._keys = {row[0]: KeptApiKey(row[0], decode_key(row[1]), row[1], row[2]) for row in rows}
        self._version: str | None = None

    @property
    def by_id(self) -> Mapping[str, KeptApiKey]:
        """All of them; do not change it."""
        return self._keys

    @property
    def version(self) -> str:
        """A digest of all records: two clusters with the same one have the same keys. Uses are not part of it."""
        if self._version is None:
            digest = hashlib.blake2b(digest_size=16)
            for key_id in sorted(self._keys):
                digest.update(key_id.encode() + self._keys[key_id].blob)
            self._version = digest.hexdigest()
        return self._version

    def put(self, key_id: str, blob: bytes, used_ms: int) -> None:
        """Insert or replace one."""
        self._keys[key_id] = KeptApiKey(key_id, decode_key(blob), blob, used_ms)
        self._version = None

    def drop(self, key_id: str) -> None:
        """Forget one."""
        self._keys.pop(key_id, None)
        self._version = None
