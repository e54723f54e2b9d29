"""``DELETE /jobs/{id}`` and ``/jobs/{id}/payload``: what somebody has a right to see gone."""

from collections.abc import Callable

from hookline.errors import Conflict, JobNotFinished, JobRunning
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.node.api.context import Api, id_of, refusal
from hookline.node.api.jobs import found_job
from hookline.protocol.commands import Changed, DeleteJob, DeletePayload, Refused
from hookline.protocol.jobs import FINISHED, State, encode_spec, without_payload
from hookline.protocol.limits import ATTEMPTS_MAX

_TRIES = ATTEMPTS_MAX  # each takes something away, or finds that another call changed the job meanwhile


async def delete_job(api: Api, request: ApiRequest) -> Reply:
    """``DELETE /jobs/{id}``: a job that is not running, with all that is known of it."""
    await request.no_body()
    row = found_job(api, request.caller.tenant, id_of(request))
    if row.state is State.RUNNING:
        raise JobRunning
    await _until_done(api, lambda: DeleteJob(row.seq))
    return Reply(204)


async def delete_payload(api: Api, request: ApiRequest) -> Reply:
    """``DELETE /jobs/{id}/payload``: of a finished job. Deleting it twice is fine."""
    await request.no_body()
    tenant, job_id = request.caller.tenant, id_of(request)

    def command() -> DeletePayload:
        row = found_job(api, tenant, job_id)
        if row.state not in FINISHED:
            raise JobNotFinished(f"the job is {row.state.label}; cancel it first, or delete it as a whole")
        return DeletePayload(row.seq, row.revision, encode_spec(without_payload(row.spec)))

    if not found_job(api, tenant, job_id).is_payload_removed:
        await _until_done(api, command)
    return answer(200, api.views.job(found_job(api, tenant, job_id)))


async def _until_done(api: Api, command: Callable[[], DeleteJob | DeletePayload]) -> None:
    """Propose it until all is gone: many answers go one part at a time."""
    for _ in range(_TRIES):
        (result,) = await api.propose(command())
        if isinstance(result, Refused) and result.code != Conflict.code:
            raise refusal(result)
        if result == Changed(1):
            return
    raise Conflict("the job is being changed by others; try again")
