"""Tells a lack of this process's own from other errors, and bounds the descriptors that clients may take."""

import errno
import resource

import pytest

from hookline import lack


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EMFILE, ""), True),
        (OSError(errno.EADDRNOTAVAIL, ""), True),
        (MemoryError(), True),
        (RuntimeError("can't start new thread"), True),
        (OSError(errno.ECONNREFUSED, ""), False),
        (ConnectionResetError(), False),
        (RuntimeError("a fault"), False),
    ],
)
def test_what_is_a_lack(error: Exception, expected: bool) -> None:
    assert lack.is_lack(error) is expected


@pytest.mark.parametrize(
    ("limit", "clients"),
    [(256, 128), (1_024, 512), (65_536, 64_036), (resource.RLIM_INFINITY, 1_048_576)],
)
def test_some_are_kept_back(monkeypatch: pytest.MonkeyPatch, limit: int, clients: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (limit, limit))
    assert lack.descriptors_for_clients() == clients


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((1_024, 524_288), (524_288, 524_288)),
        ((1_024, resource.RLIM_INFINITY), (1_048_576, resource.RLIM_INFINITY)),
        ((1_024, 1_024), None),
    ],
)
def test_the_soft_limit_is_raised(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], expected: tuple[int, int] | None
) -> None:
    made = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _what, wanted: made.append(wanted))
    lack.raise_descriptor_limit()
    assert made == ([expected] if expected else [])
