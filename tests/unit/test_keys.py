"""Which keys sign a job: its own, else its destination's, else the node's, else none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hookline.errors import SecretKeyMissing
from hookline.node.executor.keys import SigningKeys
from hookline.node.replica import Replica, inline_commit
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.vault import Vault, sealing_key_id
from hookline.protocol.commands import PutDestination
from hookline.protocol.settings import DestinationSettings, encode
from hookline.protocol.signatures import generate_secret, parse_secret
from tests.node_parts import ManualClock, job_spec

DESTINATION = "https://a.example:443"
OWN, OLD, NEW, NODE = (generate_secret(bytes([number]) * 32) for number in range(4))
vault = Vault([bytes(32)])


def sealed(secret: str) -> bytes:
    return vault.seal(secret, nonce=bytes(12))


class Stage:
    def __init__(self, replica: Replica, reads: LeaderReads) -> None:
        self.replica = replica
        self.reads = reads

    async def put(self, *secrets: str) -> None:
        settings = DestinationSettings(sealed_secrets=tuple(sealed(secret) for secret in secrets))
        await self.replica.propose([PutDestination(DESTINATION, encode(settings))])

    def keys(self, default: str | None = None) -> SigningKeys:
        keys = SigningKeys(vault, self.reads, default_secret=default)
        keys.start(self.replica)
        return keys


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Stage]:
    database = open_state(tmp_path / "state.db", durable=False)
    replica = Replica(StateMachine(database), MemoryLog(), ManualClock(), commit=inline_commit)
    await replica.begin_term(1, "n1", old_leader_is_dead=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(replica.lead())
        yield Stage(replica, LeaderReads(database.reader))
        replica.close()
    database.close()


def signatures(keys: SigningKeys, own: str | None = None) -> list[str]:
    spec = job_spec(sealed_secret=sealed(own) if own else None)
    return [key.sign(b"content") for key in keys.of(spec)]


def by(*secrets: str) -> list[str]:
    return [parse_secret(secret).sign(b"content") for secret in secrets]


async def test_without_any_secret_nothing_is_signed(on: Stage) -> None:
    assert signatures(on.keys()) == []


async def test_the_nearest_secret_signs(on: Stage) -> None:
    assert signatures(on.keys(NODE)) == by(NODE)
    await on.put(OLD)
    keys = on.keys(NODE)
    assert signatures(keys) == by(OLD)
    assert signatures(keys, own=OWN) == by(OWN)
    other = job_spec(destination="https://b.example:443")
    assert [key.sign(b"content") for key in keys.of(other)] == by(NODE)


async def test_during_a_rotation_all_active_secrets_sign_newest_first(on: Stage) -> None:
    keys = on.keys()
    await on.put(NEW, OLD)
    assert signatures(keys) == by(NEW, OLD)


async def test_changes_are_followed_from_their_commit_on(on: Stage) -> None:
    keys = on.keys(NODE)
    await on.put(OLD)
    assert signatures(keys) == by(OLD)
    await on.put(NEW)
    assert signatures(keys) == by(NEW)
    await on.put()
    assert signatures(keys) == by(NODE)


async def test_a_secret_sealed_with_a_key_that_is_gone_is_an_error_of_that_job_only(on: Stage) -> None:
    foreign = Vault([b"\1" * 32]).seal(OWN, nonce=bytes(12))
    keys = on.keys(NODE)
    with pytest.raises(SecretKeyMissing):
        keys.of(job_spec(sealed_secret=foreign))
    assert signatures(keys) == by(NODE)
    assert keys.lacking() == [sealing_key_id(foreign)], "it was met"


async def test_the_keys_that_destinations_need_are_known_before_a_job_is_due(on: Stage) -> None:
    foreign = Vault([b"\1" * 32]).seal(OWN, nonce=bytes(12))
    keys = on.keys(NODE)
    assert keys.lacking() == []
    settings = DestinationSettings(sealed_secrets=(sealed(OLD), foreign))
    await on.replica.propose([PutDestination(DESTINATION, encode(settings))])
    assert keys.lacking() == [sealing_key_id(foreign)]
    await on.put(OLD)
    assert keys.lacking() == []
