"""Telemetry: the logs, the metrics and the traces of every process."""
