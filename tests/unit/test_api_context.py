"""The answers when only some entries of one request got into the log."""

import asyncio

import pytest

from hookline.errors import DeadlineExceeded, HooklineError, Internal, NotLeader
from hookline.node.api.context import together
from hookline.protocol.commands import Changed, Result


def proposals(*outcomes: list[Result] | HooklineError) -> list[asyncio.Future[list[Result]]]:
    futures = []
    for outcome in outcomes:
        future: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        if isinstance(outcome, HooklineError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
        futures.append(future)
    return futures


async def test_results_come_in_order() -> None:
    assert await together(proposals([Changed(1)], [Changed(2), Changed(3)])) == [Changed(1), Changed(2), Changed(3)]


async def test_all_refused_is_refused() -> None:
    with pytest.raises(NotLeader):
        await together(proposals(NotLeader(), NotLeader()))


async def test_a_part_that_was_accepted_is_no_refusal() -> None:
    with pytest.raises(DeadlineExceeded):  # a refused one would be made again, and the first part a second time
        await together(proposals([Changed(1)], NotLeader()))


async def test_a_part_whose_fate_is_open_is_no_refusal() -> None:
    with pytest.raises(Internal):
        await together(proposals(NotLeader(), Internal()))
