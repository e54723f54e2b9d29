"""Compares Hookline with what people would pick instead, in one run: ``make peers`` (about an hour).

Each peer is set up as its own documentation advises, with equal durability: what is acknowledged is on the disk.
A round measures everybody once, in turn, in a quarter of an hour; the kills come last, several peers at a time, and are
made once.
``--write`` puts the tables into docs/reference/peers.md.
"""

import argparse
import json
import os
import platform
import shlex
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from marked_page import filled
from node_process import receiver, script
from peers import report
from peers.cases import FULL, QUICK, Size, deliver, enqueue, herd, killed
from peers.catalogue import Peer, another, everybody
from peers.goals import Kept, table
from peers.installing import Installer, Unavailable, versions

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "peers.md"
RESULTS = Path(__file__).parent / "results.json"
_KILLS_AT_ONE_TIME = 4

Case = Callable[[], dict[str, float]]


class Measured:
    """Holds what was measured, what failed, and who was skipped."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, list[dict[str, float]]]] = {}
        self.failed: dict[str, dict[str, str]] = defaultdict(dict)
        self.skipped: dict[str, str] = {}

    def take(self, name: str, case: str, measure: Case) -> None:
        """Run one case; one that fails does not end the others."""
        began = time.monotonic()
        try:
            figures = measure()
        except Exception as error:  # noqa: BLE001 - it is told in the tables
            words = " ".join(str(error).split())[-400:].replace("|", "/")
            self.failed[name][case] = f"{type(error).__name__}: {words}"
            print(f"{name}, {case}: FAILED: {words}", file=sys.stderr)
            return
        self.found.setdefault(name, {}).setdefault(case, []).append(figures)
        shown = ", ".join(f"{figure} {value:,.1f}" for figure, value in figures.items())
        print(f"{name}, {case}: {shown} ({time.monotonic() - began:.0f} s)", file=sys.stderr)


def cases(peer: Peer, size: Size, wanted: set[str]) -> dict[str, Case]:
    """Lists what a round measures of one peer, of what is wanted."""
    batch = size.batch if peer.bulk else 1
    fast, single, slow = report.DELIVERIES
    found: dict[str, Case] = {
        fast: partial(deliver, peer, size, 0, batch),
        single: partial(deliver, peer, size, 0, 1),
        slow: partial(deliver, peer, size, 0.2, batch),
        report.ENQUEUES[0]: partial(enqueue, peer, size, 1),
    }
    if peer.bulk:
        found[report.ENQUEUES[1]] = partial(enqueue, peer, size, size.batch)
    found[report.HERD] = partial(herd, peer, size)
    return {case: measure for case, measure in found.items() if case in wanted}


def bare(size: Size, delay_s: float) -> dict[str, float]:
    """The bare loop, which only POSTs."""
    with receiver(delay_s) as target:
        count = max(100, size.slow if delay_s else 3 * size.fast)
        figures = script("bare_loop.py", target.port, count, 100)
    rate, cpu = figures["count"] / figures["seconds"], figures["cpu_seconds"] / figures["count"] * 1e6
    return {"rate": rate, "cpu_us": cpu}


def run(peers: list[Peer], size: Size, rounds: int, wanted: set[str]) -> Measured:
    """All rounds, then the kills."""
    measured = Measured()
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for case, delay_s in ((report.DELIVERIES[0], 0), (report.DELIVERIES[2], 0.2)):
            if case in wanted:
                measured.take(report.BARE, case, partial(bare, size, delay_s))
        for peer in peers:
            for case, measure in cases(peer, size, wanted).items():
                measured.take(peer.name, case, measure)
    with ThreadPoolExecutor(_KILLS_AT_ONE_TIME) as pool:
        for case in report.KILLS:
            if case in wanted:
                for peer in peers:
                    pool.submit(measured.take, peer.name, case, partial(killed, peer, size, case.split()[0]))
    order = [peer.name for peer in peers]
    if report.BARE in measured.found:
        order.insert(0, report.BARE)
    measured.found = {name: measured.found.get(name, {}) for name in order}
    return measured


def prepare(peers: list[Peer], cache: Path) -> tuple[list[Peer], dict[str, str]]:
    """Install what they need; who can be measured, and why the others cannot."""
    installer, ready, skipped = Installer(cache), [], {}
    for peer in peers:
        print(f"setting up {peer.name}", file=sys.stderr)
        try:
            installer.bring(peer.installs)
            ready.append(peer)
        except Unavailable as error:
            skipped[peer.name] = str(error)
            print(f"skipped {peer.name}: {error}", file=sys.stderr)
    return ready, skipped


def kept(measured: Measured, peers: list[Peer], cache: Path, given: argparse.Namespace) -> Kept:
    """All that the report needs, as JSON has it."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "command": f"python -m peers.run {shlex.join(sys.argv[1:])}",
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}",
        "rounds": given.rounds,
        "is_quick": given.quick,
        "versions": versions(cache),
        "peers": {peer.name: {"copies": peer.copies, "language": peer.language} for peer in peers},
        "found": measured.found,
        "failed": measured.failed,
        "skipped": measured.skipped,
    }


