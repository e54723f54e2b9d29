"""Asks every caller for the API key that its call needs: the one place where keys are checked, in nodes and proxies.

All that is wrong with a key has one answer, 401, which takes the same time: what is missing, malformed, unknown,
expired and revoked cannot be told apart. Only a valid key that lacks the scope is told so, by 403.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from hookline.clock import Clock
from hookline.errors import Forbidden, TooManyBadKeys, Unauthorized
from hookline.http_api.bad_keys import BadKeys, source_of
from hookline.http_api.callers import ApiCaller, HeaderPairs
from hookline.http_api.messages import HeaderPair
from hookline.protocol.api_keys import KEY_SCOPES, ApiKey, KeyScope, KeySecret, hash_of, id_in
from hookline.protocol.calls import Call
from hookline.protocol.jobs import DEFAULT_TENANT
from hookline.protocol.passes import read_pass

AUTHORIZATION: Final = b"authorization"
ROOT: Final = "root"
_LOOK_MS = 100  # at most so often it is looked whether there are newer keys
_VAIN_MS, _VAIN_MAX = 2_000, 10_000  # so long, and of so many keys, it is known that there are none
NOTED_AT_ONCE, NOTED_PER_S = 10, 1 / 60  # of one key
_NOBODY = ApiKey(DEFAULT_TENANT, "", (), (KeySecret(hash_of("")),), 0, expires_ms=0)  # to take as long as a known one

Find = Callable[[str], ApiKey | None]
ClientAddress = tuple[str, int] | None
NoteForbidden = Callable[[Call, ApiCaller, HeaderPairs, ClientAddress], Awaitable[None]]


class Guard:
    """One for a process.

    Args:
        roots: the hashes of the root keys.
        find: a key by its id, as this process knows it.
        clock: says what has expired.
        look_again: learns of newer keys; called before a key is refused.
        may_be_behind: is there any use in that now?
        uses: takes the id of each valid key, and when it was used last.
        note_forbidden: told of audited calls that a valid key lacks the scope for, of each key so many that nobody can
            fill the audit log.
        pass_keys: of the passes that people get who sign in at a provider.
    """

    def __init__(
        self,
        roots: Sequence[bytes],
        find: Find,
        clock: Clock,
        look_again: Callable[[], Awaitable[None]],
        may_be_behind: Callable[[], bool],
        uses: dict[str, int] | None = None,
        note_forbidden: NoteForbidden | None = None,
        *,
        pass_keys: Sequence[bytes] = (),
    ) -> None:
        self._roots = roots
        self._pass_keys = pass_keys
        self._find = find
        self._clock = clock
        self._look_again = look_again
        self._may_be_behind = may_be_behind
        self._bad = BadKeys()
        self._note_forbidden = note_forbidden
        self._forbidden = BadKeys(NOTED_AT_ONCE, NOTED_PER_S)
        self._looking = asyncio.Lock()
        self._looked_ms = float("-inf")
        self._vain: dict[bytes, float] = {}  # hashes of texts, and when they were looked for; the oldest first
        self._uses = {} if uses is None else uses

    async def admitted(self, call: Call, caller: ApiCaller, headers: HeaderPairs, address: ClientAddress) -> ApiCaller:
        """The caller, with what its key says of it.

        Raises:
            Unauthorized: it has no valid key; for an internal call, none with the scope ``admin`` of the first tenant.
            TooManyBadKeys: likewise, and neither had many others from that address.
            Forbidden: the key lacks the scope, or is not the default tenant's and the call is the operators'.
        """
        if call.needed_scope is None or (caller.is_proven and call.scope == "internal"):
            return caller
        found = self.known(caller, headers)
        if found is None:
            found = await self._known_after_a_look(caller, headers, source_of(address[0]) if address else "")
        if call.scope == "internal" and (found.tenant != DEFAULT_TENANT or "admin" not in found.scopes):
            raise Unauthorized
        if call.needed_scope not in found.scopes:
            if call.audited != "no":
                await self._note(call, found, headers, address)
            raise Forbidden(f"the key lacks the scope {call.needed_scope}", scope=call.needed_scope)
        if call.of_service and found.key_tenant != DEFAULT_TENANT:
            raise Forbidden("this call is about the whole service: only keys of the default tenant may make it")
        return found

    async def _note(self, call: Call, caller: ApiCaller, headers: HeaderPairs, address: ClientAddress) -> None:
        now_ms = self._clock.boot_ms()
        if self._note_forbidden is not None and not self._forbidden.wait_s(caller.key, now_ms):
            self._forbidden.note(caller.key, now_ms)
            await self._note_forbidden(call, caller, headers, address)

    def known(self, caller: ApiCaller, headers: HeaderPairs) -> ApiCaller | None:
        """The caller by its key, as far as this process knows; None: there is no valid one."""
        text = _bearer(headers)
        digest = hash_of(text)
        is_root = sum(hmac.compare_digest(digest, root) for root in self._roots) > 0  # all, whichever it is
        key_id = id_in(text) or ""
        key = self._find(key_id) if key_id else None
        now_ms = self._clock.wall_ms()
        does_open = (key or _NOBODY).opens(digest, now_ms)
        if is_root:
            return caller._replace(key=ROOT, scopes=KEY_SCOPES)
        if (shown := read_pass(text, self._pass_keys, now_ms)) is not None:
            return _as(caller, shown.name, shown.scopes, shown.tenant)
        if key is None or not does_open:
            return None
        self._uses[key_id] = now_ms
        return _as(caller, key_id, key.scopes, key.tenant)

    def note_use(self, caller: ApiCaller) -> None:
        """Another process of this node has found the caller's key valid."""
        if caller.key not in ("", ROOT):
            self._uses[caller.key] = self._clock.wall_ms()

    async def _known_after_a_look(self, caller: ApiCaller, headers: HeaderPairs, source: str) -> ApiCaller:
        wait_s = self._bad.wait_s(source, self._clock.boot_ms())
        found = None
        if not wait_s and self._may_be_newer(_bearer(headers)):
            await self._look()
            found = self.known(caller, headers)
            if found is None and len(self._vain) < _VAIN_MAX:
                self._vain[hash_of(_bearer(headers))] = self._clock.boot_ms()
        if found is not None:
            return found
        if wait_s:
            raise TooManyBadKeys(retry_after_s=wait_s)
        self._bad.note(source, self._clock.boot_ms())
        raise Unauthorized

    def _may_be_newer(self, text: str) -> bool:
        """Is it worth a look whether there is such a key by now? Not if somebody has just looked for it in vain."""
        if id_in(text) is None or not self._may_be_behind():
            return False
        now_ms, digest = self._clock.boot_ms(), hash_of(text)
        while self._vain and (first := next(iter(self._vain.items())))[1] < now_ms - _VAIN_MS:
            del self._vain[first[0]]
        return digest not in self._vain

    async def _look(self) -> None:
        """Learn what is newer than this question; those that ask meanwhile share the next look."""
        asked_ms = self._clock.boot_ms()
        async with self._looking:
            if self._looked_ms >= asked_ms:
                return
            if (rest_ms := self._looked_ms + _LOOK_MS - self._clock.boot_ms()) > 0:
                await asyncio.sleep(rest_ms / 1_000)
            self._looked_ms = self._clock.boot_ms()
            await self._look_again()


def bearer(key: str) -> HeaderPair:
    """The header that shows a key."""
    return AUTHORIZATION, b"Bearer " + key.encode()


def _as(caller: ApiCaller, key: str, scopes: tuple[KeyScope, ...], tenant: str) -> ApiCaller:
    every = KEY_SCOPES if "admin" in scopes else scopes
    return caller._replace(tenant=tenant, key=key, scopes=every, key_tenant=tenant)


def _bearer(headers: HeaderPairs) -> str:
    """The token of the one Authorization header; empty: there is none, or it is of another scheme."""
    given = [value for name, value in headers if name == AUTHORIZATION]
    scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""
