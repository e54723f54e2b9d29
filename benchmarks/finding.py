"""Measures how long it takes to find one dead job among very many: ``python benchmarks/finding.py [--count 1000000]``.

Jobs that are due in 30 days are created over HTTP in batches, and one that dies at once amid them; beside it is a node
with a thousandth of them. Each search is asked of both in turn, for a page of 50: how long the first page takes, and
how many pages and how long it is until the job is there. A million jobs take a minute.
"""

import argparse
import json
import statistics
import time
import urllib.request
from typing import NamedTuple

from node_process import Process, node, script

_NOBODY = 9  # ports of receivers that are never there
_NEEDLE = 10
_MONTH_S = 30 * 86_400
_ROOM = ("--pending-jobs-max", "1000000000", "--pending-bytes-max", "10000000000000")
_ROUNDS = 11
SEARCHES = {
    "the newest": "",
    "dead": "state=dead",
    "dead, by label": "state=dead&label=needle%3D1",
    "by label": "label=needle%3D1",
    "dead, by error text": "state=dead&error=refused",
    "by destination": f"destination=http://127.0.0.1:{_NEEDLE}",
    "by error text": "error=refused",
}


class Search(NamedTuple):
    """One search at one node: the first page, and all until the job is found."""

    first_ms: float
    pages: int
    all_ms: float


def filled(process: Process, count: int) -> None:
    """Make the jobs, and the one that dies amid them."""
    _more(process, count // 2)
    dying = {"url": f"http://127.0.0.1:{_NEEDLE}/", "labels": {"needle": "1"}, "retry": {"max_attempts": 1}}
    request = urllib.request.Request(
        f"http://127.0.0.1:{process.port}/jobs", json.dumps(dying).encode(), {"content-type": "application/json"}
    )
    urllib.request.urlopen(request).read()
    while not process.get("/jobs?state=dead")["data"]:
        time.sleep(0.05)
    _more(process, count - count // 2)


def _more(process: Process, count: int) -> None:
    created = 0
    while created < count:  # a busy node refuses some
        left = count - created
        created += script("load.py", process.port, _NOBODY, left, min(500, left), 4, 0, _MONTH_S)["created"]


def search(process: Process, query: str) -> Search:
    """Ask, and go on until something is found."""
    began = time.perf_counter()
    page = process.get(f"/jobs?limit=50&{query}")
    first_ms = (time.perf_counter() - began) * 1_000
    pages = 1
    while not page["data"]:
        page = process.get(f"/jobs?limit=50&{query}&cursor={page['next_cursor']}")
        pages += 1
    return Search(first_ms, pages, (time.perf_counter() - began) * 1_000)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    arguments = parser.parse_args()
    few = max(2, arguments.count // 1_000)
    with node(None, *_ROOM) as small, node(None, *_ROOM) as large:
        filled(small, few)
        filled(large, arguments.count)
        print(f"| search | first page of {few:,}, ms | of {arguments.count:,}, ms | ratio | pages | until found, ms |")
        print("|---|--:|--:|--:|--:|--:|")
        for name, query in SEARCHES.items():
            rounds = [(search(small, query), search(large, query)) for _ in range(_ROUNDS)]
            one, other = (statistics.median(each[place].first_ms for each in rounds) for place in (0, 1))
            whole = statistics.median(each[1].all_ms for each in rounds)
            pages = rounds[0][1].pages
            print(f"| {name} | {one:.1f} | {other:.1f} | {other / one:.1f} | {pages} | {whole:.0f} |", flush=True)


if __name__ == "__main__":
    main()
