"""Find the seeds that show planted bugs: ``python -m tests.simulation.hunt [--write] [--seeds 200] [name …]``.

Prints for each bug the first seed that shows it, what it breaks and how long the run took, in s; ``--write`` puts the
quickest into ``bugs/__init__.py``.
"""

import argparse
import re
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

from tests.simulation import bugs
from tests.simulation.bugs import PLANTED, Planted
from tests.simulation.presets import PRESETS
from tests.simulation.verdict import first_wrong, is_rotten


def hunt(name: str, seeds: range, found_at: int = 1) -> list[tuple[int, float, str]]:
    """(seed, CPU time in s, what it breaks) of the first ``found_at`` seeds that show a bug and nothing else."""
    planted = next(one for one in PLANTED if one.name == name)
    found = []
    with TemporaryDirectory(prefix="hookline-", dir="/dev/shm") as directory:
        for seed in (planted.seed, *seeds):
            began_s = process_time()
            wrong = first_wrong(planted.preset, seed, Path(directory), planted.bug)
            took_s = process_time() - began_s
            if wrong is not None and _is_clean(planted, seed, Path(directory)):
                found.append((seed, took_s, wrong))
            if len(found) >= found_at:
                break
    return found


def _is_clean(planted: Planted, seed: int, directory: Path) -> bool:
    """Without the bug nothing is wrong; of seeds that always run that is known."""
    return seed < PRESETS[planted.preset].seeds or first_wrong(planted.preset, seed, directory) is None


def _write(seeds: dict[str, int]) -> None:
    """Put these seeds, by name, into the table of planted bugs."""
    table = Path(bugs.__file__)
    text = table.read_text()
    for planted in PLANTED:
        if planted.name in seeds:
            row = rf'(\.{planted.bug.__name__}, "{planted.preset}", )\d+\)'
            text, rows = re.subn(row, rf"\g<1>{seeds[planted.name]})", text)
            assert rows == 1, planted.name
    table.write_text(text)


def main() -> None:
    """Hunt all that are named, or whose preset is; two at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of bugs or presets; all if none")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--each", type=int, default=1, help="how many seeds to find, to choose a quick one")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the quickest into the table of planted bugs")
    given = parser.parse_args()
    names = [it.name for it in PLANTED if not given.names or {it.name, it.preset, it.bug.__name__} & {*given.names}]
    seeds = range(given.first, given.first + given.seeds)
    quickest: dict[str, int] = {}
    with ProcessPoolExecutor(given.jobs) as pool:
        hunts = {pool.submit(hunt, name, seeds, given.each): name for name in names}
        for done in as_completed(hunts):
            name, found = hunts[done], done.result()
            fitting = [(cpu_s, seed) for seed, cpu_s, wrong in found if not is_rotten(wrong)]
            if fitting:
                quickest[name] = min(fitting)[1]
            for seed, cpu_s, wrong in found or [(-1, 0.0, "NOT FOUND")]:
                text = f"{name} {seed} {cpu_s:.2f} {'ROTTEN: ' if is_rotten(wrong) else ''}{wrong[:160]}"
                sys.stdout.write(text.replace("\n", " ") + "\n")
            sys.stdout.flush()
    if given.write:
        _write(quickest)


if __name__ == "__main__":
    main()
