"""Carriers take one call to the service and bring back its answer: the interface, and what all of them share."""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hookline.errors import ForeignAnswer
from hookline.protocol.limits import KIB

ANSWER_BYTES_MAX = 64 * 1024 * KIB


@dataclass(frozen=True, slots=True)
class CarrierCall:
    """One try. ``left_s`` tells how many of its ``timeout_s`` seconds are left."""

    method: str
    url: str  # the service's
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout_s: float
    left_s: Callable[[], float]


class CarrierAnswer(NamedTuple):
    """Names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Carrier(Protocol):
    """For ordinary code; threads may share it."""

    def carry(self, call: CarrierCall) -> CarrierAnswer:
        """Send it and read all of the answer.

        Raises:
            ConnectionFailed: nothing was sent.
            DeadlineExceeded: it may or may not have been accepted.
            InvalidRequest: it cannot be sent.
            ForeignAnswer: the answer is too long.
        """

    def close(self) -> None:
        """Close the connections that are the SDK's own."""


class AsyncCarrier(Protocol):
    """For asyncio."""

    async def carry(self, call: CarrierCall) -> CarrierAnswer:
        """Send it and read all of the answer. Raises as above."""

    async def close(self) -> None:
        """Close the connections that are the SDK's own."""


def too_long() -> ForeignAnswer:
    """More came than any answer of Hookline's has."""
    return ForeignAnswer("The answer is longer than 64 MiB. Is that address Hookline?")


def all_of(parts: Iterable[bytes], left_s: Callable[[], float]) -> bytes:
    """The parts of an answer's body together. Raises ForeignAnswer, TimeoutError."""
    body = bytearray()
    for part in parts:
        _add(body, part, left_s)
    return bytes(body)


async def all_of_async(parts: AsyncIterable[bytes], left_s: Callable[[], float]) -> bytes:
    """The same for asyncio."""
    body = bytearray()
    async for part in parts:
        _add(body, part, left_s)
    return bytes(body)


def _add(body: bytearray, part: bytes, left_s: Callable[[], float]) -> None:
    if len(body) + len(part) > ANSWER_BYTES_MAX:
        raise too_long()
    if left_s() <= 0:
        raise TimeoutError("the answer did not end in time")
    body += part
