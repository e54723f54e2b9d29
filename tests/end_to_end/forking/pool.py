"""A pool of multiprocessing's "fork" kind whose children use the client of their parent; prints the ids."""

import multiprocessing
import os

import hookline

client = hookline.Client(timeout=60)
if os.environ["USED_BEFORE"] == "yes":
    client.health()


def order(_number: int) -> str:
    return client.create_job("http://127.0.0.1:9/hook", delay="1h").id


if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(*pool.map(order, range(8), chunksize=1))
