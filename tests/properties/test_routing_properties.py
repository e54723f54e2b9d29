"""The homes of ids: the hashes, the balance, what moves, and that a hint is never misread."""

import hashlib
import json
import os
import struct
import subprocess
import sys
from collections import Counter
from functools import cache
from uuid import RFC_4122, UUID

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hookline.protocol.ids import check_id, mint_id, shard_hint
from hookline.protocol.routing import POINTS_PER_WEIGHT, Ring, Router, fnv1a_32
from hookline.protocol.topology import ClusterEntry, Placement, Topology, encode_topology, parse_topology
from tests.proxy_parts import entries, topology
from tools import routing_spread

SAMPLE = [f"job:{number}" for number in range(400)]
CHOSEN = "ABab01289_:-"  # what clients' ids are made of

MINTED = mint_id(1_767_225_600_000, b"0123456789", 12)

weights = st.lists(st.integers(1, 3), min_size=2, max_size=5)
chosen_ids = st.text(CHOSEN, min_size=1, max_size=60)
shards = st.integers(0, 999_999_999)
minted_ids = st.builds(mint_id, st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10), shards)


@cache
def ids() -> dict[str, list[str]]:
    return routing_spread.ids()


@cache
def hashes(kind: str) -> list[int]:
    return [fnv1a_32(text.encode()) for text in ids()[kind]]


@cache
def ring_spread(count: int, kind: str) -> tuple[float, float]:
    return routing_spread.spread(routing_spread.homes_of("ring", count, ids()[kind]), count)


# --- the hash ---------------------------------------------------------------------------------------------------


def fnv_by_shifts(data: bytes) -> int:
    """The form of the reference code that multiplies by shifting."""
    value = 2_166_136_261
    for byte in data:
        value ^= byte
        value = sum(value << shift for shift in (0, 1, 4, 7, 8, 24)) % 2**32
    return value


@given(st.text())
def test_fnv_is_what_another_implementation_says(text: str) -> None:
    assert fnv1a_32(text.encode()) == fnv_by_shifts(text.encode())


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0x811C9DC5),
        (b"a", 0xE40C292C),
        (b"foobar", 0xBF9CF968),
        (b"foo", 0xA9F37ED7),
        (b"foob", 0x3F5076EF),
        (b"fooba", 0x39AAA18A),
        (b"a\0", 0x2B24D044),
    ],
    ids=str,
)
def test_the_published_vectors_of_fnv(data: bytes, expected: int) -> None:
    """draft-eastlake-fnv, and the test suite of its authors' code."""
    assert fnv1a_32(data) == fnv_by_shifts(data) == expected


def test_the_hash_is_over_utf_8() -> None:
    router = Router(topology(7))
    for text in ("ä", "日本", "🪝", "a"):
        route = router.key_home(text)
        assert route.hash == fnv_by_shifts(text.encode())
        assert route.cluster.shard == fnv_by_shifts(text.encode()) % 7


# --- balance ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["random", "sequential", "UUID"])
def test_modulo_is_balanced_for_all_numbers_of_clusters(kind: str) -> None:
    """Within what drawing them at random would give: 4.5 standard deviations."""
    for count in range(2, 51):
        sizes = Counter(value % count for value in hashes(kind))
        fair = routing_spread.IDS / count
        allowed = 4.5 * (fair * (1 - 1 / count)) ** 0.5
        assert max(abs(sizes[number] - fair) for number in range(count)) <= allowed, (count, sizes)


@pytest.mark.parametrize("kind", ["random", "sequential", "UUID"])
def test_the_ring_is_balanced(kind: str) -> None:
    for count in routing_spread.COUNTS:
        low, high = ring_spread(count, kind)
        print(f"ring, {kind}, {count} clusters: {low:.2f} to {high:.2f} of a fair share")
        assert low >= 0.8, count
        assert high <= 1.2, count


