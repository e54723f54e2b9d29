"""The calls about tenants in words."""

from hookline import errors as e
from hookline.http_api.operation import BODY, Operation
from hookline.protocol import http_tenants

TENANTS: tuple[Operation, ...] = (
    Operation(
        name="listTenants",
        tag="Tenants",
        summary="List tenants",
        description="By name: those that have settings, jobs or keys, with their limits and what is used of them.",
        query=("limit", "cursor"),
        replies={200: (http_tenants.TenantPage, "A page of tenants.")},
        refusals=(e.InvalidCursor,),
    ),
    Operation(
        name="getTenant",
        tag="Tenants",
        summary="Get a tenant",
        replies={200: (http_tenants.Tenant, "Its limits, and what is used of them.")},
        refusals=(e.TenantNotFound,),
    ),
    Operation(
        name="putTenant",
        tag="Tenants",
        summary="Set the limits and the weight of a tenant",
        description=(
            "Fields that are not given stay as they are; null takes a limit away. Limits hold in each cluster by "
            "itself. At a proxy all clusters take them, or the answer says which did not."
        ),
        body=http_tenants.TenantRequest,
        replies={200: (http_tenants.Tenant, "The tenant as it is now.")},
        refusals=(*BODY, e.TooManyTenants),
        example={"pending_jobs": 100_000, "creates_per_second": 500, "weight": 2},
    ),
    Operation(
        name="deleteTenant",
        tag="Tenants",
        summary="Delete the settings of a tenant",
        description="It has no limits and the weight 1 then. Its jobs, schedules, destinations and keys stay.",
        replies={204: (None, "They are gone.")},
        refusals=(e.TenantNotFound,),
    ),
)
