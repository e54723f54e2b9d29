"""Starts what most pages suppose: a node that runs, and somebody who receives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.docs.here import Here
from tests.docs.reader import Reader
from tests.end_to_end.processes import Answer, Journal, answer_ok, journal_receiver, running_node

Opens = Callable[..., Reader]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A node, and the receiver that stands for the hosts of the pages.

    Attributes:
        node: its port.
        answers: how the receiver answers; the last one holds.
    """

    node: int
    receiver: str
    journal: Journal
    answers: list[Answer]

    def words(self) -> dict[str, str]:
        """The receiver, in the place of the hosts that pages name."""
        name = self.receiver.replace("/", "%2F")
        return {
            "https://shop.example.com:443": self.receiver,
            "https://shop.example.com": self.receiver,
            "https://example.com": self.receiver,
            "https://reports.example": self.receiver,
            "destinations/shop.example.com": f"destinations/{name}",
        }


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    answers: list[Answer] = [answer_ok]
    directory = tmp_path_factory.mktemp("node") / "data"
    with (
        journal_receiver(lambda handler, body: answers[-1](handler, body)) as (port, journal),  # noqa: PLW0108 - later
        running_node(directory, "--destination-ports", "80,443") as node,
    ):
        yield Surroundings(node.port, f"http://127.0.0.1:{port}", journal, answers)


@pytest.fixture
def opens(surroundings: Surroundings, tmp_path: Path) -> Opens:
    """Opens a guide for a reader whose node runs: ``with opens("limits", words) as page``."""

    def opened(page: str, words: dict[str, str] | None = None, **environment: Any) -> Reader:
        here = Here(words, {7070: surroundings.node}, surroundings.words())
        return Reader(f"docs/how-to/{page}.md", tmp_path / "reader", here, **environment)

    return opened
