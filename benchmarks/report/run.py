"""Measures what docs/explanation/numbers.md tells, and writes it: ``make numbers`` (hours on a quiet machine).

``--render`` writes the page and draws its pictures from what was measured before; ``--only lag herd`` measures some
parts, ``--runs 1`` in less time. ``--quick`` does all of it in tiny sizes, in a temporary directory, and keeps nothing.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from report import charts, page
from report.figures import read
from report.measure import FULL, PARTS, QUICK, Effort, measure

from hookline.cli.plan.calibration import calibration
from hookline.cli.plan.prices import price_table

ROOT = Path(__file__).parents[2]
CAPACITY = "capacity"
_QUICK_CAPACITY = ("--quick", "--runs", "1", "--nodes", "1", "--webhook-ms", "50", "--slots", "10")


class Places(NamedTuple):
    """Names the files.

    Attributes:
        results: a file of each part.
        capacity: what ``hookline plan`` is calibrated with.
        page: to write.
        pictures: of the page.
    """

    results: Path
    capacity: Path
    page: Path
    pictures: Path


REPOSITORY = Places(
    Path(__file__).parent / "results",
    ROOT / "src" / "hookline" / "cli" / "plan" / "measured.json",
    ROOT / "docs" / "explanation" / "numbers.md",
    ROOT / "docs" / "images" / "numbers",
)


def within(directory: Path) -> Places:
    """Places below a directory, with a copy of the page."""
    places = Places(*(directory / name for name in ("results", "measured.json", "numbers.md", "pictures")))
    places.results.mkdir()
    shutil.copy(REPOSITORY.page, places.page)
    return places


def render(places: Places) -> None:
    """Write the page and its pictures; those of parts that are gone go, too."""
    measured, known, prices = read(places.results, places.capacity), calibration(), price_table()
    text = places.page.read_text(encoding="utf-8")
    places.page.write_text(page.render(text, measured, known, prices), encoding="utf-8")
    drawn = charts.draw(places.pictures, measured, known, prices)
    for path in set(places.pictures.glob("*.svg")) - set(drawn):
        path.unlink()


def measure_all(names: Sequence[str], places: Places, effort: Effort) -> None:
    """Measure these parts, one after the other."""
    quick = effort is QUICK
    for place, name in enumerate(names, 1):
        print(f"{name}: part {place} of {len(names)}", flush=True)
        began = time.monotonic()
        if name == CAPACITY:
            options = _QUICK_CAPACITY if quick else ("--runs", str(effort.runs))
            command = [sys.executable, str(ROOT / "benchmarks" / "capacity.py"), *options]
            subprocess.run([*command, "--json", str(places.capacity)], check=True)
        else:
            measure([name], effort, places.results)
        print(f"{name}: took {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    """Measure, then render."""
    every = [CAPACITY, *PARTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--render", action="store_true", help="measure nothing, write the page and draw its pictures")
    parser.add_argument("--quick", action="store_true", help="tiny sizes that say nothing, in a temporary directory")
    parser.add_argument("--runs", type=int, default=FULL.runs, help="of each measurement")
    parser.add_argument("--only", nargs="+", choices=every, default=every, metavar="PART", help=", ".join(every))
    given = parser.parse_args()
    if given.quick:
        with tempfile.TemporaryDirectory() as directory:
            places = within(Path(directory))
            measure_all(given.only, places, QUICK)
            render(places)
            print(places.page.read_text(encoding="utf-8"))
        return
    if not given.render:
        REPOSITORY.results.mkdir(exist_ok=True)
        measure_all(given.only, REPOSITORY, FULL._replace(runs=given.runs))
    render(REPOSITORY)
    print(f"written: {REPOSITORY.page.relative_to(ROOT)}, {REPOSITORY.pictures.relative_to(ROOT)}/")


if __name__ == "__main__":
    main()