def test_the_table_in_the_docs_is_what_comes_out() -> None:
    """One row of it; ``python tools/routing_spread.py --write`` makes it again."""
    found = [routing_spread.spread([f"c{value % 3}" for value in hashes(kind)], 3) for kind in ids()]
    cells = [f"{low:.2f}–{high:.2f}" for low, high in [*found, *(ring_spread(3, kind) for kind in ids())]]
    assert f"\n| 3 | {' | '.join(cells)} |" in routing_spread.PAGE.read_text(encoding="utf-8")


def test_weights_are_respected_by_the_ring_and_mean_nothing_to_modulo() -> None:
    names = ids()["UUID"][:30_000]
    weighted = entries(1, 2, 5)
    place = Ring(weighted).place
    found = [place(text).name for text in names]
    for entry in weighted:
        assert found.count(entry.name) / len(names) == pytest.approx(entry.weight / 8, rel=0.2)
    plain = Router(topology(3))
    heavy = Router(Topology(epoch=1, clusters=weighted))
    assert all(plain.key_home(text).cluster.name == heavy.key_home(text).cluster.name for text in SAMPLE)


# --- movement ---------------------------------------------------------------------------------------------------


def ring_homes(clusters: tuple[ClusterEntry, ...], names: list[str] = SAMPLE) -> list[str]:
    place = Ring(clusters).place
    return [place(text).name for text in names]


def test_a_cluster_that_comes_or_goes_moves_its_share_of_the_ids_and_no_others() -> None:
    names, all_clusters = ids()["random"][:8_000], entries(*[1] * 50)
    before = ring_homes(all_clusters[:1], names)
    for count in range(2, 51):
        after = ring_homes(all_clusters[:count], names)
        moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        assert {new for _, new in moved} == {f"c{count - 1}"}, "read backwards: only what it had leaves it"
        assert len(moved) <= 1.3 * len(names) / count, count
        before = after


@settings(max_examples=30)
@given(weights=weights, data=st.data())
def test_any_cluster_may_go_or_get_another_weight(weights: list[int], data: st.DataObject) -> None:
    clusters = entries(*weights)
    position = data.draw(st.integers(0, len(clusters) - 1), label="position")
    name, rest = clusters[position].name, clusters[:position] + clusters[position + 1 :]
    before, without = ring_homes(clusters), ring_homes(rest)
    for old, new in zip(before, without, strict=True):
        assert (old == new) == (old != name)
    heavier = entries(*[weight + (number == position) for number, weight in enumerate(weights)])
    for old, new in zip(before, ring_homes(heavier), strict=True):
        assert new in (old, name)


@settings(max_examples=10)
@given(weights)
def test_the_ring_is_what_another_implementation_says(weights: list[int]) -> None:
    def place(text: str) -> int:
        return int(struct.unpack_from("<I", hashlib.md5(text.encode()).digest())[0])

    clusters = entries(*weights)
    points = {
        place(f"{entry.name}-{number}"): entry.name
        for entry in clusters
        for number in range(POINTS_PER_WEIGHT * entry.weight)
    }
    around = min(points)
    for text, found in zip(SAMPLE[:40], ring_homes(clusters), strict=False):
        assert found == points[min((point for point in points if point > place(text)), default=around)]


@settings(max_examples=20)
@given(weights=weights, data=st.data())
def test_the_ring_does_not_ask_for_the_order(weights: list[int], data: st.DataObject) -> None:
    clusters = entries(*weights)
    assert ring_homes(clusters) == ring_homes(tuple(data.draw(st.permutations(clusters))))


# --- hints ------------------------------------------------------------------------------------------------------


def names_a_shard(text: str) -> int | None:
    """By the form of a UUID (RFC 9562) instead of a pattern."""
    head, tail = text[:36], text[36:]
    try:
        uuid = UUID(head)
    except ValueError:
        return None
    is_plain = str(uuid) == head and uuid.variant == RFC_4122 and 1 <= (uuid.int >> 76) % 16 <= 8
    digits = tail[1:]
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= 9 and str(int(digits)) == digits
    return int(digits) if is_plain and tail[:1] == "-" and is_number else None


