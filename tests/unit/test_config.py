"""A wrong setting is named, with what is allowed."""

from pathlib import Path
from typing import Any

import pytest

from hookline.errors import InvalidConfig
from hookline.node.config import NodeConfig
from hookline.protocol.limits import BATCH_JOBS_MAX, PAYLOAD_BYTES_MAX


def config(**settings: Any) -> NodeConfig:
    return NodeConfig(data_dir=Path("data"), **settings)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("slots", 1, 10_000),
        ("port", 0, 65_535),
        ("shard", 0, 999_999_999),
        ("pending_jobs_max", 1, 10**9),
        ("pending_bytes_max", 1, 10**13),
        ("payload_bytes_max", 1, PAYLOAD_BYTES_MAX),
        ("batch_jobs_max", 1, BATCH_JOBS_MAX),
        ("key_window_ms", 0, 30 * 86_400_000),
        ("retention_ms", 1_000, 3_650 * 86_400_000),
        ("retention_dead_ms", 1_000, 3_650 * 86_400_000),
        ("retention_jobs", 0, 10**9),
        ("audit_retention_ms", 1_000, 3_650 * 86_400_000),
        ("audit_rows", 1, 10**7),
        ("shutdown_grace_ms", 0, 86_400_000),
        ("attempt_max_ms", 100, 86_400_000),
    ],
)
def test_every_number_has_bounds_and_the_message_names_them(name: str, low: int, high: int) -> None:
    assert getattr(config(**{name: low}), name) == low
    assert getattr(config(**{name: high}), name) == high
    for value in (low - 1, high + 1):
        with pytest.raises(InvalidConfig) as caught:
            config(**{name: value})
        assert caught.value.field == name
        for part in ("--" + name.replace("_", "-"), str(value), str(low), str(high)):
            assert part in caught.value.detail


@pytest.mark.parametrize("name", ["cluster", "node"])
@pytest.mark.parametrize("value", ["", "a b", "a/b", "ä", "-", "a\n", "a.b"])
def test_names_have_plain_characters(name: str, value: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        config(**{name: value})
    assert caught.value.field == name


@pytest.mark.parametrize("value", ["n1", "node-2_b", "7"])
def test_plain_names(value: str) -> None:
    assert config(node=value, cluster=value).node == value


def test_the_url_of_a_node() -> None:
    assert config(port=7070).url == "http://127.0.0.1:7070"
    assert config(host="::1", port=80).url == "http://[::1]:80"


def test_secrets_are_not_shown() -> None:
    shown = repr(config(signing_secret="whsec_topsecret", secret_key="keykeykey"))
    assert "topsecret" not in shown
    assert "keykeykey" not in shown


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        config().port = 1  # type: ignore[misc]
