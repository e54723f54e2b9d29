"""Hookline delivers HTTP calls now, later or on a schedule, and never loses one.

This is the public SDK: clients, webhook verification, the errors and the types of answers. Everything is imported
when it is first used, so that ``import hookline`` costs nothing to a receiver that only verifies.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hookline.version import __version__ as __version__

if TYPE_CHECKING:
    from hookline.client.answers import Attempt as Attempt
    from hookline.client.answers import AuditView as AuditView
    from hookline.client.answers import BatchResult as BatchResult
    from hookline.client.answers import BriefResult as BriefResult
    from hookline.client.answers import BulkResponse as BulkResponse
    from hookline.client.answers import CatchUp as CatchUp
    from hookline.client.answers import Cluster as Cluster
    from hookline.client.answers import Destination as Destination
    from hookline.client.answers import Health as Health
    from hookline.client.answers import Job as Job
    from hookline.client.answers import JobPage as JobPage
    from hookline.client.answers import KeyView as KeyView
    from hookline.client.answers import NewKey as NewKey
    from hookline.client.answers import Rate as Rate
    from hookline.client.answers import RetryRequest as RetryRequest
    from hookline.client.answers import Schedule as Schedule
    from hookline.client.answers import Tenant as Tenant
    from hookline.client.awaiting import AsyncClient as AsyncClient
    from hookline.client.blocking import Client as Client
    from hookline.client.signing import WebhookInfo as WebhookInfo
    from hookline.client.signing import verify as verify
    from hookline.errors import BatchTooLarge as BatchTooLarge
    from hookline.errors import Conflict as Conflict
    from hookline.errors import ConnectionFailed as ConnectionFailed
    from hookline.errors import DeadlineExceeded as DeadlineExceeded
    from hookline.errors import DestinationNotFound as DestinationNotFound
    from hookline.errors import Forbidden as Forbidden
    from hookline.errors import HooklineError as HooklineError
    from hookline.errors import IdempotencyMismatch as IdempotencyMismatch
    from hookline.errors import InvalidRequest as InvalidRequest
    from hookline.errors import InvalidSignature as InvalidSignature
    from hookline.errors import JobFinished as JobFinished
    from hookline.errors import JobNotFinished as JobNotFinished
    from hookline.errors import JobNotFound as JobNotFound
    from hookline.errors import JobNotPending as JobNotPending
    from hookline.errors import JobNotRetryable as JobNotRetryable
    from hookline.errors import JobRunning as JobRunning
    from hookline.errors import KeyNotFound as KeyNotFound
    from hookline.errors import NotFound as NotFound
    from hookline.errors import PayloadRemoved as PayloadRemoved
    from hookline.errors import PayloadTooLarge as PayloadTooLarge
    from hookline.errors import QueueFull as QueueFull
    from hookline.errors import ScheduleExists as ScheduleExists
    from hookline.errors import ScheduleNotFound as ScheduleNotFound
    from hookline.errors import TenantLimit as TenantLimit
    from hookline.errors import TenantNotFound as TenantNotFound
    from hookline.errors import TooManyRequests as TooManyRequests
    from hookline.errors import Unauthorized as Unauthorized
    from hookline.errors import Unavailable as Unavailable
    from hookline.protocol.http import JobRequest as JobRequest

_NAMES_BY_MODULE = {
    "hookline.client.answers": (
        "Attempt",
        "AuditView",
        "BatchResult",
        "BriefResult",
        "BulkResponse",
        "CatchUp",
        "Cluster",
        "Destination",
        "Health",
        "Job",
        "JobPage",
        "KeyView",
        "NewKey",
        "Rate",
        "RetryRequest",
        "Schedule",
        "Tenant",
    ),
    "hookline.client.awaiting": ("AsyncClient",),
    "hookline.client.blocking": ("Client",),
    "hookline.client.signing": ("WebhookInfo", "verify"),
    "hookline.errors": (
        "BatchTooLarge",
        "Conflict",
        "ConnectionFailed",
        "DeadlineExceeded",
        "DestinationNotFound",
        "Forbidden",
        "HooklineError",
        "IdempotencyMismatch",
        "InvalidRequest",
        "InvalidSignature",
        "JobFinished",
        "JobNotFinished",
        "JobNotFound",
        "JobNotPending",
        "JobNotRetryable",
        "JobRunning",
        "KeyNotFound",
        "NotFound",
        "PayloadRemoved",
        "PayloadTooLarge",
        "QueueFull",
        "ScheduleExists",
        "ScheduleNotFound",
        "TenantLimit",
        "TenantNotFound",
        "TooManyRequests",
        "Unauthorized",
        "Unavailable",
    ),
    "hookline.protocol.http": ("JobRequest",),
}
_HOME = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}

__all__ = sorted([*_HOME, "__version__"])  # noqa: PLE0605  # one list of names, not two; a test compares it with the types


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
