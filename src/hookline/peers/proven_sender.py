"""Proves each call to the process that gets it: the one place where proofs are made. See ``protocol.proofs``.

A process whose clock is far from ours refuses the proof, and says by a proof of its own what its clock says. The call
is then sent once more, dated by that clock; so are later ones. So a wrong clock is told of, and stops nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec.structs import replace

from hookline.clock import Clock
from hookline.errors import ClockDiffers, Unauthorized
from hookline.http_api.messages import digest_of_body
from hookline.http_client.caller import CONNECT_S
from hookline.peers.http_sender import HttpSender
from hookline.peers.sender import NodeAnswer, NodeCall, Sender
from hookline.protocol.proofs import NONCE_BYTES, PROOF, ProofKey, clock_word, prove
from hookline.telemetry.area_log import log_of
from hookline.tls.live import LiveTls
from hookline.visible import without_password

START_BYTES: Final = NONCE_BYTES // 2
_COUNT_BYTES: Final = NONCE_BYTES - START_BYTES
_UNAUTHORIZED: Final = 401
_INTERNAL: Final = "/internal/"

_log = log_of("peers")


class ProvenSender:
    """The ``Sender`` of one process.

    Args:
        carrier: carries the calls.
        key: one that the others have; None: this process has none, and proves nothing.
        clock: dates the proofs.
        start: 8 bytes that tell this process from all others.

    Attributes:
        refusing: urls of processes that refuse a call of ours, since they want a proof, or another one.
    """

    def __init__(self, carrier: Sender, key: ProofKey | None, clock: Clock, start: bytes) -> None:
        assert len(start) == START_BYTES
        self._carrier = carrier
        self._key = key
        self._clock = clock
        self._start = start
        self._count = 0
        self._ahead_ms: dict[str, int] = {}  # by url: the clock there, where it is far from ours
        self.refusing: set[str] = set()

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        """The answer of the process at ``url``. Raises NotSent or Unclear."""
        key, headers = self._key, tuple(pair for pair in call.headers if pair[0] != PROOF)
        if key is None:
            answer = await self._carrier.send(url, replace(call, headers=headers), timeout_s)
            self._note_refusal(url, call, answer)
            return answer
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        body = await digest_of_body(call.body)
        nonce = self._nonce()
        answer = await self._carrier.send(url, self._proven(key, url, call, headers, body, nonce), timeout_s)
        if answer.status != _UNAUTHORIZED:
            self.refusing.discard(url)
            return answer
        if not self._hears_of_its_clock(key, url, answer, nonce) or (left_s := until - loop.time()) <= 0:
            self._note_refusal(url, call, answer)
            return answer
        again = self._proven(key, url, call, headers, body, self._nonce())
        return await self._carrier.send(url, again, left_s)

    def _nonce(self) -> bytes:
        self._count += 1
        return self._start + self._count.to_bytes(_COUNT_BYTES, "big")

    def _proven(
        self, key: ProofKey, url: str, call: NodeCall, headers: tuple[Any, ...], body: bytes, nonce: bytes
    ) -> NodeCall:
        time_ms = self._clock.wall_ms() + self._ahead_ms.get(url, 0)
        target = call.target.encode("ascii", "replace")  # what is not ASCII is not sent
        value = prove(key, call.method, target, headers, body=body, time_ms=time_ms, nonce=nonce)
        return replace(call, headers=(*headers, (PROOF, value)))

    def _hears_of_its_clock(self, key: ProofKey, url: str, answer: NodeAnswer, nonce: bytes) -> bool:
        """A process that has the key says what its clock says."""
        if answer.code != ClockDiffers.code:
            return False
        problem = answer.problem
        now_ms, word = problem.get("now_ms"), problem.get("word")
        if not isinstance(now_ms, int) or word != clock_word(key, nonce.hex().encode(), now_ms):
            return False
        _log.warning("clocks_differ", url=without_password(url), detail=problem.get("detail"))
        self._ahead_ms[url] = now_ms - self._clock.wall_ms()
        return True

    def _note_refusal(self, url: str, call: NodeCall, answer: NodeAnswer) -> None:
        """Say once that no proof of ours is taken there. Calls of clients are refused for their own keys."""
        is_refused = answer.status == _UNAUTHORIZED and answer.code == Unauthorized.code
        if is_refused and call.target.startswith(_INTERNAL) and url not in self.refusing:
            self.refusing.add(url)
            advice = "give all processes of the cluster the same root key and the same secret keys"
            _log.error("proof_refused", url=without_password(url), call=call.target.partition("?")[0], advice=advice)


@asynccontextmanager
async def proven_sender(
    key: ProofKey | None, clock: Clock, *, connect_s: float = CONNECT_S, tls: LiveTls | None = None
) -> AsyncIterator[ProvenSender]:
    """One over HTTP, from the entry to the exit.

    Args:
        key: as ``ProvenSender`` takes it.
        clock: likewise.
        connect_s: to make a connection.
        tls: that of this process; None: it has none, and trusts the system's authorities.
    """
    async with HttpSender(connect_s=connect_s, tls=tls) as carrier:
        yield ProvenSender(carrier, key, clock, clock.token(START_BYTES))
