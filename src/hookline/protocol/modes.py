"""The execution modes of a cluster: which runners make attempts. Pure data."""

from typing import Final, Literal

Mode = Literal["leader", "hybrid", "workers"]
RunnerKind = Literal["leader", "follower", "worker"]

DEFAULT_MODE: Final[Mode] = "leader"

ATTEMPTING: Final[dict[Mode, frozenset[RunnerKind]]] = {
    "leader": frozenset({"leader"}),
    "hybrid": frozenset({"leader", "follower"}),
    "workers": frozenset({"worker"}),
}
"""The kinds of runners that get claims in each mode; the others end what they have."""
