"""Chooses what goes sealed with a job's claim: secrets, its own or its destination's; the destination's access."""

from itertools import chain

from hookline.node.vault import Vault, missing_keys
from hookline.protocol.jobs import JobSpec
from hookline.protocol.settings import DestinationSettings


class SealedSecrets:
    """Follows the destinations' settings. Nothing is opened here.

    Args:
        vault: to tell which keys this node lacks.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._of: dict[int, tuple[bytes, ...]] = {}
        self._accesses: dict[int, bytes] = {}
        self._met: set[str] = set()

    def put(self, destination: int, settings: DestinationSettings) -> None:
        """These settings are in force."""
        if settings.sealed_secrets:
            self._of[destination] = settings.sealed_secrets
        else:
            self._of.pop(destination, None)
        if settings.sealed_access:
            self._accesses[destination] = settings.sealed_access
        else:
            self._accesses.pop(destination, None)

    def of(self, spec: JobSpec, destination: int) -> tuple[bytes, ...]:
        """Newest first; empty: the default of whoever sends it signs. ``destination``: the number of the job's."""
        return self._of.get(destination, ()) if spec.sealed_secret is None else (spec.sealed_secret,)

    def access_of(self, destination: int) -> bytes:
        """Empty: it asks for nothing."""
        return self._accesses.get(destination, b"")

    def held_for(self, spec: JobSpec, destination: int) -> None:
        """A job was not sent, since a key is missing: for its secrets, its content or the access."""
        others = (spec.sealed_content, self.access_of(destination))
        self._met |= missing_keys((*self.of(spec, destination), *filter(None, others)), self._vault)

    def lacking(self) -> list[str]:
        """Ids of keys that this node misses: of all destinations, and of the jobs that were due in this term."""
        sealed = [*chain.from_iterable(self._of.values()), *self._accesses.values()]
        return sorted(self._met | missing_keys(sealed, self._vault))
