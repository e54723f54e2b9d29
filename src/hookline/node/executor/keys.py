"""Which keys sign a job: its own secret, else its destination's, else the node's default, else none."""

from collections.abc import Sequence

from hookline.errors import SecretKeyMissing
from hookline.node.replica import Replica
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.vault import Vault, missing_keys
from hookline.protocol.jobs import JobSpec
from hookline.protocol.settings import DestinationSettings
from hookline.protocol.signatures import SigningKey, parse_secret


class SigningKeys:
    """Follows the destinations' settings; secrets are opened when they are first needed, by the vault's cache.

    Args:
        default_secret: signs jobs whose destination has no secret.
    """

    def __init__(self, vault: Vault, reads: LeaderReads, *, default_secret: str | None) -> None:
        self._vault = vault
        self._reads = reads
        self._default = [parse_secret(default_secret)] if default_secret else []
        self._sealed: dict[str, tuple[bytes, ...]] = {}
        self._met: set[str] = set()

    def start(self, replica: Replica) -> None:
        """Read the settings, and follow what is committed."""
        for _, name, settings in self._reads.destinations():
            self._put(name, settings)
        replica.listen(self._on_commit)

    def _on_commit(self, effects: Effects) -> None:
        for name in effects.destinations:
            found = self._reads.destination(name)
            if found is not None:
                self._put(name, found[1])

    def _put(self, name: str, settings: DestinationSettings) -> None:
        if settings.sealed_secrets:
            self._sealed[name] = settings.sealed_secrets
        else:
            self._sealed.pop(name, None)

    def of(self, spec: JobSpec) -> Sequence[SigningKey]:
        """The keys for a job, newest first. Raises what ``Vault.signing_key`` raises."""
        try:
            return self._of(spec)
        except SecretKeyMissing:
            self._met |= self._lacking(spec)
            raise

    def lacking(self) -> list[str]:
        """Ids of keys that this node misses: of all destinations, and of the jobs that were due in this term."""
        sealed = (secret for secrets in self._sealed.values() for secret in secrets)
        return sorted(self._met | missing_keys(sealed, self._vault))

    def _lacking(self, spec: JobSpec) -> set[str]:
        own = spec.sealed_secret
        return missing_keys(self._sealed.get(spec.destination, ()) if own is None else (own,), self._vault)

    def _of(self, spec: JobSpec) -> Sequence[SigningKey]:
        if spec.sealed_secret is not None:
            return [self._vault.signing_key(spec.sealed_secret)]
        sealed = self._sealed.get(spec.destination)
        if sealed is not None:
            return [self._vault.signing_key(secret) for secret in sealed]
        return self._default
