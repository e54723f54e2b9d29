"""The clock that everything of a node is given: the machine's, as far as it can be trusted."""

from collections.abc import Sequence

from hookline.clock import Clock
from hookline.node.clocks.guard import ClockGuard, Reading
from hookline.node.clocks.majority import Judgement, KnownClock

_TORN_MS = 50.0  # the process was stopped between two readings: they do not belong together
_LOOKS = 3


class GuardedClock:
    """A ``Clock`` whose wall clock is the trusted time of ``ClockGuard``.

    Args:
        machine: the machine's clock.
    """

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._guard = ClockGuard()
        self.random = machine.random
        self.token = machine.token
        self.boot_ms = machine.boot_ms

    def wall_ms(self) -> int:
        """The trusted time."""
        wall_ms = self._machine.wall_ms()
        return wall_ms if self._guard.is_plain(wall_ms) else int(self._guard.read(self._read()))

    def _read(self) -> Reading:
        machine = self._machine
        now = Reading(machine.wall_ms(), machine.boot_ms())
        if not self._guard.suspects(now):
            return now
        for _ in range(_LOOKS):
            before_ms = machine.boot_ms()
            now = Reading(machine.wall_ms(), machine.boot_ms())
            if now.boot_ms - before_ms < _TORN_MS:
                break
        return now

    def machine_ms(self) -> int:
        """The machine's wall clock, right or wrong."""
        return self._machine.wall_ms()

    @property
    def is_trusted(self) -> bool:
        """The machine's wall clock is the time, as far as anybody knows."""
        return self._guard.is_trusted

    @property
    def is_settled(self) -> bool:
        """The time is not a stopgap: the wall clock is trusted, or the majority of the cluster's clocks is followed."""
        return self._guard.is_trusted or self._guard.is_sure

    @property
    def steps(self) -> int:
        """Grows whenever the time was set other than by passing, or trust came or went."""
        return self._guard.steps

    def latest_ms(self) -> int:
        """The latest time that it may be, by any of the clocks that disagree."""
        now_ms = self.wall_ms()
        return now_ms if self.is_trusted else max(now_ms, self.machine_ms(), now_ms - int(self._guard.apart_ms))

    def why_not(self) -> str | None:
        """Says what is wrong with the machine's wall clock, and what to do about it; None while it is trusted."""
        self.wall_ms()
        if self._guard.is_trusted:
            return None
        apart = _text(self._guard.apart_ms)
        if self._guard.is_sure:
            return (
                f"this machine's clock is {apart} the majority of the cluster's clocks, whose time is used; set it "
                "right (NTP)"
            )
        return (
            f"this machine's clock has jumped and is now {apart} the time since boot, and nothing says which is right; "
            "the earlier one is used. Set the clock right, or if it is right, say so: hookline cluster trust-clock"
        )

    def judgement(self) -> Judgement | None:
        """Judges the machine's clock by the others; None when none is known."""
        return self._guard.judgement(self._read())

    def hear(self, others: Sequence[KnownClock]) -> None:
        """Other clocks were read."""
        self._guard.hear(self._read(), others)

    def confirm(self) -> bool:
        """A second source says that the machine's clock is right; False when the majority of the clocks objects."""
        return self._guard.confirm(self._read())


def _text(apart_ms: float) -> str:
    return f"{abs(apart_ms) / 1_000:,.1f} s {'ahead of' if apart_ms > 0 else 'behind'}"
