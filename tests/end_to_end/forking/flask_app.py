"""A shop in Flask with one client for all, made when gunicorn loads it: before it forks, with --preload."""

import os

from flask import Flask

import hookline

client = hookline.Client(timeout=60)
app = Flask(__name__)
if os.environ["USED_BEFORE"] == "yes":
    client.health()


@app.post("/order")
def order() -> dict[str, object]:
    job = client.create_job("http://127.0.0.1:9/hook", delay="1h")
    return {"id": job.id, "pid": os.getpid()}
