"""No request holds the event loop for more than a moment, whatever it is: others wait for it."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from tests.integration.loop_blocks import ATTACKS, Attack, Steps, fill, longest_step_ms, measured_steps
from tests.integration.node_under_test import NodeUnderTest, node_config

MOST_MS = 50.0  # of the loop's thread: what other processes do in that time does not count
_TRIES = 3  # a garbage collection, or a cold cache, may come between; it does not come each time


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeUnderTest, Steps]]:
    node = NodeUnderTest(node_config(tmp_path_factory.mktemp("node")), None)
    node.run_loop = asyncio.run
    trace = threading.gettrace()
    threading.settrace(None)  # type: ignore[arg-type] - coverage makes the loop's thread several times slower
    with measured_steps() as steps, node.running():
        threading.settrace(trace)  # type: ignore[arg-type]
        fill(node)
        yield node, steps


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_no_request_holds_the_loop(measured: tuple[NodeUnderTest, Steps], attack: Attack) -> None:
    node, steps = measured
    longest = []
    for _ in range(_TRIES):
        status, longest_ms = longest_step_ms(node, steps, attack)
        assert status < 500
        longest.append(longest_ms)
        if longest_ms <= MOST_MS:
            return
    pytest.fail(f"the loop was held for {', '.join(f'{ms:.0f}' for ms in longest)} ms")
