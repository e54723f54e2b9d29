"""The calls about schedules in words."""

from hookline import errors as e
from hookline.http_api.operation import JOB_FIELDS, NO_BODY, PAGE, SHOP, Operation
from hookline.protocol import http

_SCHEDULE_ID = (e.InvalidId, e.ScheduleNotFound)

SCHEDULES: tuple[Operation, ...] = (
    Operation(
        name="createSchedule",
        tag="Schedules",
        summary="Create a schedule",
        description=(
            "A cron expression in a time zone that makes a job at each tick, exactly one. The same request again "
            "answers 200 with `deduplicated`; a different one under the same id 409."
        ),
        proxy_headers=("Hookline-Fallback",),
        body=http.ScheduleRequest,
        replies={
            201: (http.Schedule, "Created."),
            200: (http.Schedule, "It was created before."),
        },
        refusals=(*JOB_FIELDS, e.InvalidId, e.InvalidCron, e.InvalidTimezone, e.ScheduleExists, e.Misdirected),
        example={"id": "nightly", "cron": "0 3 * * *", "timezone": "Europe/Berlin", "job": {"url": f"{SHOP}/night"}},
    ),
    Operation(
        name="listSchedules",
        tag="Schedules",
        summary="List schedules",
        query=("limit", "cursor"),
        replies={200: (http.SchedulePage, "A page of schedules, by id.")},
        refusals=PAGE,
    ),
    Operation(
        name="previewSchedule",
        tag="Schedules",
        summary="Preview the ticks of an expression",
        description="Nothing is stored.",
        query=("cron", "timezone", "count", "from"),
        replies={200: (http.Preview, "The next ticks.")},
        refusals=(e.InvalidCron, e.InvalidTimezone, e.InvalidTime),
    ),
    Operation(
        name="getSchedule",
        tag="Schedules",
        summary="Get a schedule",
        replies={200: (http.Schedule, "The schedule.")},
        refusals=_SCHEDULE_ID,
    ),
    Operation(
        name="listTicks",
        tag="Schedules",
        summary="List what became of past ticks",
        description=(
            "The ticks of the rule as it is now, since the schedule was made, and the job of each. A tick that a rule "
            "of earlier did not have is `skipped`."
        ),
        query=("ticks_from", "ticks_limit", "cursor"),
        replies={200: (http.PastTicks, "A page of ticks, oldest first.")},
        refusals=(*_SCHEDULE_ID, *PAGE, e.InvalidTime),
    ),
    Operation(
        name="updateSchedule",
        tag="Schedules",
        summary="Change a schedule",
        description="Fields that are not given stay; `job` is replaced as a whole, but a `secret` that it does not name"
        " stays; null takes it away. Jobs it has made stay.",
        body=http.ScheduleChanges,
        replies={200: (http.Schedule, "The schedule as it is now.")},
        refusals=(*_SCHEDULE_ID, *JOB_FIELDS, e.InvalidCron, e.InvalidTimezone, e.Conflict),
        example={"cron": "30 3 * * *"},
    ),
    Operation(
        name="deleteSchedule",
        tag="Schedules",
        summary="Delete a schedule",
        description="Jobs it made stay.",
        replies={204: (None, "It is gone.")},
        refusals=_SCHEDULE_ID,
    ),
    Operation(
        name="pauseSchedule",
        tag="Schedules",
        summary="Pause a schedule",
        replies={200: (http.Schedule, "The paused schedule.")},
        refusals=(*_SCHEDULE_ID, *NO_BODY, e.Conflict),
    ),
    Operation(
        name="resumeSchedule",
        tag="Schedules",
        summary="Resume a schedule",
        description="It goes on with the next tick after now; ticks during the pause are not caught up.",
        replies={200: (http.Schedule, "The schedule.")},
        refusals=(*_SCHEDULE_ID, *NO_BODY, e.Conflict),
    ),
    Operation(
        name="runSchedule",
        tag="Schedules",
        summary="Make one job of a schedule now",
        replies={201: (http.Job, "The job.")},
        refusals=(*_SCHEDULE_ID, *NO_BODY, e.QueueFull, e.TenantLimit),
    ),
)
