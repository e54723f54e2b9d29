"""The settings of a node as options and environment variables; ``NodeConfig`` checks their values."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from hookline.cli import inputs
from hookline.cli.destination_options import DestinationOptions, setting
from hookline.cli.oidc_options import SEPARATOR, OidcOptions
from hookline.cli.parameters import DurationText, Flag, NamedPath
from hookline.cli.trace_options import TraceOptions
from hookline.dashboard.settings import DashboardMode

if TYPE_CHECKING:
    from hookline.node.config import NodeConfig


_OF_PROXIES = (
    *("HOOKLINE_ROOT_KEY_FILE", "HOOKLINE_NO_AUTH", "HOOKLINE_DASHBOARD"),
    *("HOOKLINE_TRACES", "HOOKLINE_TRACES_RATIO"),
    *(f"HOOKLINE_{field.name.upper()}" for field in fields(OidcOptions)),
)


@Parameter(name="*", group=Group("Settings"))
@dataclass(frozen=True, kw_only=True)
class NodeOptions(DestinationOptions, TraceOptions, OidcOptions):
    """How a node works. Durations are like 7d, 1h30m or seconds; sizes are bytes.

    Attributes:
        slots: Attempts that may run at once. [100]
        attempt_processes: Processes that make the attempts; 0: the node's own does; auto: by the cores. [auto]
        api_processes: Processes that take and answer requests; 0: the node's own does; auto: by the cores. [auto]
        encrypt_payloads: Encrypt payloads, headers and responses with the secret key before they are stored.
        allow_missing_secret_key: Start although stored secrets are sealed with a lost key, and hold their jobs.
        root_key_file: A file that holds the first key, which may do everything, and in a second line perhaps the one
            before it, which still does; or have the key in HOOKLINE_ROOT_KEY.
        no_auth: Ask nobody for a key, also beyond this machine; a firewall or a gateway decides who may call.
        dashboard: Pages at /dashboard: on, read-only, which change nothing, or off.
        attempt_max: The longest timeout that a job may ask for, up to 24h; a job that asks for none has 30s. [1h]
        pending_jobs_max: Unfinished jobs that are taken at most. [10000000]
        pending_bytes_max: Bytes of unfinished jobs that are taken at most. [10737418240]
        payload_bytes_max: Bytes of one payload, up to 1048576. [1048576]
        batch_jobs_max: Jobs of one batch. [1000]
        key_window: How long an idempotency key is remembered. [24h]
        retention: How long a finished job is kept that is not dead. [7d]
        retention_dead: How long a dead job is kept, for somebody to look at and to retry. [30d]
        retention_jobs: How many finished jobs are kept at most. [10000000]
        audit_retention: How long a row of the audit log is kept. [90d]
        audit_rows: How many rows of the audit log are kept at most. [100000]
        log_level: debug, info, warning or error.
        log_json: Write logs as JSON also on a terminal.
    """

    slots: Annotated[int | None, setting("SLOTS")] = None
    attempt_processes: Annotated[str | None, setting("ATTEMPT_PROCESSES")] = None
    api_processes: Annotated[str | None, setting("API_PROCESSES")] = None
    encrypt_payloads: Annotated[Flag, setting("ENCRYPT_PAYLOADS")] = False
    allow_missing_secret_key: Annotated[Flag, setting("ALLOW_MISSING_SECRET_KEY")] = False
    root_key_file: Annotated[NamedPath | None, setting("ROOT_KEY_FILE")] = None
    no_auth: Annotated[Flag, setting("NO_AUTH")] = False
    dashboard: Annotated[DashboardMode, setting("DASHBOARD")] = "on"
    attempt_max: Annotated[DurationText | None, setting("ATTEMPT_MAX")] = None
    pending_jobs_max: Annotated[int | None, setting("PENDING_JOBS_MAX")] = None
    pending_bytes_max: Annotated[int | None, setting("PENDING_BYTES_MAX")] = None
    payload_bytes_max: Annotated[int | None, setting("PAYLOAD_BYTES_MAX")] = None
    batch_jobs_max: Annotated[int | None, setting("BATCH_JOBS_MAX")] = None
    key_window: Annotated[DurationText | None, setting("KEY_WINDOW")] = None
    retention: Annotated[DurationText | None, setting("RETENTION")] = None
    retention_dead: Annotated[DurationText | None, setting("RETENTION_DEAD")] = None
    retention_jobs: Annotated[int | None, setting("RETENTION_JOBS")] = None
    audit_retention: Annotated[DurationText | None, setting("AUDIT_RETENTION")] = None
    audit_rows: Annotated[int | None, setting("AUDIT_ROWS")] = None
    log_level: Annotated[str, setting("LOG_LEVEL")] = "info"
    log_json: Annotated[Flag, setting("LOG_JSON")] = False

    def config(self, *, data_dir: Path, host: str, port: int, **identity: Any) -> "NodeConfig":
        """The checked configuration of the node. Raises InvalidConfig."""
        from hookline.node.config import NodeConfig

        inputs.check_log_level(self.log_level)
        self.trace_settings("")  # whoever starts the process takes them
        keys = inputs.root_keys(self.root_key_file)
        self.oidc_settings(keys.get("root_key"), host, self.dashboard)  # likewise
        durations = {
            "attempt_max": self.attempt_max,
            "key_window": self.key_window,
            "retention": self.retention,
            "retention_dead": self.retention_dead,
            "audit_retention": self.audit_retention,
        }
        settings = inputs.given(
            slots=self.slots,
            attempt_processes=inputs.attempt_processes(self.attempt_processes or "auto", self.slots),
            api_processes=inputs.api_processes(self.api_processes or "auto"),
            encrypt_payloads=self.encrypt_payloads,
            allow_missing_secret_key=self.allow_missing_secret_key,
            **keys,
            no_auth=self.no_auth,
            pending_jobs_max=self.pending_jobs_max,
            pending_bytes_max=self.pending_bytes_max,
            payload_bytes_max=self.payload_bytes_max,
            batch_jobs_max=self.batch_jobs_max,
            retention_jobs=self.retention_jobs,
            audit_rows=self.audit_rows,
            **{f"{name}_ms": None if text is None else inputs.duration_ms(text) for name, text in durations.items()},
        )
        return NodeConfig(data_dir=data_dir, host=host, port=port, **identity, **self.delivery(), **settings)

    def environment(self) -> dict[str, str]:
        """The same options for a process that is to work alike; secrets do not show up in a list of processes then."""
        values = {field.name.upper(): getattr(self, field.name) for field in fields(self)}
        return {f"HOOKLINE_{name}": _text(value) for name, value in values.items() if value is not None}

    def proxy_environment(self) -> dict[str, str]:
        """The part of it that a proxy has, too: who may call or sign in, and what for; and where traces go."""
        return {name: value for name, value in self.environment().items() if name in _OF_PROXIES}


def _text(value: object) -> str:
    if isinstance(value, list):
        return SEPARATOR.join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


DEFAULT_NODE_OPTIONS = NodeOptions()
