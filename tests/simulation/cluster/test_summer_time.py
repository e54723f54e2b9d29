"""A cluster whose clocks are wrong lives through the moment when the clocks of its users are changed."""

from pathlib import Path

import pytest

from tests.simulation.clients import CRONS
from tests.simulation.cluster.checker import violations
from tests.simulation.cluster.world import ClusterClients, ClusterWorld, simulate_as
from tests.simulation.verdict import judge

_MINUTE_MS = 60_000


class BerlinClients(ClusterClients):
    """Their schedules go by the clocks of Berlin; many are for two o'clock."""

    crons = (*CRONS, "0 2 * * *", "0 2 * * *")
    timezone = "Europe/Berlin"


class SpringWorld(ClusterWorld):
    """2027-03-28T01:00:00Z: it would be two o'clock, and is three."""

    clients_type = BerlinClients
    hour_ms = 1_806_195_600_000 - _MINUTE_MS

    def _choose_kind(self) -> str:
        return "clocks"


class AutumnWorld(SpringWorld):
    """2027-10-31T01:00:00Z: it would be three o'clock, and is two again."""

    hour_ms = 1_824_944_400_000 - _MINUTE_MS


@pytest.mark.parametrize("kind", [SpringWorld, AutumnWorld])
def test_each_tick_is_made_once_whatever_the_clocks_show(
    kind: type[ClusterWorld], changed_seed: int, directory: Path
) -> None:
    world = simulate_as(kind, changed_seed, directory)
    judge(f"{kind.__name__}", changed_seed, world, violations(world, directory))
