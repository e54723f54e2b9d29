"""Takes a large batch apart in short steps, without making millions of objects of a hostile one.

Only the list is read here. Each item is read by whoever takes it, so what is wrong inside one is wrong with that one.
"""

import asyncio
import re
from collections.abc import Generator
from typing import Final, cast

from hookline.errors import BatchTooLarge, InvalidJson

BIG_BYTES: Final = 1024 * 1024  # smaller ones are decoded at once, in a few milliseconds
_TOKENS_A_STEP: Final = 5_000
_NESTED_MAX: Final = 1_000_000  # a second of work, in steps
_DEPTH_MAX: Final = 1_000  # about what the decoder takes
_ITEM_BYTES_A_STEP: Final = 16 * 1024
BYTES_A_STEP: Final = 64 * 1024
_START = re.compile(rb'[ \t\r\n]*(\{[ \t\r\n]*"jobs"[ \t\r\n]*:[ \t\r\n]*)?\[')
_TOKEN = re.compile(rb'[\[\]{},"]')
# Numbers, texts, and lists and objects of those: most of what is inside an item, passed over at once.
_FLAT = re.compile(rb'(?:[^\[\]{}"]+|"[^"\\]*(?:\\.[^"\\]*)*"|\[[^\[\]{}"]*\]|\{[^\[\]{}"]*\})*', re.DOTALL)
_TEXT = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
_WHITE = b" \t\r\n"

Steps = Generator[None, None, list[bytes]]


async def big_items(body: bytes, most: int) -> list[bytes]:
    """The same as ``items_in_steps``, while others have their turns."""
    steps = items_in_steps(body, most)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return cast("list[bytes]", done.value)
        await asyncio.sleep(0)


def items_in_steps(body: bytes, most: int) -> Steps:
    """The items of a list, or of the list in ``{"jobs": […]}``, each as it came; yields between steps.

    Raises:
        BatchTooLarge: there are more than ``most``; at the first one too many.
        InvalidJson: it is neither.
    """
    start = _START.match(body)
    if start is None:
        raise InvalidJson('a batch is a list of jobs, or {"jobs": [...]} and no other field')
    items: list[bytes] = []
    position, is_last, since_step, nested = start.end(), False, 0, 0
    while not is_last:
        begin = position
        position, passed = yield from _item_end(body, begin, _NESTED_MAX - nested)
        nested += passed
        is_last = body[position - 1 : position] != b","
        item = body[begin : position - 1]
        item = item.strip(_WHITE) if item.strip() else b""  # the second is quick where there is nothing else
        if item:
            items.append(item)
        elif items or not is_last:
            raise InvalidJson("an item of the list is missing", position=begin)
        if len(items) > most:
            raise BatchTooLarge(f"the batch has more than {most} jobs", limit=most)
        since_step += position - begin
        if since_step > _ITEM_BYTES_A_STEP:
            since_step = 0
            yield
    if body[position:].strip(_WHITE) != (b"}" if start[1] else b""):
        raise InvalidJson("something follows the list of jobs", position=position)
    return items


def _item_end(body: bytes, position: int, most: int) -> Generator[None, None, tuple[int, int]]:
    """(Behind the comma or bracket that ends the item which begins there, brackets and texts passed one by one)."""
    depth = tokens = 0
    yielded = position
    while position < len(body):
        if position - yielded >= BYTES_A_STEP or tokens % _TOKENS_A_STEP == _TOKENS_A_STEP - 1:
            yielded = position
            yield
        end = position + BYTES_A_STEP
        if depth:  # nothing inside an item ends it
            found = _FLAT.match(body, position, end)
            position = position if found is None else found.end()
        found = _TOKEN.search(body, position, end)
        tokens += 1
        if found is None:
            position = end
            continue
        position, token = found.end(), found[0]
        if token == b'"':
            position = yield from _text_end(body, position)
        elif depth == 0 and token in b",]}":
            return position, tokens
        elif token != b",":
            depth += 1 if token in b"[{" else -1
        if depth > _DEPTH_MAX:
            raise InvalidJson("the body is nested too deeply", position=position)
        if tokens > most:
            raise BatchTooLarge("the jobs of the batch have too many nested values together; send it in parts")
    raise InvalidJson("the body ends too early", position=len(body))


def _text_end(body: bytes, position: int) -> Generator[None, None, int]:
    """The end of the text that begins there."""
    while position < len(body):
        found = _TEXT.match(body, position, position + BYTES_A_STEP)
        end = position if found is None else found.end()
        if body[end : end + 1] == b'"':
            return end + 1
        if end == position:  # half an escape, and then nothing
            break
        position = end
        yield
    raise InvalidJson("the body ends too early", position=len(body))
