"""Counts the files on a job's way: ``python benchmarks/way.py`` prints a table; ``--files`` names them.

A file counts when one of its functions runs: from ``POST /jobs`` to its answer at a node and at a proxy, and from the
moment that the job is due until its request is with the receiver. The parts are the product's; the log is in memory.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import msgspec

import hookline
from hookline.peers.sender import NodeAnswer
from hookline.testing import InProcessNode, run

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.proxy_app import ScriptedProxy
from tests.proxy_parts import topology

SOURCE = str(Path(hookline.__file__).parent) + "/"
AROUND = ("client/", "testing/")
ARRIVED = "testing/receiver.py"


class Way:
    """Files and calls on a way, as long as it is followed."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.calls = 0

    def note(self, frame: FrameType, event: str, _argument: object) -> None:
        """As ``sys.setprofile`` calls it; stops by itself at the receiver."""
        path = frame.f_code.co_filename
        if event != "call" or not path.startswith(SOURCE):
            return
        name = path.removeprefix(SOURCE)
        if name == ARRIVED and frame.f_code.co_name == "send":
            sys.setprofile(None)
        elif not name.startswith(AROUND):
            self.files.add(name)
            self.calls += 1

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Take note of what runs."""
        sys.setprofile(self.note)
        try:
            yield
        finally:
            sys.setprofile(None)


def at_a_node() -> tuple[Way, Way]:
    """Ways from the request to the answer, and from the due time to the receiver."""
    created, sent = Way(), Way()

    async def main() -> None:
        async with InProcessNode() as node:
            await node.client.create_job("https://example.com/hook", payload={"order": 1})
            await node.receiver.wait_for(1)
            await node.advance("1m")  # what is done once, and what follows the first job, is done
            with created.followed():
                await node.client.create_job("https://example.com/hook", payload={"order": 2}, delay="1h")
            await node.advance("59m")
            with sent.followed():
                await node.receiver.wait_for(2)

    run(main())
    return created, sent


def through_a_proxy() -> Way:
    """The way from the request to the answer, all but the node's part."""
    way = Way()
    answer = NodeAnswer(201, msgspec.json.encode({"id": "x"}))
    proxy = ScriptedProxy(lambda _url, _call: answer, topology(2))
    job = {"url": "https://example.com/hook", "payload": {"order": 1}}
    assert proxy.call("POST", "/jobs", job)[0] == 201
    with way.followed():
        assert proxy.call("POST", "/jobs", job)[0] == 201
    return way


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", action="store_true", help="name the files")
    options = parser.parse_args()
    created, sent = at_a_node()
    ways = {"POST /jobs to its answer, at a node": created, "due to the receiver": sent}
    ways["POST /jobs to its answer, at a proxy"] = through_a_proxy()
    print("| way | files | calls of functions |\n|---|--:|--:|")
    for name, way in ways.items():
        print(f"| {name} | {len(way.files)} | {way.calls} |")
        if options.files:
            print(*sorted(way.files), sep="\n")


if __name__ == "__main__":
    main()
