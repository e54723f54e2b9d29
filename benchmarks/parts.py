"""Says where a node's time went, from what py-spy wrote: ``python benchmarks/parts.py FILE [MICROSECONDS]``.

``py-spy record --gil -r 200 -d 60 -f raw -o FILE -p PID`` writes it, while a load runs. Each sample counts for the part
of its innermost frame that has one. MICROSECONDS: what a job costs in all; else shares are printed.
"""

import re
import sys
from collections import Counter
from pathlib import Path

_PARTS = (
    ("metrics", r"prometheus_client|hookline/telemetry/tallies|telemetry"),
    (
        "committing, in its thread",
        r"Database\.commit|StateMachine\.(commit|make_durable)|ThreadCommit\._run|futures/thread",
    ),
    (
        "reading and checking a create, its view",
        r"strict_json|node/api/|admission|protocol/ids|destination_rules|vault",
    ),
    ("attempts", r"node/attempts|http_client/|protocol/webhook|protocol/signatures"),
    ("dispatch", r"node/dispatch/|leader_reads"),
    ("applying", r"state_machine/"),
    ("replica, log and codec", r"node/replica|replicated_log|protocol/codec|ThreadCommit"),
    ("HTTP in", r"http_api/|uvicorn/|starlette/"),
)
_REST = "event loop and the rest"


def part_of(stack: str) -> str:
    """The part that a sample belongs to; frames are separated by semicolons, the innermost is the last."""
    if "get_metrics" in stack:
        return "metrics"
    for frame in reversed(stack.split(";")):
        for name, pattern in _PARTS:
            if re.search(pattern, frame):
                return name
    return _REST


def main(file: Path, microseconds: float | None = None) -> None:
    """Print a line for each part, the largest first."""
    samples: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        samples[part_of(stack)] += int(count)
    for name, times in samples.most_common():
        share = times / samples.total()
        print(f"| {name} | {share:.1%} |" if microseconds is None else f"| {name} | {share * microseconds:.0f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(float, sys.argv[2:3]))
