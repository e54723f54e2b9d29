"""Simulates Hookline at internet scale: ``make model`` (some minutes on one core; it starts no node).

It reads what was measured (``hookline plan``'s figures, benchmarks/report/results), says how far the model is off, and
runs fleets of up to 1,000 clusters. ``--write`` keeps all figures in results.json and fills
docs/explanation/internet-scale.md and its pictures; ``--render`` fills them again from what was kept.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from model import losses, page, pictures, scenarios
from model.costs import RESULTS, Costs, fit, read
from model.moves import own_part_s
from model.validation import Effort, checks

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "explanation" / "internet-scale.md"
PICTURES: Final = ROOT / "docs" / "images" / "model"
KEPT: Final = Path(__file__).parent / "results.json"
_QUICK: Final = Effort(1, 0.5, 1_000, 200)


def simulate(given: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    measured = read(given.results)
    costs = {nodes: fit(measured, nodes) for nodes in (1, 3)}
    size = scenarios.QUICK if given.quick else scenarios.FULL
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "command": f"python -m model.run{' --quick' if given.quick else ''} --seed {given.seed}",
        "seed": given.seed,
        "machine": measured.known.machine,
        "measured_on": measured.known.date,
        "parts": sorted(set(measured.parts) & {"creating", "lag", "herd", "clusters", "failover"}),
        "costs": {nodes: _plain(one) for nodes, one in costs.items()},
        "checks": [],
    }
    for check in checks(measured, costs, _QUICK if given.quick else Effort(), given.seed):
        found["checks"].append(check._asdict() | {"error": check.error})
        _tell(f"{check.case}, {check.figure}: {check.measured:,.1f}, model {check.model:,.1f}: {check.error:+.1%}")
    for name, scenario in _scenarios(costs, size, given.seed).items():
        began = time.monotonic()
        found[name] = scenario()
        _tell(f"{name}: {time.monotonic() - began:.0f} s")
    settled: dict[str, Any] = json.loads(json.dumps(_settled(found)))
    return settled


def _scenarios(
    costs: dict[int, Costs], size: scenarios.Size, seed: int
) -> dict[str, Callable[[], list[scenarios.Row]]]:
    return {
        "steady": lambda: scenarios.steady(costs[3], size, seed),
        "balance": lambda: scenarios.balance(costs[3], size, seed),
        "herds": lambda: scenarios.herds(costs[3], size, seed),
        "loss": lambda: losses.loss(costs[3], size, seed),
        "storm": lambda: losses.storm(size, seed),
        "zone": lambda: losses.zone(costs[3], size, seed),
        "moving": lambda: scenarios.moving(costs[3], own_part_s(costs[1]), size, seed),
        "decisions": lambda: scenarios.decisions(size),
    }


def _plain(costs: Costs) -> dict[str, Any]:
    return costs._asdict() | {"deliver": costs.deliver._asdict()}


def _settled(value: Any) -> Any:
    """With five figures at most, and nothing that JSON does not know."""
    if isinstance(value, dict):
        return {str(name): _settled(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_settled(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    """Run it and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny fleets, for trying it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where measured parts are")
    parser.add_argument("--write", action="store_true", help=f"{KEPT.name}, {PAGE.name} and its pictures")
    parser.add_argument("--render", action="store_true", help="the page and its pictures from what was kept")
    parser.add_argument("--json", type=Path, help="another file for all figures")
    parser.add_argument("--pictures", type=Path, help="another folder for pictures")
    given = parser.parse_args()
    if given.quick and given.write:
        parser.error("--quick simulates nothing that may be written down")
    found = json.loads(KEPT.read_text()) if given.render else simulate(given)
    kept = json.dumps(found, ensure_ascii=False, indent=None, separators=(",", ":")).replace('},{"', '},\n{"') + "\n"
    if given.json:
        given.json.write_text(kept)
    if given.write:
        KEPT.write_text(kept)
    if given.write or given.render:
        PAGE.write_text(page.written(PAGE.read_text(), found))
        pictures.draw(found, PICTURES)
    if given.pictures:
        pictures.draw(found, given.pictures)
    for part in page.PARTS.values():
        print("\n".join([*part(found), ""]))


if __name__ == "__main__":
    main()
