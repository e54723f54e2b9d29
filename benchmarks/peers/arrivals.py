"""The receiver of a comparison: knows when each job came, and how often.

``python -m peers.arrivals DELAY_SECONDS`` takes a free port and prints ``ready URL``. A job's number is its path:
``POST /17``. ``GET /stats`` answers ``{"jobs", "last", "at_once"}``: how many different ones came so far, when the
last did, and how many at most were unanswered at one time. ``GET /arrivals`` answers the times of each, by number.
Nothing is reset.
"""

import asyncio
import json
import sys
import time
from typing import ClassVar

import uvloop
from receiver import Receiver


class Arrivals(Receiver):
    """One connection."""

    seen: ClassVar[dict[bytes, list[float]]] = {}
    open = 0
    at_once = 0

    def _request(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1]
        if head.startswith(b"get /arrivals"):
            body = json.dumps({path[1:].decode(): times for path, times in self.seen.items()}).encode()
            super()._answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            return
        cls = type(self)
        cls.open += 1
        cls.at_once = max(cls.at_once, cls.open)
        self.seen.setdefault(path, []).append(time.time())
        super()._request(head)

    def _stats(self) -> None:
        body = json.dumps({"jobs": len(self.seen), "last": self.last, "at_once": self.at_once}).encode()
        super()._answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

    def _answer(self, answer: bytes) -> None:
        type(self).open -= 1
        super()._answer(answer)


async def main(delay_s: float) -> None:
    """Serve until killed."""
    Arrivals.delay_s = delay_s
    server = await asyncio.get_running_loop().create_server(Arrivals, "127.0.0.1", 0, backlog=4_096)
    print(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1])))