def joined(before: Kept, now: Kept) -> Kept:
    """The runs of both, on the machine and with the versions of the later one; each with its command."""
    names = dict.fromkeys((*before["found"], *now["found"]))
    found = {name: _both(before["found"].get(name, {}), now["found"].get(name, {})) for name in names}
    peers, failed = before["peers"] | now["peers"], before["failed"] | now["failed"]
    rounds, command = before["rounds"] + now["rounds"], f"{before['command']}`, then `{now['command']}"
    return {**now, "command": command, "rounds": rounds, "peers": peers, "found": found, "failed": failed}


def _both(before: report.Runs, now: report.Runs) -> report.Runs:
    return {case: [*before.get(case, ()), *now.get(case, ())] for case in dict.fromkeys((*before, *now))}


def told(run: Kept) -> list[str]:
    """The lines of the report."""
    head = [
        f"Measured on {run['date']} with `{run['command']}` (`make peers`): {run['machine']};",
        f"rounds: {run['rounds']}{', tiny counts that say nothing (`--quick`)' if run['is_quick'] else ''}.",
        "",
    ]
    copies = {name: peer["copies"] for name, peer in run["peers"].items()}
    body = report.tables(run["found"], run["failed"], run["skipped"], copies)
    goals = ["What Hookline wants to be, held against this run:", "", *table(run)]
    return [*head, *body, "", *goals, "", "Versions:", "", *(f"- {line}" for line in run["versions"])]


def written(page: str, run: Kept) -> str:
    """The page with the report between its marks."""
    return filled(page, {"measured": told(run)})


def main() -> None:
    """Run it and print the tables."""
    every = [*report.DELIVERIES, *report.ENQUEUES, report.HERD, *report.KILLS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny counts, for trying it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="peers whose names contain one of these words; Hookline is one")
    parser.add_argument("--cases", nargs="+", choices=every, default=every)
    parser.add_argument("--also", metavar="NAME=COMMAND", action="append", default=[], help="a program of yours")
    parser.add_argument("--set-up", action="store_true", help="only install what they need")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "hookline-peers")
    parser.add_argument("--write", action="store_true", help=f"{PAGE.name} too, and {RESULTS.name} beside this program")
    parser.add_argument("--add", action="store_true", help=f"more rounds to those of {RESULTS.name}")
    parser.add_argument("--render", action="store_true", help=f"measure nothing, write {PAGE.name} by {RESULTS.name}")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    given = parser.parse_args()
    if given.quick and given.write:
        parser.error("--quick measures nothing that may be written down")
    if given.render:
        PAGE.write_text(written(PAGE.read_text(), json.loads(RESULTS.read_text())))
        return
    peers = [*everybody(given.cache), *map(another, given.also)]
    if given.only:
        peers = [peer for peer in peers if any(word.lower() in peer.name.lower() for word in given.only)]
    ready, skipped = prepare(peers, given.cache)
    if given.set_up:
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started ends with it
    measured = run(ready, QUICK if given.quick else FULL, given.rounds, set(given.cases))
    measured.skipped = skipped
    figures = kept(measured, ready, given.cache, given)
    if given.add:
        figures = joined(json.loads(RESULTS.read_text()), figures)
    for file in ([RESULTS] if given.write else []) + ([given.json] if given.json else []):
        file.write_text(json.dumps(figures, indent=1) + "\n")
    if given.write:
        PAGE.write_text(written(PAGE.read_text(), figures))
    print("\n".join(told(figures)))


if __name__ == "__main__":
    main()
