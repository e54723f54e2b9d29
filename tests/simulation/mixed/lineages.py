"""All entries that were ever written, and which state each of them led to: what a log was before etcd lost it."""

from hookline.protocol.codec import Entry

Written = tuple[int, Entry]
"""When an entry came into the log, and the entry."""
State = tuple[int, bytes]
"""A state: the newest entry in it, and its digest."""
_EMPTY: State = (0, b"")


class Lineages:
    """Of one run. Entries are told apart by their nonce, since two logs may have one of the same index."""

    def __init__(self) -> None:
        self.written: dict[bytes, Written] = {}
        self.authors: dict[bytes, str] = {}
        self._chain: dict[State, tuple[bytes, bytes]] = {}

    def wrote(self, stamp: int, entry: Entry, author: str) -> None:
        """An entry came into the log."""
        self.written[entry.nonce] = (stamp, entry)
        self.authors[entry.nonce] = author

    def applied(self, state: State, nonce: bytes, before: bytes) -> None:
        """A node applied the entry ``nonce`` to a state with digest ``before``, and came to ``state``."""
        self._chain[state] = (nonce, before)

    def back_from(self, state: State) -> list[Written]:
        """The entries that led to a state, the first one first."""
        found = []
        while state != _EMPTY:
            nonce, before = self._chain[state]
            found.append(self.written[nonce])
            state = (state[0] - 1, before)
        return found[::-1]

    def holds(self, newer: State, older: State) -> bool:
        """The newer state has all that is in the older one."""
        while newer[0] > older[0] and newer in self._chain:
            newer = (newer[0] - 1, self._chain[newer][1])
        return newer == older

    def newest_in(self, state: State) -> bytes:
        """The nonce of the newest entry in it; empty when no entries have led to it."""
        return self._chain.get(state, (b"", b""))[0]

    def knows(self, state: State) -> bool:
        """Entries have led to it."""
        return state == _EMPTY or state in self._chain
