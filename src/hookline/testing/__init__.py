"""For tests of what uses Hookline: a node in the same process, on virtual time, with a receiver in memory.

See docs/how-to/test-your-webhooks.md. Everything is imported when it is first used: ``sign`` needs the SDK only, and
the pytest plugin lives here, too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hookline.testing.blocking import BlockingNode as BlockingNode
    from hookline.testing.blocking import BlockingReceiver as BlockingReceiver
    from hookline.testing.clock import SimulatedClock as SimulatedClock
    from hookline.testing.node import InProcessNode as InProcessNode
    from hookline.testing.receiver import Reaction as Reaction
    from hookline.testing.receiver import ReceivedRequest as ReceivedRequest
    from hookline.testing.receiver import Receiver as Receiver
    from hookline.testing.receiver import answer as answer
    from hookline.testing.receiver import break_off as break_off
    from hookline.testing.receiver import hang as hang
    from hookline.testing.receiver import refuse as refuse
    from hookline.testing.signer import sign as sign
    from hookline.testing.virtual_time import Deadlocked as Deadlocked
    from hookline.testing.virtual_time import VirtualTimeLoop as VirtualTimeLoop
    from hookline.testing.virtual_time import run as run

_NAMES_BY_MODULE = {
    "blocking": ("BlockingNode", "BlockingReceiver"),
    "clock": ("SimulatedClock",),
    "node": ("InProcessNode",),
    "receiver": ("Reaction", "ReceivedRequest", "Receiver", "answer", "break_off", "hang", "refuse"),
    "signer": ("sign",),
    "virtual_time": ("Deadlocked", "VirtualTimeLoop", "run"),
}
_HOME = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605  # one list of names, not two; a test compares it with the types


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"hookline.testing.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
