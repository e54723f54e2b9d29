"""Chooses the keys that sign a claim: the secrets that came with it, else the node's default, else none."""

from collections.abc import Sequence

from hookline.node.vault import Vault
from hookline.protocol.claims import Claim
from hookline.protocol.signatures import SigningKey, parse_secret


class SigningKeys:
    """Secrets are opened when they are first needed, by the vault's cache.

    Args:
        default_secret: signs jobs that come without a secret.
    """

    def __init__(self, vault: Vault, *, default_secret: str | None) -> None:
        self._vault = vault
        self._default = [parse_secret(default_secret)] if default_secret else []

    def of(self, claim: Claim) -> Sequence[SigningKey]:
        """The keys, newest first. Raises what ``Vault.signing_key`` raises."""
        return [self._vault.signing_key(secret) for secret in claim.sealed] if claim.sealed else self._default
