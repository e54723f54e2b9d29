"""The calls about the log's levels in words."""

from hookline.http_api.operation import BODY, Operation
from hookline.protocol import http_logs

LOGS: tuple[Operation, ...] = (
    Operation(
        name="getLogLevels",
        tag="Service",
        summary="See from which level on the log is written",
        description="By area of the work, of this node or proxy alone.",
        replies={200: (http_logs.LogLevels, "The level of each area.")},
    ),
    Operation(
        name="changeLogLevels",
        tag="Service",
        summary="Change from which level on the log is written",
        description=(
            "Areas that are not named stay as they are, unless `level` sets all. It holds for this node or proxy, and "
            "for the processes that it has started, until it ends; `--log-level` says what holds at the start."
        ),
        body=http_logs.LogLevelsChange,
        replies={200: (http_logs.LogLevels, "The level of each area as it is now.")},
        refusals=BODY,
        example={"levels": {"dispatch": "debug"}},
    ),
)
