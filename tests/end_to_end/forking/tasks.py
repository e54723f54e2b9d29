"""Celery tasks that use one client, made when the worker loads them: before its prefork pool forks."""

import os

from celery import Celery

import hookline

app = Celery("shop", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
client = hookline.Client(timeout=60)
if os.environ["USED_BEFORE"] == "yes":
    client.health()


@app.task  # type: ignore[untyped-decorator]  # Celery has no types
def order() -> str:
    return client.create_job("http://127.0.0.1:9/hook", delay="1h").id
