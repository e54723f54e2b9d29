"""Find the seeds that show planted bugs: ``python -m tests.simulation.hunt [--from 0] [--seeds 200] [name …]``.

Prints for each bug the first seed that shows it, what it breaks and how long the run took, in s.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

from tests.simulation.bugs import PLANTED
from tests.simulation.verdict import first_wrong, is_rotten


def hunt(name: str, seeds: range, found_at: int = 1) -> list[tuple[int, float, str]]:
    """(seed, CPU time in s, what it breaks) of the first ``found_at`` seeds that show a bug."""
    planted = next(one for one in PLANTED if one.name == name)
    found = []
    with TemporaryDirectory(prefix="hookline-", dir="/dev/shm") as directory:
        for seed in (planted.seed, *seeds):
            began_s = process_time()
            wrong = first_wrong(planted.preset, seed, Path(directory), planted.bug)
            if wrong is not None:
                found.append((seed, process_time() - began_s, wrong))
            if len(found) >= found_at:
                break
    return found


def main() -> None:
    """Hunt all that are named, or whose preset is; two at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of bugs or presets; all if none")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--each", type=int, default=1, help="how many seeds to find, to choose a quick one")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    names = [it.name for it in PLANTED if not given.names or {it.name, it.preset, it.bug.__name__} & {*given.names}]
    seeds = range(given.first, given.first + given.seeds)
    with ProcessPoolExecutor(given.jobs) as pool:
        hunts = {pool.submit(hunt, name, seeds, given.each): name for name in names}
        for done in as_completed(hunts):
            name, found = hunts[done], done.result()
            for seed, cpu_s, wrong in found or [(-1, 0.0, "NOT FOUND")]:
                text = f"{name} {seed} {cpu_s:.2f} {'ROTTEN: ' if is_rotten(wrong) else ''}{wrong[:160]}"
                sys.stdout.write(text.replace("\n", " ") + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
