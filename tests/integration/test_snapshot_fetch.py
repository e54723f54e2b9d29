"""Fetching the state from peers: real nodes, and a proxy between that breaks off, lies or is slow."""

import asyncio
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from hookline.errors import NotEnoughSpace, SnapshotUnavailable
from hookline.node.storage import snapshot_fetch
from hookline.node.storage.snapshot_fetch import fetch_snapshot
from hookline.node.storage.snapshots import SnapshotInfo, verify
from hookline.peers.http_sender import HttpSender
from tests.integration.node_under_test import NodeUnderTest
from tests.scripted_server import Answer, scripted_server


def url(node: NodeUnderTest) -> str:
    return f"http://127.0.0.1:{node.port}"


def fetched(*urls: str, to: Path, **options: Any) -> tuple[Path, SnapshotInfo]:
    async def fetch() -> tuple[Path, SnapshotInfo]:
        async with HttpSender() as sender:
            return await fetch_snapshot(sender, urls, to, **options)

    return asyncio.run(fetch())


@pytest.fixture
def filled(node: NodeUnderTest) -> NodeUnderTest:
    jobs = [{"url": "https://example.com/", "payload": f"{number}" * 3_000} for number in range(300)]
    assert node.post("/jobs/batch", {"jobs": jobs}).status == 200
    return node


@contextmanager
def breaking_proxy(port: int, *, after_bytes: int, flip: bool = False) -> Iterator[str]:
    """Passes connections on to ``port``; cuts each one that carries a file off after so many bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=pass_on, args=(listener.accept()[0],), daemon=True).start()

    def pass_on(inner: socket.socket) -> None:
        with suppress(OSError), inner, socket.create_connection(("127.0.0.1", port)) as outer:
            asked = inner.recv(65_536)
            outer.sendall(asked)
            left = after_bytes if b"/internal/snapshot/" in asked else 2**40
            while left > 0 and (data := outer.recv(min(left, 65_536))):
                left -= len(data)
                if flip and len(data) > 5_000:
                    data = data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]
                inner.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def test_a_verified_copy_arrives(filled: NodeUnderTest, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path, info = fetched(url(filled), to=tmp_path / "incoming", progress=lambda have, size: seen.append((have, size)))
    verify(path, info)
    assert info.index == filled.replica.applied
    assert seen[-1] == (info.size, info.size)
    assert list((tmp_path / "incoming").iterdir()) == [path]


def test_it_goes_on_where_the_connection_broke(filled: NodeUnderTest, tmp_path: Path) -> None:
    with breaking_proxy(filled.port, after_bytes=400_000) as broken:
        path, info = fetched(broken, to=tmp_path / "incoming")
    assert info.size > 1_000_000, "so it broke more than once"
    verify(path, info)


def test_what_an_earlier_call_left_is_used(filled: NodeUnderTest, tmp_path: Path) -> None:
    path, info = fetched(url(filled), to=tmp_path / "first")
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / f"{info.name}.partial").write_bytes(path.read_bytes()[: info.size - 1_000])
    (incoming / "000000000001-old.partial").write_bytes(b"of another one")
    with breaking_proxy(filled.port, after_bytes=3_000) as little:
        again, _ = fetched(little, to=incoming)
    assert again.read_bytes() == path.read_bytes()
    assert list(incoming.iterdir()) == [again]


def test_the_next_node_is_asked_when_one_has_nothing(filled: NodeUnderTest, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with scripted_server() as odd:
        odd.answers = [Answer(200, {"index": 1})]
        path, info = fetched(nobody, odd.url, url(filled), to=tmp_path / "incoming")
        verify(path, info)
        with pytest.raises(SnapshotUnavailable) as failed:
            fetched(nobody, odd.url, to=tmp_path / "incoming")
    assert nobody in failed.value.detail
    assert "cannot be read" in failed.value.detail


def test_a_node_that_is_behind_is_passed_over(filled: NodeUnderTest, tmp_path: Path) -> None:
    with pytest.raises(SnapshotUnavailable, match="only; ask another one"):
        fetched(url(filled), to=tmp_path / "incoming", at_least=10_000)


def test_damage_on_the_way_is_noticed_and_nothing_is_kept(filled: NodeUnderTest, tmp_path: Path) -> None:
    with (
        breaking_proxy(filled.port, after_bytes=2**40, flip=True) as liar,
        pytest.raises(SnapshotUnavailable, match="checksum"),
    ):
        fetched(liar, to=tmp_path / "incoming")
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_node_that_always_breaks_off_is_given_up(
    filled: NodeUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_fetch, "_WAIT_S", 0)
    with breaking_proxy(filled.port, after_bytes=100) as useless, pytest.raises(SnapshotUnavailable):
        fetched(useless, to=tmp_path / "incoming")


def test_without_room_it_does_not_begin(filled: NodeUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    full = usage._replace(free=5 * 2**20 // 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full if path == tmp_path else usage)
    with pytest.raises(NotEnoughSpace, match=r"has 2\.5 MiB free, \d+\.\d MiB are needed"):
        fetched(url(filled), to=tmp_path / "incoming")
    assert list((tmp_path / "incoming").iterdir()) == []
