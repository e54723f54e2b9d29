"""A page of a list as it is answered: a proxy, which merges pages, also gets the place of every item."""

import msgspec

from hookline.http_api.cursors import encode_cursor
from hookline.http_api.exchange import Reply, Request, answer
from hookline.node.api.ownership import asked_epoch
from hookline.protocol import http

Page = http.JobPage | http.SchedulePage | http.DestinationPage


def page_reply(request: Request, page: Page, scope: str, positions: list[str]) -> Reply:
    """The page; ``positions`` are those of its items, as ``scope``'s cursors hold them."""
    if asked_epoch(request) is not None:
        cursors = [encode_cursor(position, scope) for position in positions]
        page = msgspec.structs.replace(page, cursors=cursors)
    return answer(200, page)
