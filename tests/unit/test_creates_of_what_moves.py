"""A create finds a job that the same entry of the log gives to another cluster, or deletes."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from hookline.errors import Arriving, Moved
from hookline.node.api import batches
from hookline.node.api.creating import Wish, answered
from hookline.protocol.commands import Created

FOUND = Created(1, "order-1", deduplicated=True)


def api(there: tuple[int, bool] | None) -> Any:
    """A node that has no such job, and knows where it is, or does not."""
    reads = SimpleNamespace(
        job=lambda _tenant, _id: None, state=lambda _tenant, _id: None, elsewhere=lambda _tenant, _kind, _name: there
    )
    return SimpleNamespace(reads=reads)


def command() -> Any:
    return SimpleNamespace(work=SimpleNamespace(tenant=""))


@pytest.mark.parametrize("is_minimal", [False, True])
def test_a_create_says_where_it_is_or_to_try_again(*, is_minimal: bool) -> None:
    new: Any = SimpleNamespace(command=command())
    wish = Wish(new, None, is_minimal)
    with pytest.raises(Moved) as moved:
        asyncio.run(answered(api((3, False)), wish, FOUND, 0))
    assert moved.value.figures["shard"] == 3
    with pytest.raises(Arriving):
        asyncio.run(answered(api(None), wish, FOUND, 0))


@pytest.mark.parametrize("view", [None, {}], ids=["minimal", "whole"])
def test_so_does_each_item_of_a_batch(view: Any) -> None:
    item = batches._New(command(), view)  # noqa: SLF001  # a batch that meets the move takes a whole cluster
    for there, code in (((3, False), "moved"), (None, "arriving")):
        found = batches._result(api(there), item, FOUND)  # noqa: SLF001
        assert isinstance(found.error, dict)
        assert found.error["code"] == code
