"""Dramatiq with Redis.

- gevent for tasks that wait for the network: https://dramatiq.io/advanced.html#using-gevent; one process a core, which
  is the default, and together as many greenlets as attempts are asked for.
- A message is acknowledged after the actor ended: https://dramatiq.io/advanced.html#message-persistence. Those of a
  killed worker come back when another process of the same broker finds, at its maintenance, that the worker has not
  been seen for ``heartbeat_timeout`` (a minute, the default). ``maintenance_chance`` is of a million commands; the
  default, 1,000, would let an idle worker wait for about ten minutes.
  https://dramatiq.io/reference.html#dramatiq.brokers.redis.RedisBroker
- Time limits and retries are those of the default middleware.
- There is no call that enqueues many at once: ``group`` enqueues each.
"""

import os
import sys

import dramatiq
import urllib3
from dramatiq.brokers.redis import RedisBroker
from enqueuing import with_threads

AT_ONCE, PROCESSES = int(os.environ["PEER_AT_ONCE"]), 2
dramatiq.set_broker(RedisBroker(url=os.environ["PEER_STORE"], maintenance_chance=20_000))
http = urllib3.PoolManager(maxsize=AT_ONCE, block=True)
RECEIVER = os.environ["PEER_RECEIVER"]
JSON = {"content-type": "application/json"}


@dramatiq.actor
def hook(number, body):
    """Make the call."""
    answer = http.request("POST", f"{RECEIVER}/{number}", body=body, headers=JSON)
    if answer.status >= 300:
        raise RuntimeError(answer.status)


def send(numbers, order):
    """Enqueue each."""
    for number in numbers:
        delay = int(order.delay_s() * 1_000) if order.at else None
        hook.send_with_options(args=(number, os.environ["PEER_BODY"]), delay=delay)


if __name__ == "__main__":
    if sys.argv[1] == "work":
        program = os.path.join(os.path.dirname(sys.executable), "dramatiq-gevent")
        share = str(AT_ONCE // PROCESSES)
        os.execv(program, [program, "peer", "-p", str(PROCESSES), "-t", share])
    if sys.argv[1] == "enqueue":
        with_threads(sys.argv[2:], send)
