"""A child process and the link to it: messages in order, one write for many, and the end of either."""

import asyncio
import fcntl
import os
import signal
import socket
from pathlib import Path

import pytest

from hookline.processes.child import start_child
from hookline.processes.link import Link, linked

ECHO = "tests.unit.echo_child"


class Inbox:
    """Keeps what a link receives."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._changed = asyncio.Event()

    def __call__(self, message: bytes) -> None:
        self.messages.append(message)
        self._changed.set()

    async def until(self, count: int) -> list[bytes]:
        while len(self.messages) < count:
            self._changed.clear()
            await self._changed.wait()
        return self.messages


async def pair() -> tuple[Link, Inbox, Link, Inbox]:
    ours, its = socket.socketpair()
    one, other = Inbox(), Inbox()
    return await linked(ours, one), one, await linked(its, other), other


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
async def test_messages_arrive_whole_and_in_their_order(size: int) -> None:
    here, _, there, inbox = await pair()
    sent = [b"%d:" % number + bytes(size) for number in range(20)]
    for message in sent:
        here.send(message)
    assert await inbox.until(20) == sent
    here.close()
    await there.ended.wait()


async def test_what_is_sent_before_the_end_arrives_and_what_comes_after_it_goes_nowhere() -> None:
    here, _, there, inbox = await pair()
    here.send(b"last")
    here.close()
    await there.ended.wait()
    assert inbox.messages == [b"last"]
    there.send(b"nobody hears it")
    await here.ended.wait()


async def test_a_child_answers_and_holds_a_lock_until_it_is_gone(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    inbox = Inbox()
    child = await start_child(ECHO, inbox, keep=(lock,))
    child.link.send(b"hello")
    assert await inbox.until(1) == [b"hello"]
    os.close(lock)
    again = os.open(tmp_path / "lock", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(child.pid, number)
    child.link.send(b"still there")
    assert await inbox.until(2) == [b"hello", b"still there"]
    assert await child.end() == -signal.SIGKILL
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(again)


async def test_a_child_ends_when_its_link_does() -> None:
    child = await start_child(ECHO, Inbox())
    child.link.close()
    assert await child.ended() == 0
