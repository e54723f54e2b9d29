"""A node that cannot open the secrets in its state does not start, and makes no second key."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from hookline.errors import SecretKeyMissing
from hookline.node.config import NodeConfig
from hookline.node.runtime import run_node
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.storage.sealed_state import check_keys, sealing_keys
from hookline.node.storage.snapshots import STATE_FILE
from hookline.node.vault import DEFAULT_FILE, Vault, sealing_key_id
from hookline.protocol import commands as c
from hookline.protocol.settings import DestinationSettings, encode
from hookline.protocol.signatures import generate_secret
from tests.node_parts import apply, create, job_spec

OLD = Vault([b"\1" * 32])
SEALED = OLD.seal(generate_secret(bytes(32)), nonce=bytes(12))
KEY_ID = sealing_key_id(SEALED)


def make_state(directory: Path, *commands: c.AnyCommand) -> Counter[str]:
    """A state in which these were applied; the keys that it needs."""
    database = open_state(directory / STATE_FILE)
    apply(StateMachine(database), *commands)
    needed = sealing_keys(database.reader)
    database.close()
    return needed


def of_destination() -> c.PutDestination:
    return c.PutDestination("", "https://a.example:443", encode(DestinationSettings(sealed_secrets=(SEALED, SEALED))))


def test_jobs_and_destinations_need_keys_finished_jobs_do_not(tmp_path: Path) -> None:
    with_secret = job_spec(sealed_secret=SEALED)
    jobs = (create("a", with_secret), create("b"), create("c", with_secret), c.CancelJobs((3,)))
    assert make_state(tmp_path, *jobs, of_destination()) == {KEY_ID: 3}


def test_the_refusal_names_the_keys_and_the_cures() -> None:
    check_keys(Counter({KEY_ID: 3}), Vault([bytes(32), b"\1" * 32]))
    with pytest.raises(SecretKeyMissing) as refusal:
        check_keys(Counter({KEY_ID: 3}), Vault([bytes(32)]))
    told = refusal.value.detail
    assert told.startswith(f"3 stored secrets and payloads are sealed with key {KEY_ID}, and this node has only 66687")
    for cure in ("secret.key of the data directory", "--secret-key-file", "HOOKLINE_SECRET_KEY", "--allow-missing-"):
        assert cure in told


async def started(directory: Path, *, is_allowed: bool = False) -> str:
    """Starts a node there, and gives the outcome: ready, or the refusal."""
    stop = asyncio.Event()
    said: list[str] = []

    def ready(_url: str) -> None:
        said.append("ready")
        stop.set()

    config = NodeConfig(data_dir=directory, port=0, allow_missing_secret_key=is_allowed)
    try:
        await run_node(config, ready=ready, stop=stop)
    except* SecretKeyMissing as group:
        said += [str(error) for error in group.exceptions]
    return said[0]


async def test_a_lost_key_refuses_the_start_and_no_new_one_is_made(tmp_path: Path) -> None:
    make_state(tmp_path, of_destination())
    told = await started(tmp_path)
    assert f"2 stored secrets and payloads are sealed with key {KEY_ID}" in told
    assert f"{tmp_path / DEFAULT_FILE} is not there" in told
    assert not (tmp_path / DEFAULT_FILE).exists()


async def test_a_wrong_key_refuses_the_start(tmp_path: Path) -> None:
    make_state(tmp_path, of_destination())
    (tmp_path / DEFAULT_FILE).write_text("A" * 43 + "=\n")
    (tmp_path / DEFAULT_FILE).chmod(0o600)
    assert f"sealed with key {KEY_ID}, and this node has only" in await started(tmp_path)


async def test_a_node_whose_key_is_lost_for_good_starts_when_it_is_told_to(tmp_path: Path) -> None:
    make_state(tmp_path, of_destination())
    assert await started(tmp_path, is_allowed=True) == "ready"
