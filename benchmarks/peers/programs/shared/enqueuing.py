"""Shared by all enqueuers in Python: callers at once, a pace, and which jobs were not acknowledged.

The arguments are ``FIRST COUNT BATCH CALLERS RATE AT``, see benchmarks/peers/cases.py.
"""

import asyncio
import json
import sys
import threading
import time


class Order:
    """An order: what is to be enqueued, handed out a batch at a time."""

    def __init__(self, arguments):
        self.first, self.count, self.batch, self.callers, self.rate, at = map(int, arguments)
        self.at = at or None
        self.next = self.first
        self.failed = []
        self.lock = threading.Lock()
        self.began = time.time()

    def take(self):
        """The next numbers, and how long to wait before they are due; None at the end."""
        with self.lock:
            numbers = range(self.next, min(self.next + self.batch, self.first + self.count))
            self.next = numbers.stop
        if not numbers:
            return None
        due = self.began + (numbers.start - self.first) / self.rate if self.rate else 0
        return numbers, max(0.0, due - time.time())

    def delay_s(self):
        """How long until all are due; 0 for at once."""
        return max(0.0, self.at - time.time()) if self.at else 0.0

    def tell_first(self, error):
        """Print the first error."""
        if not self.failed:
            print(f"not acknowledged: {error!r}", file=sys.stderr, flush=True)

    def tell(self):
        """Print the figures."""
        print(json.dumps({"began": self.began, "seconds": time.time() - self.began, "failed": self.failed}), flush=True)


def with_threads(arguments, send):
    """Call ``send(numbers, order)`` from that many threads; what it raises makes the numbers count as failed."""
    order = Order(arguments)

    def call():
        while (taken := order.take()) is not None:
            numbers, wait_s = taken
            if wait_s:
                time.sleep(wait_s)
            try:
                send(numbers, order)
            except Exception as error:
                order.tell_first(error)
                with order.lock:
                    order.failed.extend(numbers)
                time.sleep(0.1)

    threads = [threading.Thread(target=call) for _ in range(order.callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    order.tell()


async def with_tasks(arguments, send):
    """The same for a coroutine function."""
    order = Order(arguments)

    async def call():
        while (taken := order.take()) is not None:
            numbers, wait_s = taken
            if wait_s:
                await asyncio.sleep(wait_s)
            try:
                await send(numbers, order)
            except Exception as error:
                order.tell_first(error)
                order.failed.extend(numbers)
                await asyncio.sleep(0.1)

    await asyncio.gather(*(call() for _ in range(order.callers)))
    order.tell()
