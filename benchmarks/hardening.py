"""What the worst requests cost a node: ``python benchmarks/hardening.py`` writes docs/reference/hardening.md.

Each request is sent to a node in this process, whose loop's thread is measured: its longest step in CPU time, the least
of three (a garbage collection may come between), and by how much the process grew.
"""

import asyncio
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.integration.loop_blocks import ATTACKS, fill, longest_step_ms, measured_steps  # noqa: E402
from tests.integration.node_under_test import NodeUnderTest, node_config  # noqa: E402

PAGE = HERE.parent / "docs" / "reference" / "hardening.md"
HEAD = """# What hostile requests cost

No request may hold a node's event loop for more than 50 ms: all others wait for it. These are the worst requests that
we know, each as large as its call takes. The tests send them too (`tests/integration/test_loop_blocks.py`).

- Command: `python benchmarks/hardening.py`
- Date: {date}, Python {python}, {machine}
- *Longest step*: of the thread of the event loop, in CPU time; the least of three tries.
- *Grew*: by how much the largest resident size of the process went up with it, the request itself (twice: client and
  node are one process here) included.

| request | status | longest step ms | grew MiB |
|---|--:|--:|--:|
"""


def main() -> None:
    """Send all, and write the page."""
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        node = NodeUnderTest(node_config(Path(directory)), None)
        node.run_loop = asyncio.run
        with measured_steps() as steps, node.running():
            fill(node)
            for attack in ATTACKS:
                before = _peak_mib()
                tries = [longest_step_ms(node, steps, attack) for _ in range(3)]
                grew = _peak_mib() - before
                lines.append(f"| {attack.name} | {tries[0][0]} | {min(ms for _, ms in tries):.1f} | {grew:.0f} |")
                print(lines[-1], flush=True)
    machine = f"{platform.system()} {platform.machine()}"
    head = HEAD.format(date=time.strftime("%Y-%m-%d"), python=platform.python_version(), machine=machine)
    PAGE.write_text(head + "\n".join(lines) + "\n")


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
