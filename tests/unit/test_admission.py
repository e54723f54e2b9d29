"""Limits hold exactly, however many requests are on their way, and say when to come back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.errors import QueueFull
from hookline.node.admission import Admission
from hookline.node.config import NodeConfig
from hookline.node.tenant_limits import TenantLimits
from hookline.protocol.tenants import UNLIMITED

T = "acme"


def admission(counters: dict[str, int], *, jobs: int = 10, size: int = 1_000) -> Admission:
    config = NodeConfig(data_dir=Path("."), pending_jobs_max=jobs, pending_bytes_max=size)
    return Admission(config, lambda: counters, TenantLimits(lambda _: UNLIMITED, lambda _: counters, lambda: 0.0))


def counters(pending: int = 0, running: int = 0, size: int = 0) -> dict[str, int]:
    return {"pending": pending, "running": running, "pending_bytes": size, "succeeded": 99, "dead": 99}


def test_pending_and_running_jobs_count_finished_ones_do_not() -> None:
    room = admission(counters(4, 3, 500))
    assert room.usage() == {"pending_jobs": (7, 10), "pending_bytes": (500, 1_000)}
    with room.reserve(T, 3, 500):
        assert room.usage() == {"pending_jobs": (10, 10), "pending_bytes": (1_000, 1_000)}
    assert room.usage() == {"pending_jobs": (7, 10), "pending_bytes": (500, 1_000)}


@pytest.mark.parametrize(
    ("jobs", "size", "name", "used", "limit", "wanted"),
    [(4, 1, "pending_jobs", 7, 10, 4), (1, 501, "pending_bytes", 500, 1_000, 501)],
)
def test_one_too_many_is_refused_with_the_figures(
    jobs: int, size: int, name: str, used: int, limit: int, wanted: int
) -> None:
    room = admission(counters(7, 0, 500))
    with pytest.raises(QueueFull) as caught, room.reserve(T, jobs, size):
        pytest.fail("was let in")
    error = caught.value
    assert error.figures == {"limit_name": name, "used": used, "limit": limit, "wanted": wanted}
    assert error.retry_after_s is not None
    assert error.retry_after_s > 0
    assert room.usage()["pending_jobs"][0] == 7


def test_a_reservation_ends_with_an_error_too() -> None:
    room = admission(counters())
    with pytest.raises(ValueError, match="later"), room.reserve(T, 10, 10):
        raise ValueError("later")
    with room.reserve(T, 10, 1_000):
        pass


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 400)), max_size=12))
def test_requests_on_their_way_never_exceed_a_limit_together(wanted: list[tuple[int, int]]) -> None:
    room = admission(counters(2, 1, 100))
    inside: list[object] = []
    jobs, size = 3, 100
    for more_jobs, more_size in wanted:
        reservation = room.reserve(T, more_jobs, more_size)
        fits = jobs + more_jobs <= 10 and size + more_size <= 1_000
        if fits:
            reservation.__enter__()
            inside.append(reservation)
            jobs, size = jobs + more_jobs, size + more_size
        else:
            with pytest.raises(QueueFull):
                reservation.__enter__()
        assert room.usage() == {"pending_jobs": (jobs, 10), "pending_bytes": (size, 1_000)}
