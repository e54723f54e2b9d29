"""Measures what open dashboards cost: ``python benchmarks/dashboards.py`` (about 4 minutes).

One node delivers 200 jobs a second, each due two seconds after its creation. Nobody looks, or 20 overviews are open,
whose live parts are read as browsers do; in turn and in one run. Told are the lags of the jobs, and the node's CPU.
"""

import argparse
import html
import re
import statistics
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urljoin

from node_process import Process, node, receiver, script
from run import wait_delivered, warm_up

_RATE = 200
_DELAY_S = 2


def watch(url: str, stop: threading.Event, read: list[int]) -> None:
    """Have a page open until it is told to stop."""
    with urllib.request.urlopen(f"{url}/dashboard") as page:
        text = page.read().decode()
    live = re.search(r'data-live="([^"]+)"', text)
    assert live is not None, "the page has no live part"
    with urllib.request.urlopen(urljoin(f"{url}/dashboard", html.unescape(live[1]))) as events:
        while not stop.is_set():
            read[0] += len(events.readline())


@contextmanager
def watched(process: Process, pages: int) -> Iterator[list[int]]:
    """So many pages are open. Holds how many bytes they got."""
    stop, read = threading.Event(), [0]
    threads = [
        threading.Thread(target=watch, args=(f"http://127.0.0.1:{process.port}", stop, read), daemon=True)
        for _ in range(pages)
    ]
    for thread in threads:
        thread.start()
    yield read
    stop.set()
    for thread in threads:
        thread.join(20)


def measure(pages: int, seconds: int) -> dict[str, float]:
    """Lags in ms, and the node's CPU in percent of a core."""
    with ExitStack() as stack:
        target = stack.enter_context(receiver(0))
        process = stack.enter_context(node(None, "--attempt-processes", "0", "--api-processes", "0"))
        read = stack.enter_context(watched(process, pages))
        warm = warm_up(process, target, 100, connections=4)
        before = process.cpu_seconds()
        created = script("load.py", process.port, target.port, _RATE * seconds, 1, 8, _RATE, _DELAY_S)["created"]
        wait_delivered(process, warm + created)
        cpu = (process.cpu_seconds() - before) / (seconds + _DELAY_S) * 100
        lags = sorted(target.get("/stats")["lags_ms"])
        assert not pages or read[0] > 0, "the pages got nothing"
    return {"p50": statistics.median(lags), "p99": lags[int(len(lags) * 0.99)], "cpu": cpu}


def main() -> None:
    """Run everything and print the table; ratios are to the run without pages of the same round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=20)
    given = parser.parse_args()
    found: dict[int, list[dict[str, float]]] = {0: [], given.pages: []}
    for _ in range(given.runs):
        for pages, runs in found.items():
            runs.append(measure(pages, given.seconds))
    print("| dashboards open | lag p50 ms | ratio | lag p99 ms | ratio | CPU of a core |\n|--:|--:|--:|--:|--:|--:|")
    for pages, runs in found.items():
        cells = []
        for name in ("p50", "p99"):
            ratios = [run[name] / alone[name] for run, alone in zip(runs, found[0], strict=True)]
            middle = statistics.median(run[name] for run in runs)
            cells.append(f"{middle:.1f} | {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")
        cpu = statistics.median(run["cpu"] for run in runs)
        print(f"| {pages} | {' | '.join(cells)} | {cpu:.0f} % |")


if __name__ == "__main__":
    main()
