"""A page of a list as it is answered: a proxy, which merges pages, also gets the place of every item."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from hookline.http_api.cursors import encode_cursor
from hookline.http_api.exchange import Reply, Request, answer
from hookline.node.api.ownership import asked_epoch
from hookline.protocol import http

Page = http.JobPage | http.SchedulePage | http.DestinationPage
Row = TypeVar("Row")
View = TypeVar("View")

_VIEWS_BETWEEN_YIELDS = 20


async def views_of(rows: Sequence[Row], view: Callable[[Row], View]) -> list[View]:
    """What users see of the rows; other work goes on in between."""
    views: list[View] = []
    for start in range(0, len(rows), _VIEWS_BETWEEN_YIELDS):
        views += map(view, rows[start : start + _VIEWS_BETWEEN_YIELDS])
        await asyncio.sleep(0)
    return views


def page_reply(request: Request, page: Page, scope: str, positions: list[str]) -> Reply:
    """The page; ``positions`` are those of its items, as ``scope``'s cursors hold them."""
    if asked_epoch(request) is not None:
        cursors = [encode_cursor(position, scope) for position in positions]
        page = msgspec.structs.replace(page, cursors=cursors)
    return answer(200, page)
