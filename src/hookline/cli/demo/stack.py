"""Starts and stops the parts of the demo: a node as its users start it, and a receiver in a thread."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hookline.cli.demo.plan import answer_to
from hookline.cli.receiver import Received, ReceiverApp, ReceiverReply, plain, server
from hookline.clock import SystemClock
from hookline.errors import NodeFault
from hookline.http_api.server import listen, url_of

_START_S = 20
_STOP_S = 15


@contextmanager
def running_node(folder: Path) -> Iterator[str]:
    """``hookline up`` with its data in this folder; yields its url.

    Raises:
        NodeFault: it did not start; the detail has the end of its log.
    """
    command = [sys.executable, "-m", "hookline.cli.app", "up", "--data-dir", str(folder / "data"), "--port", "0"]
    # Settings of another Hookline on this machine must not change the demo.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}
    with (folder / "node.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # our own program
            [*command, "--allow-private-destinations"], stdout=subprocess.PIPE, stderr=log, env=environment
        )
    try:
        yield _ready_url(process, folder / "node.log")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def running_receiver(secret: str) -> Iterator[tuple[str, list[Received]]]:
    """A receiver that verifies with ``secret``; yields its url and the list that grows with what it receives."""
    received: list[Received] = []

    async def answer(one: Received) -> ReceiverReply:
        received.append(one)
        return plain(answer_to(one.path, one.attempt))

    with listen("127.0.0.1", 0) as listener:
        running = server(ReceiverApp(answer, SystemClock(), secrets=[secret]))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield url_of(listener), received
        finally:
            running.should_exit = True
            thread.join(_STOP_S)


def _ready_url(process: subprocess.Popen[bytes], log: Path) -> str:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], _START_S)
    line = process.stdout.readline().decode() if readable else ""
    if not line.startswith("ready "):
        tail = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise NodeFault(f"The node did not start. The end of its log:\n{tail}")
    return line.removeprefix("ready ").strip()
