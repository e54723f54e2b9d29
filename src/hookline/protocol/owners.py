"""Names the process that makes attempts, by its node, its data directory and its start. Pure.

A claim names its owner, so that nothing is sent again that its owner may still be sending.
"""

from typing import NamedTuple


class Owner(NamedTuple):
    """As text ``node/place/start``, which is what claims carry.

    Attributes:
        node: the node's name.
        place: tells its data directory from all others; only one process at a time has one open.
        start: tells this start from all others there.
    """

    node: str
    place: str
    start: str

    def __str__(self) -> str:
        return "/".join(self)


def is_replaced(owner: str, by: str) -> bool:
    """Is ``owner`` an earlier process on the data directory that ``by`` has open now? Then it is dead."""
    place = owner.rpartition("/")[0]
    return bool(place) and place == by.rpartition("/")[0] and owner != by
