"""Finds the keys that secrets and payloads in a state are sealed with, so that a node without them refuses to start."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from hookline.errors import SecretKeyMissing
from hookline.node.vault import DEFAULT_FILE, ENV_NAME, FILE_OPTION, Vault, sealing_key_id
from hookline.protocol.jobs import decode_spec, decode_work
from hookline.protocol.settings import decode_destination

ALLOW_OPTION: Final = "--allow-missing-secret-key"
_JOBS_MAX: Final = 200_000  # the oldest unfinished ones: half a second; what is beyond is held when it is due
_JOBS: Final = "SELECT s.spec FROM jobs j JOIN specs s ON s.seq = j.seq WHERE j.state IN (0, 1) ORDER BY j.seq LIMIT ?"
_SCHEDULES: Final = "SELECT work FROM schedules LIMIT ?"
_SETTINGS: Final = "SELECT settings FROM destinations WHERE settings IS NOT NULL"


def sealing_keys(connection: apsw.Connection) -> Counter[str]:
    """Counts the secrets and payloads that each key seals, by key id, of jobs that are still to be sent."""
    return Counter(sealing_key_id(sealed) for sealed in _sealed(connection))


def _sealed(connection: apsw.Connection) -> Iterator[bytes]:
    specs = [spec for (spec,) in connection.execute(_JOBS, (_JOBS_MAX,))]
    specs += [decode_work(work).spec for (work,) in connection.execute(_SCHEDULES, (_JOBS_MAX,))]
    for spec in specs:
        decoded = decode_spec(spec)
        if decoded.sealed_secret is not None:
            yield decoded.sealed_secret
        if decoded.sealed_content:
            yield decoded.sealed_content
    for (settings,) in connection.execute(_SETTINGS):
        decoded_settings = decode_destination(settings)
        yield from decoded_settings.sealed_secrets
        if decoded_settings.sealed_access:
            yield decoded_settings.sealed_access


def check_keys(needed: Counter[str], vault: Vault) -> None:
    """Raise SecretKeyMissing if something cannot be opened: which keys are missing, and what to do."""
    missing = Counter({key_id: count for key_id, count in needed.items() if key_id not in vault.key_ids})
    if missing:
        raise SecretKeyMissing(f"{_sealed_with(missing)}, and this node has only {', '.join(vault.key_ids)}; {_CURE}")


def check_before_making(needed: Counter[str], data_dir: Path) -> None:
    """Raise SecretKeyMissing if a new key would not open what is there: the old one was lost."""
    if needed:
        path = data_dir / DEFAULT_FILE
        raise SecretKeyMissing(
            f"{_sealed_with(needed)}, but {path} is not there, and a new one would not open them; {_CURE}"
        )


def _sealed_with(keys: Counter[str]) -> str:
    count = keys.total()
    secrets = "a stored secret or payload is" if count == 1 else f"{count:,} stored secrets and payloads are"
    return f"{secrets} sealed with key {', '.join(sorted(keys))}"


_CURE: Final = (
    f"give that key in {DEFAULT_FILE} of the data directory, {FILE_OPTION} or {ENV_NAME} (one more line or entry) and "
    f"start again; if it is lost for good, start with {ALLOW_OPTION}, which holds the jobs that need it"
)
