"""A process that can begin: what a command makes of its settings, so that they can be checked without running it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hookline.node.config import NodeConfig
    from hookline.proxy.config import ProxyConfig
    from hookline.worker.config import WorkerConfig


class Launch(NamedTuple):
    """One process.

    Attributes:
        config: its settings, checked.
        run: runs it until it is told to stop; returns the exit code.
    """

    config: "NodeConfig | ProxyConfig | WorkerConfig"
    run: Callable[[], int]
