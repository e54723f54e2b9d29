"""Applying what is set for tenants."""

from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.tables import Tables
from hookline.protocol.commands import Changed, PutTenant, Refused, Result
from hookline.protocol.limits import TENANTS_MAX

_TOO_MANY = "too_many_tenants"


def put_tenant(tables: Tables, effects: Effects, command: PutTenant) -> Result:
    """Replace a tenant's settings, if they are others. Refused when there is no room for one more."""
    known = tables.tenants
    if known.stored(command.tenant) == command.settings:
        return Changed(0)
    if not known.is_kept(command.tenant) and len(known) >= TENANTS_MAX:
        forgotten = known.first_removed()
        if forgotten is None:
            return Refused(_TOO_MANY)
        tables.drop_tenant(forgotten)
    keep_settings(tables, effects, command.tenant, command.settings)
    return Changed(1)


def keep_settings(tables: Tables, effects: Effects, tenant: str, settings: bytes) -> None:
    """Keep them, and have the leader follow."""
    tables.keep_tenant(tenant, settings)
    effects.tenants.append(tenant)
