"""Celery with Redis.

- ``task_acks_late`` with ``task_reject_on_worker_lost``: a job that ran when its worker was killed is delivered again.
  https://docs.celeryq.dev/en/stable/userguide/configuration.html#task-reject-on-worker-lost
- ``visibility_timeout``: with Redis it is what brings such a job back; an hour by default. It has to be longer than the
  longest ETA, here half a minute.
  https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html#visibility-timeout
- ``unacked_restore_interval`` with ``unacked_restore_throttle``: how often is looked for them by the event loop of the
  prefork pool (kombu.transport.redis). With gevent kombu looks only when a poll finds nothing, at every call then;
  an issue says that such jobs may stay away: https://github.com/celery/celery/issues/4976
- ``max_connections``: one for each task that may be acknowledged at the same moment. With the default of ten, gevent
  runs out of them ("Couldn't ack"), and jobs are left unacknowledged (kombu.transport.redis).
- Two pools are measured. gevent is the advice for tasks that only wait:
  https://docs.celeryq.dev/en/stable/userguide/concurrency/gevent.html
  With threads, kombu's event loop looks for jobs of a dead worker as it does with the prefork pool.
- The prefetch multiplier is the default, 4: short tasks want more than 1.
  https://docs.celeryq.dev/en/stable/userguide/optimizing.html#prefetch-limits
- Results are not kept: https://docs.celeryq.dev/en/stable/userguide/tasks.html#ignore-results-you-don-t-want
- There is no call that enqueues many at once: ``group`` publishes each.
"""

import os
import sys
from datetime import UTC, datetime

import urllib3
from celery import Celery
from enqueuing import with_threads

AT_ONCE = int(os.environ["PEER_AT_ONCE"])
app = Celery("peer", broker=os.environ["PEER_STORE"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    broker_pool_limit=32,
    broker_transport_options={
        "visibility_timeout": 60,
        "max_connections": 2 * AT_ONCE,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
    },
    worker_hijack_root_logger=False,
)
http = urllib3.PoolManager(maxsize=AT_ONCE, block=True)
RECEIVER = os.environ["PEER_RECEIVER"]
JSON = {"content-type": "application/json"}


@app.task(name="hook", autoretry_for=(urllib3.exceptions.HTTPError,), retry_backoff=True)
def hook(number, body):
    """Make the call."""
    answer = http.request("POST", f"{RECEIVER}/{number}", body=body, headers=JSON)
    if answer.status >= 300:
        raise urllib3.exceptions.HTTPError(str(answer.status))


def send(numbers, order):
    """Enqueue each."""
    for number in numbers:
        eta = datetime.fromtimestamp(order.at, UTC) if order.at else None
        hook.apply_async((number, os.environ["PEER_BODY"]), eta=eta)


if __name__ == "__main__":
    if sys.argv[1] == "work":
        celery = os.path.join(os.path.dirname(sys.executable), "celery")
        pool = ["-P", os.environ["PEER_POOL"], "-c", str(AT_ONCE)]
        os.execv(celery, [celery, "-A", "peer", "worker", *pool, "-l", "WARNING"])
    if sys.argv[1] == "enqueue":
        with_threads(sys.argv[2:], send)
