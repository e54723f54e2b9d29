"""The keys that a proxy knows: those of all clusters, each in the version that holds."""

from msgspec.structs import replace

from hookline.protocol.api_keys import ApiKey, encode_key
from hookline.proxy.known_keys import KnownKeys
from tests.node_parts import T0

RECORD = ApiKey("", "ci", ("read",), (), T0)
NEWER = replace(RECORD, revision=2)
REVOKED = RECORD.revoked(T0)


def told(*keys: tuple[str, ApiKey], used_ms: int = 0) -> list[tuple[str, bytes, int]]:
    return [(key_id, encode_key(record), used_ms) for key_id, record in keys]


def test_the_version_that_holds_is_the_same_whoever_is_heard_first() -> None:
    heard = {
        "c0": told(("a", RECORD), ("b", NEWER), used_ms=7),
        "c1": told(("a", NEWER), ("b", REVOKED), ("c", RECORD)),
    }
    for order in (["c0", "c1"], ["c1", "c0"]):
        known = KnownKeys()
        assert not known.is_known
        for name in order:
            known.learn(name, "v", heard[name])
        assert {key: known.find(key) for key in "abcd"} == {"a": NEWER, "b": REVOKED, "c": RECORD, "d": None}
        assert {key.id: key.used_ms for key in known.merged.values()} == {"a": 7, "b": 7, "c": 0}
        assert sorted(known.lacking("c0")) == [(key, blob) for key, blob, _ in heard["c1"]]
        assert known.lacking("c1") == []
        assert known.lacking("c2") == [], "nobody knows what it has"
        assert (known.version_of("c0"), known.version_of("c2")) == ("v", "")


def test_a_cluster_that_is_gone_is_forgotten() -> None:
    known = KnownKeys()
    known.learn("c0", "v", told(("a", RECORD)))
    known.learn("c1", "v", told(("b", RECORD)))
    known.keep(["c0"])
    assert (known.find("a"), known.find("b"), known.version_of("c1")) == (RECORD, None, "")
    known.keep([])
    assert not known.is_known
