"""Many seeds, each some proxies before some clusters with their own troubles; the promises checked in each."""

from pathlib import Path

import pytest

from tests.simulation.proxies.checker import violations
from tests.simulation.proxies.world import simulate

_JOURNAL_LINES_SHOWN = 400


def test_proxies_keep_every_promise(proxy_seed: int, directory: Path) -> None:
    world = simulate(proxy_seed, directory)
    wrong = violations(world)
    if wrong:
        print(*world.history.lines[-_JOURNAL_LINES_SHOWN:], sep="\n")
        again = f"make simulate SEED={proxy_seed}"
        pytest.fail(f"proxy seed {proxy_seed}; again: {again}\n  " + "\n  ".join(wrong[:10]), pytrace=False)


@pytest.mark.parametrize("chosen", [5, 12])
def test_the_same_seed_is_the_same_run(chosen: int, directory: Path) -> None:
    journals = []
    for name in ("first", "second"):
        place = directory / name
        place.mkdir()
        journals.append(simulate(chosen, place).history.journal())
    assert journals[0] == journals[1]
