"""The keys that sign a job: its own, else its destination's, else the node's, else none."""

import pytest

from hookline.errors import SecretKeyMissing
from hookline.node.attempts.keys import SigningKeys
from hookline.node.dispatch.secrets import SealedSecrets
from hookline.node.vault import Vault, sealing_key_id
from hookline.protocol.claims import Claim, ClaimRef
from hookline.protocol.settings import DestinationSettings
from hookline.protocol.signatures import generate_secret, parse_secret
from tests.node_parts import T0, job_spec

DESTINATION = "https://a.example:443"
NUMBERS = {DESTINATION: 1, "https://b.example:443": 2}
OWN, OLD, NEW, NODE = (generate_secret(bytes([number]) * 32) for number in range(4))
vault = Vault([bytes(32)])


def sealed(secret: str) -> bytes:
    return vault.seal(secret, nonce=bytes(12))


class Node:
    """Both sides: what goes with a claim, and what it is signed with."""

    def __init__(self, default: str | None = None) -> None:
        self.secrets = SealedSecrets(vault)
        self._keys = SigningKeys(vault, default_secret=default)

    def put(self, *secrets: str) -> None:
        self.secrets.put(
            NUMBERS[DESTINATION], DestinationSettings(sealed_secrets=tuple(sealed(secret) for secret in secrets))
        )

    def signatures(self, own: bytes | None = None, destination: str = DESTINATION) -> list[str]:
        spec = job_spec(destination=destination, sealed_secret=own)
        claim = Claim(ClaimRef(1, 1), 1, T0, T0 + 35_000, "job", T0, spec, self.secrets.of(spec, NUMBERS[destination]))
        return [key.sign(b"content") for key in self._keys.of(claim)]


def by(*secrets: str) -> list[str]:
    return [parse_secret(secret).sign(b"content") for secret in secrets]


def test_without_any_secret_nothing_is_signed() -> None:
    assert Node().signatures() == []


def test_the_nearest_secret_signs() -> None:
    node = Node(NODE)
    assert node.signatures() == by(NODE)
    node.put(OLD)
    assert node.signatures() == by(OLD)
    assert node.signatures(own=sealed(OWN)) == by(OWN)
    assert node.signatures(destination="https://b.example:443") == by(NODE)


def test_during_a_rotation_all_active_secrets_sign_newest_first() -> None:
    node = Node()
    node.put(NEW, OLD)
    assert node.signatures() == by(NEW, OLD)


def test_changes_are_followed() -> None:
    node = Node(NODE)
    node.put(OLD)
    assert node.signatures() == by(OLD)
    node.put(NEW)
    assert node.signatures() == by(NEW)
    node.put()
    assert node.signatures() == by(NODE)


FOREIGN = Vault([b"\1" * 32]).seal(OWN, nonce=bytes(12))


def test_a_secret_sealed_with_a_key_that_is_gone_is_an_error_of_that_job_only() -> None:
    node = Node(NODE)
    with pytest.raises(SecretKeyMissing):
        node.signatures(own=FOREIGN)
    assert node.signatures() == by(NODE)
    node.secrets.held_for(job_spec(sealed_secret=FOREIGN), 0)
    assert node.secrets.lacking() == [sealing_key_id(FOREIGN)], "it was met"


def test_the_keys_that_destinations_need_are_known_before_a_job_is_due() -> None:
    node = Node()
    assert node.secrets.lacking() == []
    node.secrets.put(NUMBERS[DESTINATION], DestinationSettings(sealed_secrets=(sealed(OLD), FOREIGN)))
    assert node.secrets.lacking() == [sealing_key_id(FOREIGN)]
    node.put(OLD)
    assert node.secrets.lacking() == []
