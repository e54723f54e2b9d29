"""The metrics of a node. Names and meanings: docs/reference/metrics.md."""

from hookline.telemetry.process_metrics import ProcessMetrics

_FAST_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_ATTEMPT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30, 300)
_SUCCESS_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 30, 300, 3_600, 86_400)
_ENDS = ("lost", "handed_over")
_REASONS = ("behind", "damaged")
_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


class NodeMetrics(ProcessMetrics):
    """The metrics of one node; those of its deliveries count at the leader. They outlive the states it runs on."""

    def __init__(self) -> None:
        super().__init__()
        new = self.registry
        self.jobs = new.gauge("hookline_jobs", "Jobs by state.", "state")
        self.tenant_jobs = new.gauge(
            "hookline_tenant_jobs",
            "Jobs by tenant and state; the 50 busiest tenants by name, all others together as `other`.",
            "tenant",
            "state",
        )
        self.tenant_bytes = new.gauge(
            "hookline_tenant_pending_bytes", "Bytes of pending payloads by tenant, likewise.", "tenant"
        )
        self._tell_of_attempts()
        self._tell_of_the_log()
        self._tell_of_the_cluster()
        self.create_seconds = new.spread(
            "hookline_create_seconds", "From request to answer, per create call.", _FAST_BUCKETS
        )
        self.rejections = new.tallies("hookline_rejections", "Refused calls by error code.", "code")
        self.limit_used = new.gauge(
            "hookline_limit_used", "What is used of each limit: pending jobs, pending bytes.", "limit"
        )
        self.limit_max = new.gauge("hookline_limit_max", "Each limit.", "limit")
        self.clock_trusted = new.gauge(
            "hookline_clock_trusted", "1 while the machine's wall clock is the time, 0 while it is not believed."
        )
        self.clock_offset = new.gauge(
            "hookline_clock_offset_seconds",
            "How far the machine's clock is ahead of the majority of the cluster's clocks; 0 alone.",
        )

    def _tell_of_attempts(self) -> None:
        new = self.registry
        self.attempts = new.tallies(
            "hookline_attempts",
            "Attempts by outcome: `success`, `retryable_failure`, `permanent_failure`, `unknown`.",
            "outcome",
        )
        self.due_lag = new.spread(
            "hookline_due_lag_seconds",
            "From the time an attempt was due to the time its request was sent.",
            _LAG_BUCKETS,
        )
        self.attempt_seconds = new.spread("hookline_attempt_seconds", "How long attempts took.", _ATTEMPT_BUCKETS)
        self.success_seconds = new.spread(
            "hookline_creation_to_success_seconds",
            "From the creation of a job to the success of its attempt; delays and waits that were asked for included.",
            _SUCCESS_BUCKETS,
        )
        self.attempt_answers = new.tallies(
            "hookline_attempt_answers",
            "Attempts by what came back: `2xx` to `5xx`, `connection` (it failed or broke off), `timeout`, `none` "
            "(nothing was sent, or nobody knows).",
            "class",
        )
        self.slots_used = new.gauge("hookline_slots_used", "Attempts running now; in the cluster, at its leader.")
        self.slots_max = new.gauge("hookline_slots_max", "Attempts that may run at once, likewise.")
        self.runner_slots_used = new.gauge(
            "hookline_runner_slots_used",
            "Claims that each runner has, at the leader; the 50 busiest by name, all others together as `other`.",
            "runner",
            "kind",
        )
        self.runner_slots_max = new.gauge(
            "hookline_runner_slots_max", "Attempts that each runner makes at once, likewise.", "runner", "kind"
        )
        self.breakers = new.gauge(
            "hookline_destination_breakers",
            "Destinations whose breaker is `open` or `half_open`, at the leader.",
            "state",
        )

    def _tell_of_the_log(self) -> None:
        new = self.registry
        self.commit_seconds = new.spread(
            "hookline_commit_seconds", "From gathered to durable, per log entry.", _FAST_BUCKETS
        )
        self.commit_commands = new.tallies("hookline_commit_commands", "Commands in log entries.").labels()
        self.commit_batch = new.spread(
            "hookline_commit_batch_commands", "How many commands were in a log entry.", _BATCH_BUCKETS
        )
        self.log_index = new.gauge("hookline_log_index", "Newest log entry that any node of the cluster tells of.")
        self.applied_index = new.gauge("hookline_applied_index", "Newest log entry in the node's state.")
        self.durable_index = new.gauge(
            "hookline_durable_index", "Newest log entry whose effects survive a power cut of this node."
        )
        self.apply_lag = new.gauge("hookline_apply_lag_entries", "Log entries that the node's state is behind.")
        self.durable_lag = new.gauge(
            "hookline_durable_lag_entries", "Log entries that are in the node's state and not durable here yet."
        )
        self.etcd_bytes = new.gauge(
            "hookline_etcd_database_bytes",
            "Size of each etcd member's database, which counts against the quota.",
            "member",
        )
        self.etcd_used_bytes = new.gauge(
            "hookline_etcd_database_used_bytes", "The same without the pages that are free for reuse.", "member"
        )
        self.etcd_quota_bytes = new.gauge(
            "hookline_etcd_quota_bytes", "The quota that the node was told; 0: there is no etcd."
        )

    def _tell_of_the_cluster(self) -> None:
        new = self.registry
        self.term = new.gauge("hookline_term", "The leader's term; a step is an election.")
        self.is_leader = new.gauge("hookline_is_leader", "1 at the node that leads and takes requests.")
        self.failovers = new.tallies(
            "hookline_failovers",
            "Times that this node began to lead after another term: a leader was lost, handed over, or started again.",
        ).labels()
        self.leads_ended = new.tallies(
            "hookline_leads_ended", "Times that this node led no more: `lost`, `handed_over`.", "how"
        )
        self.snapshot_installs = new.tallies(
            "hookline_snapshot_installs",
            "States that were replaced by a peer's snapshot, by why: `behind`, `damaged` (or not as the others').",
            "why",
        )
        # They are there from the beginning: who looks for a rise does not see that of what was not there.
        for tallies, values in ((self.leads_ended, _ENDS), (self.snapshot_installs, _REASONS)):
            for value in values:
                tallies.labels(value)

    def observe_commit(self, commands: int, seconds: float) -> None:
        """One log entry became durable."""
        self.commit_seconds.observe(seconds)
        self.commit_batch.observe(commands)
        self.commit_commands.inc(commands)