@given(minted_ids)
def test_every_minted_id_is_at_home_where_it_was_minted(job_id: str) -> None:
    shard = int(job_id.rpartition("-")[2])
    other = ClusterEntry(name="other", shard=(shard + 1) % 10**9, nodes=("http://o:1",))
    ours = ClusterEntry(name="ours", shard=shard, nodes=("http://u:1",))
    router = Router(Topology(epoch=1, clusters=(other, ours)))
    assert (router.home(job_id).cluster, router.home(job_id).rule) == (ours, "hint")
    assert router.new_home(job_id).cluster == ours
    assert router.key_home(job_id).rule == "modulo", "a key is no hint, even one that looks like it"
    assert router.key_home(job_id).hash == fnv_by_shifts(job_id.encode())


@given(chosen_ids, st.integers(0, 9))
def test_an_id_that_merely_ends_like_one_is_no_hint(text: str, shard: int) -> None:
    job_id = check_id(f"{text}-{shard}")
    assume(names_a_shard(job_id) is None)
    route = Router(topology(10)).home(job_id)
    assert (route.rule, route.cluster.shard) == ("modulo", fnv_by_shifts(job_id.encode()) % 10)


@example(MINTED, 14, "put", "0")
@example(MINTED, 14, "put", "9")
@example(MINTED, 19, "put", "2")
@example(MINTED, 37, "put", "0")
@example(MINTED, 37, "insert", "1111111111")
@settings(max_examples=300)
@given(minted_ids, st.integers(0, 45), st.sampled_from(["put", "insert", "drop", "upper"]), st.sampled_from(CHOSEN))
def test_what_is_nearly_a_minted_id_is_a_hint_only_in_the_full_form(
    minted: str, position: int, edit: str, letter: str
) -> None:
    position %= len(minted)
    head, tail = minted[:position], minted[position:]
    edited = {
        "put": head + letter + tail[1:],
        "insert": head + letter + tail,
        "drop": head + tail[1:],
        "upper": head + tail.upper(),
    }[edit]
    assert shard_hint(edited) == names_a_shard(edited)


# --- the same everywhere ----------------------------------------------------------------------------------------


def shuffled(value: object, data: st.DataObject) -> object:
    """The same document with the members of its objects in another order."""
    if isinstance(value, dict):
        return {name: shuffled(value[name], data) for name in data.draw(st.permutations(sorted(value)))}
    return [shuffled(item, data) for item in value] if isinstance(value, list) else value


def changing(strategy: str) -> Topology:
    previous = Placement(strategy="modulo", clusters=entries(1, 1, 1, 1))
    return Topology(epoch=2, strategy=strategy, clusters=entries(1, 2, 1), previous=previous)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["modulo", "ring"])
def test_the_order_of_members_means_nothing(strategy: str) -> None:
    document = encode_topology(changing(strategy))
    expected = decisions(document)

    @settings(max_examples=10)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        other = json.dumps(shuffled(json.loads(document), data)).encode()
        assert encode_topology(parse_topology(other)) == document
        assert decisions(other) == expected

    check()


def decisions(document: bytes) -> list[object]:
    """Lists a router's decisions about the sample."""
    router = Router(parse_topology(document))
    return [
        [route.cluster.name, route.rule, route.hash] if route else None
        for text in SAMPLE
        for route in (router.home(text), router.new_home(text), router.previous_home(text))
    ]


@pytest.mark.parametrize("strategy", ["modulo", "ring"])
def test_another_process_decides_alike(strategy: str) -> None:
    """The seed of its ``hash`` does not matter."""
    document = encode_topology(changing(strategy))
    program = "import json,sys; from tests.properties.test_routing_properties import decisions as d;"
    program += "print(json.dumps(d(sys.argv[1].encode())))"
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        out = subprocess.run(
            [sys.executable, "-c", program, document.decode()], env=environment, capture_output=True, check=True
        )
        assert json.loads(out.stdout) == decisions(document)
