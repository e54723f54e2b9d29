"""An etcd that can be emptied and set back to an earlier copy, and tells what was in it."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from hookline.node.etcd.charters import OverruledRecord
from hookline.node.etcd.client import EtcdUnclear
from hookline.node.etcd.transactions import LeaderRecord
from hookline.node.identity import Charter
from hookline.protocol.codec import Entry
from tests.simulation.cluster.etcd import SimulatedEtcd
from tests.simulation.cluster.store import EMPTY, Image
from tests.simulation.mixed.lineages import Lineages, Written

T = TypeVar("T")


class Backup(NamedTuple):
    """Holds what ``etcdctl snapshot save`` keeps, and what the simulation knows of that moment."""

    image: Image
    entries: list[Written]
    leader: LeaderRecord | None
    authors: dict[int, str]


NOTHING = Backup(EMPTY, [], None, {})


class MixedEtcd(SimulatedEtcd):
    """Also keeps what the log was before.

    Attributes:
        began_again: called with the charter when the log is begun anew.
        founded: called when a cluster is begun in an etcd that was emptied.
        noted: called with (stamp, entry, author) for each entry.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lineages = Lineages()
        self._life = 0
        self.began_again: Callable[[Charter], None] = lambda _charter: None
        self.founded: Callable[[], None] = lambda: None
        self.noted: Callable[[int, Entry, str], None] = lambda *_: None

    def backup(self) -> Backup:
        """As it is now."""
        return Backup(self.store.image(), list(self.history.entries), self.leader, dict(self.authors))

    def put_back(self, backup: Backup) -> None:
        """Be as it was then."""
        self._life += 1
        self.store.put_back(backup.image)
        self.history.entries[:] = backup.entries
        self.leader = backup.leader
        self.authors = dict(backup.authors)
        self.break_watches()

    def sent(self, execute: Callable[[], T]) -> Callable[[], T]:
        """Bind a request to the members of now. It does not arrive at members that take their place."""
        life = self._life

        def arrive() -> T:
            if life != self._life:
                raise EtcdUnclear("etcd has ended")
            return execute()

        return arrive

    @property
    def is_founded(self) -> bool:
        """It holds a charter."""
        return self.store.at(self._keys.charter) is not None

    def holds(self, index: int) -> bool:
        """The log has this entry."""
        return self.store.at(self._keys.entry(index)) is not None

    def wrote(self, stamp: int, entry: Entry) -> None:
        self.lineages.wrote(stamp, entry, self.author)
        self.noted(stamp, entry, self.author)

    def _changed(self, key: bytes, value: bytes, revision: int) -> None:
        super()._changed(key, value, revision)
        if key == self._keys.charter:
            charter = msgspec.json.decode(value, type=Charter)
            self.history.note(f"the log begins after entry {charter.begins_after}, generation {charter.generation}")
            if charter.generation > 1:
                self.leader = None
                lineages, begins_on = self.lineages, (charter.begins_after, bytes.fromhex(charter.digest))
                entries = lineages.back_from(begins_on) if lineages.knows(begins_on) else []
                self.history.entries[:] = entries
                self.authors = {entry.term: lineages.authors[entry.nonce] for _, entry in entries}
                self.began_again(charter)
            else:
                self.founded()
        elif key.startswith(self._keys.overruled):
            record = msgspec.json.decode(value, type=OverruledRecord)
            self.history.overruled[record.term] = record.index
            self.history.note(f"term {record.term} is overruled from entry {record.index} on, by {record.by}")
