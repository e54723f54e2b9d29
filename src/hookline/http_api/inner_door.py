"""Decides at a node whose word is taken: a process of ours proves that it is one, by ``protocol.proofs``.

This is the one place where proofs are checked; ``guard`` is the one where keys are. Where keys are asked for, the
headers of our processes are dropped from a call without a proof, and calls under ``/internal/`` need one, or a key with
the scope ``admin``. Where nobody is asked for a key, proxies have nothing to prove by: then the headers of a call
without a proof are believed, and only what hands out jobs, or the whole state, asks for one; see ``Call.keyless``.
"""

from collections.abc import Iterable

from hookline.clock import Clock
from hookline.errors import ClockDiffers, Unauthorized
from hookline.http_api.callers import ApiCaller, HeaderPairs, admit_clients, admit_ours
from hookline.http_api.messages import AsgiScope
from hookline.protocol.calls import Call
from hookline.protocol.durations import format_time
from hookline.protocol.proofs import NO_BODY, PROOF, SLACK_MS, Proof, ProofKey, clock_word, read_proof

_LAST_MS = 253_402_300_799_999  # of the year 9999


class Nonces:
    """The proofs that were taken, for as long as they could be taken again."""

    def __init__(self) -> None:
        self._older: set[bytes] = set()
        self._newer: set[bytes] = set()
        self._turned_ms = 0.0

    def is_new(self, nonce: bytes, now_ms: float) -> bool:
        """Was it never asked for? ``now_ms``: by a clock that never jumps."""
        if now_ms - self._turned_ms > 2 * SLACK_MS:  # one that was dated ahead holds for twice as long
            self._older, self._newer, self._turned_ms = self._newer, set(), now_ms
        if nonce in self._newer or nonce in self._older:
            return False
        self._newer.add(nonce)
        return True


class InnerDoor:
    """One for a process.

    Args:
        keys: of which one has to be the caller's.
        clock: says the time.
        asks_for_keys: callers without a proof are asked for a key; ``guard`` does it.
        is_reached_from_afar: other machines may reach this process.

    Attributes:
        keys: as given.
    """

    def __init__(
        self, keys: Iterable[ProofKey], clock: Clock, *, asks_for_keys: bool, is_reached_from_afar: bool
    ) -> None:
        self.keys = tuple(keys)
        self._by_id = {key.id: key for key in self.keys}
        self._clock = clock
        self._asks_for_keys = asks_for_keys
        self._is_reached_from_afar = is_reached_from_afar
        self._nonces = Nonces()

    def admit(self, call: Call, scope: AsgiScope) -> tuple[ApiCaller, HeaderPairs]:
        """The caller, by those of its headers that are believed, and these headers.

        Raises:
            Unauthorized: the proof is not right, or there is none and nothing else will do.
            ClockDiffers: the proof is right, but for its time.
        """
        headers: HeaderPairs = scope["headers"]
        shown = [value for name, value in headers if name == PROOF]
        if shown:
            headers = [pair for pair in headers if pair[0] != PROOF]
            proof = read_proof(shown)
            if proof is not None and self._is_right(proof, call, scope, headers):
                caller, headers = admit_ours(headers)
                return caller._replace(body=proof.body), headers
            if self._asks_for_keys:
                raise Unauthorized
        if self._asks_for_keys:
            return admit_clients(headers)
        if call.keyless == "closed" or (call.keyless == "here" and self._is_reached_from_afar):
            raise Unauthorized
        return admit_ours(headers)

    def _is_right(self, proof: Proof, call: Call, scope: AsgiScope, headers: HeaderPairs) -> bool:
        key = self._by_id.get(proof.key)
        query: bytes = scope["query_string"]
        target = scope["raw_path"] + b"?" + query if query else scope["raw_path"]
        if key is None or not proof.is_of(key, scope["method"], target, headers):
            return False
        if not call.body_bytes_max and proof.body != NO_BODY:
            return False
        self._check_time(proof, key)
        # A repeat would be told the state once more. What changes something can be repeated, and tells nothing new.
        return not (call.scope == "internal" and call.is_safe) or self._nonces.is_new(
            proof.nonce, self._clock.boot_ms()
        )

    def _check_time(self, proof: Proof, key: ProofKey) -> None:
        """Tell the caller what the time is here: it then says that, and knows from whom it comes."""
        now_ms = self._clock.wall_ms()
        if abs(now_ms - proof.time_ms) > SLACK_MS:
            theirs, ours = format_time(min(proof.time_ms, _LAST_MS)), format_time(now_ms)
            raise ClockDiffers(
                f"the caller's clock says {theirs} and this node's {ours}; they may differ by {SLACK_MS // 60_000} "
                "minutes. Set the wrong one right",
                now_ms=now_ms,
                word=clock_word(key, proof.nonce, now_ms),
            )
