"""Maps each call to the node's handler for it. No business logic."""

from starlette.applications import Starlette

from hookline.http_api import docs_page
from hookline.http_api.callers import admit_as_client
from hookline.http_api.endpoint import Served, application, bound
from hookline.http_api.log_levels import change_log_levels, get_log_levels
from hookline.http_api.messages import ApiRequest, Reply
from hookline.http_api.page_host import NO_ROUTES, PageHost, Routes, add_pages
from hookline.node.api import (
    audit_list,
    batches,
    bulk,
    clocks,
    cluster,
    creating,
    deletes,
    destinations,
    exchange,
    gathered,
    jobs,
    keys,
    metrics,
    moves,
    past_ticks,
    schedules,
    settings_import,
    snapshots,
    tenants,
    topology,
)
from hookline.node.api.context import Api
from hookline.node.api.door import Door
from hookline.node.api.served_calls import identity_of, limited_calls


async def _get_log_levels(_api: Api, request: ApiRequest) -> Reply:
    return await get_log_levels(request)


async def _change_log_levels(_api: Api, request: ApiRequest) -> Reply:
    return await change_log_levels(request)


async def _get_openapi(_api: Api, request: ApiRequest) -> Reply:
    return await docs_page.get_openapi(request, "node")


async def _get_docs(_api: Api, request: ApiRequest) -> Reply:
    return await docs_page.get_docs(request, "node")


HANDLERS = bound(
    "node",
    {
        "createJob": creating.create_job,
        "createBatch": batches.create_batch,
        "listJobs": jobs.list_jobs,
        "getJob": jobs.get_job,
        "listAttempts": jobs.list_attempts,
        "updateJob": jobs.update_job,
        "cancelJob": jobs.cancel_job,
        "retryJob": jobs.retry_job,
        "runJob": jobs.run_job,
        "deleteJob": deletes.delete_job,
        "deletePayload": deletes.delete_payload,
        "retryJobs": bulk.retry_jobs,
        "cancelJobs": bulk.cancel_jobs,
        "createSchedule": schedules.create_schedule,
        "listSchedules": schedules.list_schedules,
        "previewSchedule": schedules.preview,
        "getSchedule": schedules.get_schedule,
        "listTicks": past_ticks.list_ticks,
        "updateSchedule": schedules.update_schedule,
        "deleteSchedule": schedules.delete_schedule,
        "pauseSchedule": schedules.pause_schedule,
        "resumeSchedule": schedules.resume_schedule,
        "runSchedule": schedules.run_schedule,
        "listDestinations": destinations.list_destinations,
        "getDestination": destinations.get_destination,
        "putDestination": destinations.put_destination,
        "deleteDestination": destinations.delete_destination,
        "getCluster": cluster.get_cluster,
        "changeCluster": cluster.change_cluster,
        "handover": cluster.handover,
        "trustClock": clocks.trust_clock,
        "createKey": keys.create_key,
        "listKeys": keys.list_keys,
        "getOwnKey": keys.get_own,
        "getKey": keys.get_key,
        "rotateKey": keys.rotate_key,
        "revokeKey": keys.revoke_key,
        "listAudit": audit_list.list_audit,
        "takeNote": audit_list.take_note,
        "readKeys": keys.read_keys,
        "takeKeys": keys.take_keys,
        "listTenants": tenants.list_tenants,
        "getTenant": tenants.get_tenant,
        "putTenant": tenants.put_tenant,
        "deleteTenant": tenants.delete_tenant,
        "getHealth": cluster.get_health,
        "getLivez": cluster.get_livez,
        "getReadyz": cluster.get_readyz,
        "getMetrics": metrics.get_metrics,
        "getLogLevels": _get_log_levels,
        "changeLogLevels": _change_log_levels,
        "getOpenapi": _get_openapi,
        "getDocs": _get_docs,
        "readClock": clocks.read_clock,
        "readCluster": cluster.get_cluster,
        "readPosition": cluster.get_position,
        "describeSnapshot": snapshots.get_snapshot,
        "readSnapshot": snapshots.read_snapshot,
        "readTopology": topology.get_topology,
        "takeTopology": topology.put_topology,
        "readSettings": settings_import.get_settings,
        "takeSettings": settings_import.put_settings,
        "createGathered": gathered.create_gathered,
        "confirmAbsence": topology.tell_absence,
        "exchange": exchange.swap,
        "takeArrival": moves.take_arrival,
        "activateArrival": moves.activate_arrival,
        "forgetPointer": moves.forget_pointer,
        "readMoves": moves.get_moves,
        "planMoves": moves.plan_moves,
    },
)


def create_app(api: Api, *, is_for_clients_only: bool = False, routes: Routes = NO_ROUTES) -> Starlette:
    """The ASGI application of a node. ``app.state.identity`` holds the headers that every answer carries.

    Args:
        api: what handlers work with.
        is_for_clients_only: the calls between our processes are not there, and nobody is believed to be one.
        routes: pages to serve beside the API.
    """
    door, services = Door(api), api.services
    calls = [call for call in limited_calls(api.config) if not (is_for_clients_only and call.scope == "internal")]
    served = [Served(call, door.to(HANDLERS[call.name], call)) for call in calls]
    admit = admit_as_client if is_for_clients_only else services.inner_door.admit
    app = application(served, admit, services.guard, identity_of(api.config), api.count_refusal)
    add_pages(app, routes, _host(api, app))
    return app


def _host(api: Api, app: Starlette) -> PageHost:
    services, config = api.services, api.config
    return PageHost(
        app=app,
        server="node",
        guard=services.guard,
        root_keys=config.root_keys,
        clock=services.clock,
        identity=identity_of(config),
        is_secure=config.tls.is_server,
        is_stopping=services.is_stopping,
    )
