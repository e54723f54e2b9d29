"""A wrong setting of a proxy is named, with what is allowed."""

from pathlib import Path
from typing import Any

import pytest

from hookline.errors import InvalidConfig
from hookline.proxy.config import ProxyConfig


def config(**settings: Any) -> ProxyConfig:
    return ProxyConfig(topology=Path("topology.toml"), **settings)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("port", 0, 65_535),
        ("request_timeout_ms", 100, 300_000),
        ("try_timeout_ms", 50, 300_000),
        ("tries_max", 1, 100),
        ("probe_interval_ms", 50, 60_000),
        ("probe_timeout_ms", 50, 60_000),
        ("requests_max", 1, 100_000),
        ("shutdown_grace_ms", 0, 300_000),
    ],
)
def test_every_number_has_bounds_and_the_message_names_them(name: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(config(**{name: value}), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(InvalidConfig) as caught:
            config(**{name: value})
        assert caught.value.field == name
        for part in ("--" + name.replace("_", "-"), str(value), str(low), str(high)):
            assert part in caught.value.detail


def test_it_starts_with_a_file_or_with_seeds_and_not_with_both() -> None:
    assert ProxyConfig(seeds=("http://a:1",)).topology is None
    several: list[dict[str, Any]] = [{}, {"topology": Path("t.toml"), "seeds": ("http://a:1",)}]
    for settings in several:
        with pytest.raises(InvalidConfig, match="--topology FILE or --seed URL") as caught:
            ProxyConfig(**settings)
        assert caught.value.field == "topology"


def test_one_silent_try_leaves_time_for_another() -> None:
    """Also when a cluster elects a leader meanwhile, which takes 1.5 s and up to a fifth more."""
    default = config()
    assert 2 * default.try_timeout_ms < default.request_timeout_ms
    assert default.try_timeout_ms > 1_800


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        config().port = 1  # type: ignore[misc]
