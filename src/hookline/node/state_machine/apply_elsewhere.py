"""Says why something new cannot be made under a name here: the name is at another cluster, or on its way here."""

from hookline.errors import Arriving, ClusterLeft, Moved
from hookline.node.state_machine.sums import ELSEWHERE
from hookline.node.state_machine.tables import Tables
from hookline.protocol.commands import Refused
from hookline.protocol.moves import KEY

LEFT, _MOVED, _ARRIVING = Refused(ClusterLeft.code), Refused(Moved.code), Refused(Arriving.code)


def refusal_of(tables: Tables, tenant: str, kind: int, name: str | None, time_ms: int) -> Refused | None:
    """The refusal; None: it may be made. ``name`` None: it was minted here."""
    if name is not None:
        if tables.sums[ELSEWHERE] and _is_elsewhere(tables, tenant, kind, name, time_ms):
            return _MOVED
        if tables.is_arriving(tenant, kind, name):
            return _ARRIVING
    return LEFT if tables.has_left else None


def _is_elsewhere(tables: Tables, tenant: str, kind: int, name: str, time_ms: int) -> bool:
    if kind == KEY:
        return tables.value("key_elsewhere", tenant, name, time_ms) is not None
    return tables.value("elsewhere", tenant, kind, name) is not None
