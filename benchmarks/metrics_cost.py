"""Measures what metrics cost: ``python benchmarks/metrics_cost.py`` (about 5 minutes).

One node as it is beside one that counts and observes nothing, in turn and in one run: jobs one by one and in batches,
end to end. Beside them one whose metrics are read once a second, as Prometheus would do fifteen times less often.
"""

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from beside import HEAD, compare, options_of
from node_process import HERE, Process, node

AS_IT_IS, READ, WITHOUT = ("with metrics", "with metrics, read every second", "without")


@contextmanager
def serving(kind: str) -> Iterator[tuple[Process, dict[str, str]]]:
    """One node in one process."""
    program = (str(HERE / "without_metrics.py"),) if kind == WITHOUT else ("-m", "hookline.cli.app")
    stop = threading.Event()
    with node(None, "--attempt-processes", "0", "--api-processes", "0", program=program) as process:
        reading = threading.Thread(target=_read, args=(process.port, stop))
        if kind == READ:
            reading.start()
        try:
            yield process, {}
        finally:
            stop.set()
            if kind == READ:
                reading.join()


def _read(port: int, stop: threading.Event) -> None:
    while not stop.wait(1):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read()


def main() -> None:
    """Run everything and print the table."""
    options = options_of(__doc__, 7)
    print(HEAD)
    compare((WITHOUT, AS_IT_IS, READ), serving, options, "{case}: {kind}")


if __name__ == "__main__":
    main()
