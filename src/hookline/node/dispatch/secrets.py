"""Chooses the sealed secrets that go with a job's claim: its own, else its destination's, else none."""

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
        self._met: set[str] = set()

    def put(self, destination: int, settings: DestinationSettings) -> None:
        """These settings are in force."""
        if settings.sealed_secrets:
            self._of[destination] = settings.sealed_secrets
        else:
            self._of.pop(destination, None)

    def of(self, spec: JobSpec, destination: int) -> tuple[bytes, ...]:
        """Newest first; empty: the default of whoever sends it signs. ``destination``: the number of the job's."""
        return self._of.get(destination, ()) if spec.sealed_secret is None else (spec.sealed_secret,)

    def held_for(self, spec: JobSpec, destination: int) -> None:
        """A job was not sent, since a key is missing: for its secrets, or for what it is to send."""
        content = (spec.sealed_content,) if spec.sealed_content else ()
        self._met |= missing_keys((*self.of(spec, destination), *content), self._vault)

    def lacking(self) -> list[str]:
        """Ids of keys that this node misses: of all destinations, and of the jobs that were due in this term."""
        sealed = (secret for secrets in self._of.values() for secret in secrets)
        return sorted(self._met | missing_keys(sealed, self._vault))
