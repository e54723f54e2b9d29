"""Counting what a retry or cancel by filter changed, when it stops on the way."""

from collections.abc import AsyncIterator

import pytest

from hookline.errors import DeadlineExceeded, HooklineError, NotLeader, QueueFull
from hookline.node.api.bulk import count_changed


async def _counts(*counts: int | HooklineError) -> AsyncIterator[int]:
    for count in counts:
        if isinstance(count, HooklineError):
            raise count
        yield count


async def test_all_parts_are_counted() -> None:
    assert await count_changed(_counts(500, 20)) == (520, False)


@pytest.mark.parametrize("refusal", [NotLeader(), QueueFull()])
async def test_a_refusal_after_a_change_is_no_refusal(refusal: HooklineError) -> None:
    assert await count_changed(_counts(500, refusal)) == (500, True)
    for before in ((), (0,)):
        with pytest.raises(type(refusal)):
            await count_changed(_counts(*before, refusal))


async def test_what_is_unclear_stays_so() -> None:
    with pytest.raises(DeadlineExceeded):
        await count_changed(_counts(500, DeadlineExceeded()))
