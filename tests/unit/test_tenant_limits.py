"""A tenant's own limits: what is counted, what is refused with which figures, and the bucket of creates."""

from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.errors import InvalidRequest, TenantLimit
from hookline.node.admission import Admission
from hookline.node.config import NodeConfig
from hookline.node.tenant_limits import TenantLimits
from hookline.protocol.tenants import TenantSettings, decode_tenant, encode_tenant, tenant_name, tenant_of


class Node:
    """The tenants of a node, as the test sets them."""

    def __init__(self) -> None:
        self.settings: dict[str, TenantSettings] = defaultdict(TenantSettings)
        self.stored: dict[str, dict[str, int]] = defaultdict(lambda: {"pending": 0, "running": 0, "pending_bytes": 0})
        self.now_ms = 0.0
        limits = TenantLimits(self.settings.__getitem__, self.stored.__getitem__, lambda: self.now_ms)
        nothing = {"pending": 0, "running": 0, "pending_bytes": 0}
        self.room = Admission(NodeConfig(data_dir=Path(".")), lambda: nothing, limits)


def test_pending_and_running_jobs_of_a_tenant_count_and_so_do_those_on_their_way() -> None:
    node = Node()
    node.settings["acme"] = TenantSettings(pending_jobs=10)
    node.stored["acme"] |= {"pending": 4, "running": 3}
    with node.room.reserve("acme", 2, 0):
        with pytest.raises(TenantLimit) as caught, node.room.reserve("acme", 2, 0):
            pytest.fail("was let in")
        with node.room.reserve("globex", 1_000, 0):
            pass
    wanted = {"tenant": "acme", "limit_name": "pending_jobs", "used": 9, "limit": 10, "wanted": 2}
    assert caught.value.figures == wanted
    assert caught.value.retry_after_s
    with node.room.reserve("acme", 3, 0):
        pass


def test_bytes_are_limited_and_what_wants_none_is_let_in() -> None:
    node = Node()
    node.settings["acme"] = TenantSettings(pending_jobs=1, pending_bytes=100)
    node.stored["acme"] |= {"pending": 5, "pending_bytes": 90}
    with pytest.raises(TenantLimit) as caught, node.room.reserve("acme", 0, 11):
        pytest.fail("was let in")
    assert caught.value.figures["limit_name"] == "pending_bytes"
    with node.room.reserve("acme", 0, 10):
        pass


def test_what_needs_no_room_can_be_under_way_twice() -> None:
    node = Node()
    with node.room.reserve("acme", 0, 0), node.room.reserve("acme", 0, 0):
        pass
    with node.room.reserve("acme", 1, 5):
        with node.room.reserve("acme", 0, 0):
            pass
        node.settings["acme"] = TenantSettings(pending_jobs=1)
        assert not _has_room(node)
    assert _has_room(node)


def _has_room(node: Node) -> bool:
    try:
        with node.room.reserve("acme", 1, 0):
            return True
    except TenantLimit:
        return False


def _create(node: Node, jobs: int = 1) -> bool:
    try:
        with node.room.reserve("acme", jobs, 0, creates=jobs):
            return True
    except TenantLimit as error:
        return error.figures["limit_name"] != "creates_per_second" or not error.retry_after_s


def test_a_tenant_creates_as_many_as_it_may_in_a_second_and_then_one_by_one() -> None:
    node = Node()
    node.settings["acme"] = TenantSettings(creates_per_second=5)
    assert [_create(node) for _ in range(7)] == [True] * 5 + [False] * 2
    node.now_ms += 199
    assert not _create(node)
    node.now_ms += 2
    assert [_create(node) for _ in range(2)] == [True, False]
    node.now_ms += 3_600_000
    assert sum(_create(node) for _ in range(20)) == 5, "a rest saves up a second's worth only"
    with node.room.reserve("acme", 1, 0):
        pass  # a retry is no create


def test_a_batch_is_taken_whole_and_made_up_for() -> None:
    node = Node()
    node.settings["acme"] = TenantSettings(creates_per_second=5)
    assert _create(node, 105)
    node.now_ms += 20_000
    assert not _create(node)
    node.now_ms += 201
    assert _create(node)


def test_a_refusal_for_another_limit_takes_nothing_from_the_bucket() -> None:
    node = Node()
    node.settings["acme"] = TenantSettings(pending_jobs=0, creates_per_second=1)
    for _ in range(5):
        with pytest.raises(TenantLimit), node.room.reserve("acme", 1, 0, creates=1):
            pytest.fail("was let in")
    node.settings["acme"] = TenantSettings(creates_per_second=1)
    assert _create(node)


@given(st.lists(st.floats(0, 2_000), min_size=1, max_size=60), st.integers(1, 20))
def test_no_second_holds_more_than_twice_the_rate_and_the_long_run_keeps_it(pauses: list[float], rate: int) -> None:
    node = Node()
    node.settings["acme"] = TenantSettings(creates_per_second=rate)
    made: list[float] = []
    for pause_ms in pauses:
        node.now_ms += pause_ms
        made += [node.now_ms for _ in range(rate + 1) if _create(node)]
    assert len(made) <= rate * (1 + sum(pauses) / 1_000) + 1
    for at in made:
        assert sum(1 for one in made if at <= one <= at + 1_000) <= 2 * rate + 1


@pytest.mark.parametrize("name", ["acme", "A.b_c-9", "x" * 64, "_", "...", "-"])
def test_names_that_a_tenant_can_have(name: str) -> None:
    assert tenant_name(tenant_of(name, field="tenant")) == name


def test_the_default_tenant_is_kept_without_a_name() -> None:
    assert tenant_of("default", field="tenant") == ""
    assert tenant_name("") == "default"


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a/b", "ä", "a\n", ".", "..", "a%2f"])
def test_names_that_no_tenant_can_have(name: str) -> None:
    with pytest.raises(InvalidRequest):
        tenant_of(name, field="tenant")


def test_settings_are_stored_as_they_are() -> None:
    settings = TenantSettings(1, 2, 3, 4)
    assert decode_tenant(encode_tenant(settings)) == settings
    assert decode_tenant(b"") == TenantSettings()
