"""Every fixed limit in one place, units last in the name; what an operator may change is in ``node/config.py``."""

from hookline.errors import InvalidConfig, InvalidRequest

KIB = 1024

# One job.
URL_BYTES_MAX = 8_192
ID_CHARS_MAX = 128
KEY_CHARS_MAX = 255
HEADERS_MAX = 100
HEADERS_BYTES_MAX = 16 * KIB
LABELS_MAX = 32
LABEL_CHARS_MAX = 128
PRIORITY_MIN, PRIORITY_MAX = -100, 100
ATTEMPTS_MAX = 1_000
RETRY_SCHEDULE_MAX = 100
SECRETS_PER_DESTINATION_MAX = 10
API_KEYS_MAX = 10_000
API_KEYS_PER_TENANT_MAX = 500  # but for the default one: no tenant can use up all the room
TENANTS_MAX = 5_000  # with settings; all of them fit one entry of the log
TIMEOUT_MS_MIN = 100
DELAY_MS_MAX = 10 * 365 * 86_400_000
PAYLOAD_BYTES_MAX = 1024 * KIB
ENVELOPE_BYTES_MAX = 64 * KIB  # of a request: all of a job but its payload

# One call.
BATCH_JOBS_MAX = 1_000
BULK_LIMIT_MAX = 10_000  # jobs of one retry or cancel by filter
BULK_JOBS_MAX = 500  # jobs changed by one log command of a retry or cancel by filter
PAGE_DEFAULT, PAGE_MAX = 50, 1_000
TOPOLOGY_BYTES_MAX = 256 * KIB
REQUEST_BYTES_MAX = 16 * KIB * KIB
GATHERED_JOBS_MAX = 64  # creates that a proxy sends together
GATHERED_BYTES_MAX = 128 * KIB  # of them together, with their headers
GATHERED_JOB_BYTES_MAX = 32 * KIB  # of one of them; a larger one travels alone
REQUEST_SECONDS_MAX = 10  # to send the whole head of a request
PREVIEW_TICKS_MAX = 1_000

# One attempt.
ATTEMPT_MS_DEFAULT = 30_000
ATTEMPT_MS_MAX = 24 * 3_600_000  # what an operator may allow a job to ask for
CONNECT_MS_MAX = 3_000
RESPONSE_HEADER_BYTES_MAX = 16 * KIB
RESPONSE_BYTES_READ_MAX = 64 * KIB
RESPONSE_BYTES_KEPT_MAX = 16 * KIB
ERROR_CHARS_MAX = 500
RETRY_AFTER_MS_MAX = 24 * 3_600_000
CLAIMS_AHEAD_SHARE = 8  # of this many slots one claim may wait at the runner for the next that is free
LOST_CLAIMS_MAX = 3  # claims without a result before a job is poison

# Schedules.
CRON_BYTES_MAX = 256
LATE_MS = 60_000  # a tick later than this counts as missed and follows the catch-up policy
CATCH_UP_TICKS_MAX = 1_000  # jobs made by one decision

# The log.
ENTRY_BYTES_MAX = 1280 * KIB  # etcd takes requests of 1,536 KiB, unless it is told otherwise
ENTRIES_READ_MAX = 48  # at once, so that one answer of etcd fits what gRPC takes (64 MiB)
ENTRY_BYTES_GATHER = 256 * KIB  # a batch stops gathering here, so that one more command still fits
ENTRY_COMMANDS_MAX = 2_000
LOG_ENTRIES_MAX = 100_000  # kept in etcd for a node that is away; one that needs older ones installs a snapshot
LOG_BYTES_MAX = 256 * KIB * KIB  # likewise
LOG_ENTRIES_KEPT = 1_000  # by the local log, behind the durable index

assert RESPONSE_BYTES_KEPT_MAX <= RESPONSE_BYTES_READ_MAX
assert PAYLOAD_BYTES_MAX + HEADERS_BYTES_MAX + URL_BYTES_MAX + 8 * KIB <= ENTRY_BYTES_MAX, "one job fits one entry"
assert BULK_JOBS_MAX <= ENTRY_COMMANDS_MAX


def check_range(settings: object, name: str, low: int, high: int) -> None:
    """Raise InvalidConfig, which names the option, unless ``settings.name`` is from ``low`` to ``high``."""
    value = getattr(settings, name)
    if not low <= value <= high:
        option = name.replace("_", "-")
        raise InvalidConfig(f"--{option} is {value}; it must be between {low} and {high}", field=name)


def check_between(field: str, value: float, low: float, high: float) -> None:
    """Raises InvalidRequest for a number of a request that is outside."""
    if not low <= value <= high:
        raise InvalidRequest(f"{field} must be from {low} to {high}", field=field)
