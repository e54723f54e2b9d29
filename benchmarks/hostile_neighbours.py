"""How late healthy jobs are beside hostile receivers: ``python benchmarks/hostile_neighbours.py`` (half a minute).

Alone and beside them in turn, in one node: the lateness of arrivals, p50 and p99. Exit code 1 when the p99 beside them
is more than twice that alone, and 25 ms: both are a few milliseconds, and a machine has other work. ``--quick`` tries
the script, and judges nothing.
"""

import argparse
import statistics
import sys
import tempfile
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.end_to_end import hostile
from tests.end_to_end.processes import Journal, NodeProcess, journal_receiver, running_node, until

JOBS, ROUNDS, HOSTILE_EACH = 100, 3, 8
BEHAVIOURS = {
    behave.__name__: behave
    for behave in (
        hostile.interim_flood,
        hostile.empty_lines,
        hostile.endless_body,
        hostile.tiny_chunks,
        hostile.endless_trailer,
        hostile.many_headers,
        hostile.byte_a_second,
        hostile.gzip_bomb,
    )
}


def lateness_ms(node: NodeProcess, port: int, journal: Journal, count: int) -> list[float]:
    """Of jobs, each due 20 ms after the one before."""
    start = len(journal.requests)
    jobs = [{"url": f"http://127.0.0.1:{port}/", "delay": 0.3 + number * 0.02} for number in range(count)]
    status, answer = node.call("POST", "/jobs/batch", {"jobs": jobs})
    assert status == 200, answer
    until(lambda: len(journal.requests) == start + count, "the healthy receiver has all its requests", 60)
    return [
        (arrived - datetime.fromisoformat(headers["hookline-scheduled-at"]).timestamp()) * 1_000
        for _, arrived, headers, _ in journal.requests[start:]
    ]


def main() -> int:
    """Measure, and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="for trying the script: few jobs, no judgement")
    is_quick = parser.parse_args().quick
    jobs, rounds = (10, 1) if is_quick else (JOBS, ROUNDS)
    alone: list[float] = []
    beside: list[float] = []
    with (
        tempfile.TemporaryDirectory() as directory,
        journal_receiver() as (port, journal),
        hostile.hostile_receivers(BEHAVIOURS) as ports,
        running_node(Path(directory) / "data") as node,
    ):
        for _ in range(rounds):
            alone += lateness_ms(node, port, journal, jobs)
            for hostile_port in ports.values():
                job = {"url": f"http://127.0.0.1:{hostile_port}/", "timeout": 2, "retry": {"max_attempts": 1}}
                node.call("POST", "/jobs/batch", {"jobs": [job] * HOSTILE_EACH})
            beside += lateness_ms(node, port, journal, jobs)
    p99 = {}
    print("| healthy jobs | late by: p50 ms | p99 ms |\n|---|--:|--:|")
    for name, found in (("alone", alone), ("beside hostile receivers", beside)):
        p99[name] = sorted(found)[int(len(found) * 0.99)]
        print(f"| {name} | {statistics.median(found):.1f} | {p99[name]:.1f} |")
    return 0 if is_quick else int(p99["beside hostile receivers"] > 2 * p99["alone"] + 25)


if __name__ == "__main__":
    sys.exit(main())
