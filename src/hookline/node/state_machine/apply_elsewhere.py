"""Says why something new cannot be made under a name here: the name is at another cluster, or on its way here."""

from hookline.errors import Arriving, ClusterLeft, Moved
from hookline.node.state_machine.sums import ELSEWHERE
from hookline.node.state_machine.tables import Tables
from hookline.protocol.commands import Refused
from hookline.protocol.moves import KEY

_LEFT, _MOVED, _ARRIVING = Refused(ClusterLeft.code), Refused(Moved.code), Refused(Arriving.code)


def refusal_of(tables: Tables, tenant: str, kind: int, name: str | None, time_ms: int) -> Refused | None:
    """The refusal; None: it may be made. ``name`` None: it was minted here."""
    if tables.has_left:
        return _LEFT
    if name is None:
        return None
    if tables.sums[ELSEWHERE]:
        if kind == KEY:
            is_moved = tables.value("key_elsewhere", tenant, name, time_ms) is not None
        else:
            is_moved = tables.value("elsewhere", tenant, kind, name) is not None
        if is_moved:
            return _MOVED
    return _ARRIVING if tables.is_arriving(tenant, kind, name) else None
