"""No request holds the event loop for more than a moment, whatever it is: others wait for it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.certificates import Authority
from tests.integration.loop_blocks import ATTACKS, Attack, Service, Steps, attacked, longest_step_ms, measured_steps

MOST_MS = 50.0  # of the loop's thread: what other processes do in that time does not count
_TRIES = 6  # a garbage collection, a cold cache, or neighbours on the same core come between; not each time


@pytest.fixture(scope="module")
def measured() -> Iterator[tuple[dict[str, Service], Steps]]:
    with TemporaryDirectory() as directory, measured_steps() as steps, attacked(Path(directory)) as services:
        yield services, steps


@pytest.fixture(scope="module")
def measured_over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Service], Steps]]:
    tls = Authority(tmp_path_factory.mktemp("tls")).files()
    with (
        TemporaryDirectory() as directory,
        measured_steps() as steps,
        attacked(Path(directory), tls) as services,
    ):
        yield services, steps


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("by", ["node", "proxy"])
def test_no_request_holds_the_loop(measured: tuple[dict[str, Service], Steps], by: str, attack: Attack) -> None:
    _try(*measured, by, attack)


LARGE = ("batch: 16 MiB of white space", "batch: 16 MiB of depth", "GET /jobs?limit=1000", "GET /jobs/many/attempts")


@pytest.mark.parametrize("attack", [one for one in ATTACKS if one.name in LARGE], ids=lambda attack: attack.name)
@pytest.mark.parametrize("by", ["node", "proxy"])
def test_nor_does_one_that_is_encrypted(
    measured_over_tls: tuple[dict[str, Service], Steps], by: str, attack: Attack
) -> None:
    """Large bodies and answers are encrypted and decrypted in turns."""
    _try(*measured_over_tls, by, attack)


def _try(services: dict[str, Service], steps: Steps, by: str, attack: Attack) -> None:
    longest = []
    for _ in range(_TRIES):
        status, longest_ms = longest_step_ms(services[by], steps, attack)
        assert status < 500
        longest.append(longest_ms)
        if longest_ms <= MOST_MS:
            return
    pytest.fail(f"the loop was held for {', '.join(f'{ms:.0f}' for ms in longest)} ms")
