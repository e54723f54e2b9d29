"""Traces: W3C Trace Context, spans, sampling, and their export by OTLP. Off unless ``begin_tracing`` is called."""
