"""Takes spans from the work, and has them exported by a thread, in batches. The work never waits for it.

While the receiver does not take them, spans are dropped and counted. One line of the log says so, and one when it is
over.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread

from hookline.telemetry.area_log import log_of
from hookline.telemetry.tracing.spans import Span

_log = log_of("traces")


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Bounds of a queue; the defaults are OpenTelemetry's."""

    spans_max: int = 2_048
    batch_max: int = 512
    delay_s: float = 5.0


class SpanQueue:
    """Spans that wait.

    Args:
        export: sends some, in the thread; says whether they were taken. May block.
        limits: bounds.

    Attributes:
        dropped: spans that nobody took, so far.
    """

    def __init__(self, export: Callable[[Sequence[Span]], bool], limits: QueueLimits) -> None:
        self._export = export
        self._limits = limits
        self._spans: deque[Span] = deque()
        self._wake = Event()
        self._is_over = False
        self._is_in_trouble = False
        self.dropped = 0
        self._thread = Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def put(self, span: Span) -> None:
        """Have it exported, if there is room."""
        if len(self._spans) >= self._limits.spans_max:
            self._drop(1, "the queue is full")
            return
        self._spans.append(span)
        if len(self._spans) >= self._limits.batch_max and not self._wake.is_set():
            self._wake.set()

    def close(self, within_s: float) -> None:
        """Export what waits, but not for longer than that; blocks."""
        self._is_over = True
        self._wake.set()
        self._thread.join(within_s)

    def _run(self) -> None:
        while not self._is_over:
            self._wake.wait(self._limits.delay_s)
            self._wake.clear()
            self._send()
        self._send()  # what came between the last look and the end

    def _send(self) -> None:
        """Send what waits now. What comes meanwhile waits for the next time, unless it makes a batch."""
        left = len(self._spans)
        while left > 0 or len(self._spans) >= self._limits.batch_max or (self._is_over and self._spans):
            batch = [self._spans.popleft() for _ in range(min(len(self._spans), self._limits.batch_max))]
            left -= len(batch)
            try:
                is_taken = self._export(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not to end the thread
                is_taken = False
                _log.debug("export_of_traces_failed", error=type(error).__name__)
            if is_taken:
                self._is_well()
            else:
                self._drop(len(batch), "the receiver does not take them")

    def _drop(self, count: int, why: str) -> None:
        self.dropped += count
        if not self._is_in_trouble:
            self._is_in_trouble = True
            _log.warning("traces_dropped", why=why)

    def _is_well(self) -> None:
        if self._is_in_trouble:
            self._is_in_trouble = False
            _log.info("traces_sent_again", dropped=self.dropped)
