"""How evenly the strategies spread ids, and what a new cluster moves: the table in docs/explanation/proxy.md.

Usage: python tools/routing_spread.py            print it (takes about 10 s)
       python tools/routing_spread.py --write    put it into the page
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from uuid import UUID

from hookline.protocol.routing import Modulo, Placer, Ring
from hookline.protocol.topology import ClusterEntry

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "proxy.md"
BEGIN, END = "<!-- python tools/routing_spread.py --write -->\n", "<!-- end of the table -->\n"
COUNTS = (2, 3, 5, 10, 20, 50)
IDS = 100_000
STRATEGIES: Mapping[str, Callable[[Sequence[ClusterEntry]], Placer]] = {"modulo": Modulo, "ring": Ring}


def ids(count: int = IDS) -> dict[str, list[str]]:
    """Kind to ids; the same ones each time."""
    numbers = random.Random(7)  # noqa: S311 - the point is that it can be repeated
    return {
        "random": ["".join(numbers.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=16)) for _ in range(count)],
        "sequential": [f"order-{number}" for number in range(count)],
        "UUID": [str(UUID(int=numbers.getrandbits(128), version=4)) for _ in range(count)],
    }


def clusters(count: int) -> tuple[ClusterEntry, ...]:
    """Clusters of equal weight."""
    return tuple(ClusterEntry(name=f"c{n}", shard=n, nodes=(f"http://c{n}:7070",)) for n in range(count))


def spread(homes: Sequence[str], count: int) -> tuple[float, float]:
    """Gives the parts of the emptiest and the fullest of ``count`` clusters, 1 being its fair share."""
    parts = Counter(homes)
    sizes = [parts[f"c{number}"] * count / len(homes) for number in range(count)]
    return min(sizes), max(sizes)


def homes_of(strategy: str, count: int, wanted: Sequence[str]) -> list[str]:
    """The names of the homes of these ids."""
    place = STRATEGIES[strategy](clusters(count)).place
    return [place(text).name for text in wanted]


def table() -> str:
    """In Markdown."""
    kinds = ids()
    heads = [f"{strategy}, {kind}" for strategy in STRATEGIES for kind in kinds]
    lines = [
        f"| clusters | {' | '.join(heads)} | modulo moves | ring moves |",
        "|---|" + "---|" * (len(heads) + 2),
    ]
    for count in COUNTS:
        cells, moves = [], []
        for strategy in STRATEGIES:
            for kind, wanted in kinds.items():
                homes = homes_of(strategy, count, wanted)
                cells.append("{:.2f}–{:.2f}".format(*spread(homes, count)))
                if kind == "UUID":
                    after = homes_of(strategy, count + 1, wanted)
                    moves.append(f"{sum(map(str.__ne__, homes, after)) / len(wanted):.1%}")
        lines.append(f"| {count} | {' | '.join([*cells, *moves])} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    text = table()
    print(text, end="")
    if "--write" in arguments:
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
