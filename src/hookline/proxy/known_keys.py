"""The API keys of all clusters, as far as this proxy has heard. Pure.

Clusters have the same keys, or will: of two versions of a key the same one holds everywhere, so what one cluster lacks
can be told to it at any time, by any proxy.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from hookline.protocol.api_keys import ApiKey, KeptApiKey, decode_key, outranks

Records = list[tuple[str, bytes]]
"""Ids and records, as they travel."""


class _Heard(NamedTuple):
    version: str
    keys: dict[str, KeptApiKey]


class KnownKeys:
    """One per proxy."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}  # by cluster
        self._merged: dict[str, KeptApiKey] = {}

    @property
    def is_known(self) -> bool:
        """Some cluster has told its keys."""
        return bool(self._heard)

    @property
    def merged(self) -> Mapping[str, KeptApiKey]:
        """All keys by id, each in the version that holds; do not change it."""
        return self._merged

    def find(self, key_id: str) -> ApiKey | None:
        """A key by its id."""
        kept = self._merged.get(key_id)
        return None if kept is None else kept.record

    def version_of(self, cluster: str) -> str:
        """The version of the cluster's keys that was heard last; empty: none was."""
        heard = self._heard.get(cluster)
        return "" if heard is None else heard.version

    def learn(self, cluster: str, version: str, keys: Iterable[tuple[str, bytes, int]]) -> None:
        """These are all of the cluster's keys: (id, record, last use). Raises msgspec.MsgspecError."""
        found = {key_id: KeptApiKey(key_id, decode_key(blob), blob, used_ms) for key_id, blob, used_ms in keys}
        self._heard[cluster] = _Heard(version, found)
        self._merge()

    def keep(self, clusters: Iterable[str]) -> None:
        """Forget all clusters but these."""
        names = set(clusters)
        if gone := self._heard.keys() - names:
            for name in gone:
                del self._heard[name]
            self._merge()

    def lacking(self, cluster: str) -> Records:
        """The keys that this cluster does not have, or in an older version; none before it was heard."""
        heard = self._heard.get(cluster)
        if heard is None:
            return []
        keys = heard.keys
        return [
            (key.id, key.blob) for key in self._merged.values() if key.id not in keys or keys[key.id].blob != key.blob
        ]

    def _merge(self) -> None:
        merged: dict[str, KeptApiKey] = {}
        for heard in self._heard.values():
            for key in heard.keys.values():
                known = merged.setdefault(key.id, key)
                if known is not key:
                    best = key if outranks(key.blob, known.blob) else known
                    merged[key.id] = replace(best, used_ms=max(key.used_ms, known.used_ms))
        self._merged = merged
