"""The state handed out over HTTP: whole, in parts, at a bounded rate; checked by the one who gets it."""

import hashlib
import threading
from pathlib import Path

import msgspec
import pytest

from hookline.node.storage import snapshots
from hookline.node.storage.snapshots import SnapshotInfo
from tests.integration.conftest import StartNode
from tests.integration.node_under_test import NodeUnderTest


def info_of(node: NodeUnderTest, query: str = "") -> SnapshotInfo:
    answer = node.get("/internal/snapshot" + query)
    assert answer.status == 200, answer
    return msgspec.json.decode(answer.body, type=SnapshotInfo)


def test_the_file_is_what_the_description_says(node: NodeUnderTest, tmp_path: Path) -> None:
    node.create(id="a")
    info = info_of(node)
    whole = node.get(f"/internal/snapshot/{info.name}")
    assert (whole.status, whole.headers["content-length"]) == (200, str(info.size))
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["hookline-node"] == "n1"
    copy = tmp_path / "copy.db"
    copy.write_bytes(whole.body)
    snapshots.verify(copy, info)
    head = node.call("HEAD", f"/internal/snapshot/{info.name}")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(info.size), b"")


def test_a_fresh_one_is_used_again_and_an_old_one_is_not(node: NodeUnderTest) -> None:
    node.create(id="a")
    first = info_of(node)
    node.create(id="b")
    assert info_of(node) == first
    applied = node.replica.applied
    assert info_of(node, f"?at_least={applied}").index == applied
    node.create(id="c")
    assert info_of(node, "?max_age=0").index == node.replica.applied
    behind = node.get(f"/internal/snapshot?at_least={node.replica.applied + 1}")
    assert (behind.status, behind.code) == (503, "unavailable")
    assert node.get("/internal/snapshot?at_least=x").code == "invalid_request"


def test_a_doubted_state_is_for_backups_and_not_for_other_nodes(
    node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert node.get("/internal/snapshot?undoubted=1").status == 200
    monkeypatch.setattr(node.services.role, "halted", lambda: "nobody knows whose it is")
    refused = node.get("/internal/snapshot?undoubted=1")
    assert (refused.status, refused.code) == (503, "unavailable")
    assert "nobody knows whose it is" in refused.json["detail"]
    assert node.get("/internal/snapshot?max_age=0").status == 200


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=100-", 100, None), ("bytes=5-99999999999", 5, None), ("bytes=7-7", 7, 8)],
)
def test_a_part_of_it(node: NodeUnderTest, header: str, start: int, end: int | None) -> None:
    info = info_of(node)
    whole = node.get(f"/internal/snapshot/{info.name}").body
    part = node.call("GET", f"/internal/snapshot/{info.name}", headers={"Range": header})
    assert part.status == 206
    assert part.body == whole[start:end]
    assert part.headers["content-range"] == f"bytes {start}-{(end or info.size) - 1}/{info.size}"


@pytest.mark.parametrize("header", ["bytes=-5", "lines=1-2", "bytes=1-2,5-6", "bytes=x-"])
def test_a_range_that_is_not_understood_is_ignored(node: NodeUnderTest, header: str) -> None:
    info = info_of(node)
    answer = node.call("GET", f"/internal/snapshot/{info.name}", headers={"Range": header})
    assert (answer.status, len(answer.body)) == (200, info.size)


def test_a_range_behind_the_end_and_a_name_that_is_gone(node: NodeUnderTest) -> None:
    info = info_of(node)
    behind = node.call("GET", f"/internal/snapshot/{info.name}", headers={"Range": f"bytes={info.size}-"})
    assert (behind.status, behind.code) == (416, "range_not_satisfiable")
    assert node.get("/internal/snapshot/000000000001-ffff").status == 404
    assert node.get("/internal/snapshot/..%2fstate").status == 404


def test_who_goes_away_in_the_middle_does_no_harm(start_node: StartNode) -> None:
    with start_node() as node:
        for number in range(300):
            node.create(id=f"j{number}", payload="x" * 4_000)
        info = info_of(node)
        given_up = threading.Event()
        real = node.services.snapshots.take_turn  # type: ignore[union-attr]

        async def slow(size: int) -> None:
            given_up.set()
            await real(size)

        node.services.snapshots.take_turn = slow  # type: ignore[union-attr, method-assign]
        with node.connection() as connection:
            request = f"GET /internal/snapshot/{info.name} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            connection.sendall(request.encode())
            assert given_up.wait(60)
        assert hashlib.sha256(node.get(f"/internal/snapshot/{info.name}").body).hexdigest() == info.sha256
