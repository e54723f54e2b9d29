"""The metrics of a worker. Names and meanings: docs/reference/metrics.md."""

from hookline.telemetry.process_metrics import ProcessMetrics


class WorkerMetrics(ProcessMetrics):
    """Of one worker; of its deliveries the leader tells."""

    def __init__(self) -> None:
        super().__init__()
        self.slots_used = self.registry.gauge("hookline_slots_used", "Attempts that this worker makes now.")
        self.slots_max = self.registry.gauge("hookline_slots_max", "Attempts that it makes at once at most.")
