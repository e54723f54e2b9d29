"""The options that say which jobs, shared by the commands that look for some."""

from dataclasses import asdict, dataclass
from typing import Any

from cyclopts import Group, Parameter

from hookline.cli.parameters import AnyText


@Parameter(name="*", group=Group("Which jobs"))
@dataclass(frozen=True, kw_only=True)
class FilterOptions:
    """The conditions that jobs have to meet, all of them.

    Attributes:
        state: pending, running, succeeded, dead, cancelled or unknown.
        label: name, or name=value.
        destination: scheme://host:port.
        created_after: RFC 3339, such as 2026-11-24T13:00:00Z.
        created_before: RFC 3339, too.
        schedule: Made by this schedule; its id.
        status: How the last attempt was answered: a status such as 503, or a class such as 5xx.
        error: What the last attempt's error says, or a part of it, such as timeout.
    """

    state: str | None = None
    label: AnyText | None = None
    destination: str | None = None
    created_after: str | None = None
    created_before: str | None = None
    schedule: AnyText | None = None
    status: str | None = None
    error: AnyText | None = None

    def fields(self) -> Any:
        """The SDK's filter."""
        return {name: value for name, value in asdict(self).items() if value is not None}


ALL_JOBS = FilterOptions()
