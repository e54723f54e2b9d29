"""For tests of what uses Hookline: a node in the same process, on virtual time, with a receiver in memory.

See docs/how-to/test-your-webhooks.md.
"""

from hookline.testing.clock import SimulatedClock
from hookline.testing.node import InProcessNode
from hookline.testing.receiver import (
    Reaction,
    ReceivedRequest,
    Receiver,
    answer,
    break_off,
    hang,
    refuse,
)
from hookline.testing.virtual_time import Deadlocked, VirtualTimeLoop, run

__all__ = [
    "Deadlocked",
    "InProcessNode",
    "Reaction",
    "ReceivedRequest",
    "Receiver",
    "SimulatedClock",
    "VirtualTimeLoop",
    "answer",
    "break_off",
    "hang",
    "refuse",
    "run",
]
