"""The guard: who is let pass, when it looks again for newer keys, and how failures are counted."""

import asyncio

import msgspec
import pytest
from msgspec import structs

from hookline.errors import Forbidden, InvalidConfig, TooManyBadKeys, Unauthorized
from hookline.http_api import bad_keys
from hookline.http_api.access import check_access
from hookline.http_api.bad_keys import BURST, PER_S, BadKeys, source_of
from hookline.http_api.callers import CLIENT, ApiCaller
from hookline.http_api.guard import Guard, bearer
from hookline.protocol.api_keys import KEY_SCOPES, ApiKey, KeySecret, hash_of, key_id, key_text
from hookline.protocol.calls import CALLS
from hookline.protocol.jobs import DEFAULT_TENANT
from hookline.protocol.proofs import NO_BODY
from tests.node_parts import T0, ManualClock, settle

ROOT = "root-key-of-the-tests"
ID = key_id(bytes(10))
KEY = key_text(ID, bytes(32))
RECORD = ApiKey("", "ci", ("read",), (KeySecret(hash_of(KEY)),), T0)


class Known:
    """The keys that a process knows; ``newer`` are known after a look."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.keys: dict[str, ApiKey] = {}
        self.newer: dict[str, ApiKey] = {}
        self.looks = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.uses: dict[str, int] = {}
        self.guard = Guard([hash_of(ROOT)], self.keys.get, self.clock, self.look, lambda: True, self.uses)

    async def look(self) -> None:
        self.looks += 1
        await self.gate.wait()
        self.keys |= self.newer

    async def admitted(self, key: str, call: str = "getJob", address: str = "192.0.2.1") -> ApiCaller:
        return await self.guard.admitted(CALLS[call], CLIENT, [bearer(key)], (address, 1))


async def test_the_caller_is_whoever_the_key_says() -> None:
    known = Known()
    known.keys[ID] = RECORD
    assert await known.admitted(KEY) == CLIENT._replace(key=ID, scopes=("read",))
    assert known.uses == {ID: known.clock.wall_ms()}
    assert await known.admitted(ROOT, "putTopology") == CLIENT._replace(key="root", scopes=KEY_SCOPES)
    with pytest.raises(Forbidden):
        await known.admitted(KEY, "createJob")
    assert (known.looks, set(known.uses)) == (0, {ID})


@pytest.mark.parametrize("call", ["getHealth", "getLivez"])
async def test_some_calls_ask_for_no_key(call: str) -> None:
    assert await Known().guard.admitted(CALLS[call], CLIENT, [], None) == CLIENT


@pytest.mark.parametrize("call", ["exchange", "createGathered"])
async def test_calls_between_our_processes_ask_for_a_proof_or_for_an_operators_key(call: str) -> None:
    known, ours = Known(), CLIENT._replace(body=NO_BODY)
    assert await known.guard.admitted(CALLS[call], ours, [], None) == ours
    assert (await known.admitted(ROOT, call)).key == "root"
    for scopes, tenant in ((("read", "write", "cancel"), DEFAULT_TENANT), (("admin",), "another")):
        known.keys[ID] = msgspec.structs.replace(RECORD, scopes=scopes, tenant=tenant)
        with pytest.raises(Unauthorized):
            await known.admitted(KEY, call)
    known.keys[ID] = msgspec.structs.replace(RECORD, scopes=("admin",))
    assert (await known.admitted(KEY, call)).key == ID
    with pytest.raises(Unauthorized):
        await known.guard.admitted(CALLS["createJob"], ours, [], None)


async def test_a_root_key_that_is_replaced_does_as_well() -> None:
    known = Known()
    known.guard = Guard(
        [hash_of("the next root key"), hash_of(ROOT)], known.keys.get, known.clock, known.look, lambda: True
    )
    for key in ("the next root key", ROOT):
        assert (await known.admitted(key, "putTopology")).key == "root"
    with pytest.raises(Unauthorized):
        await known.admitted("another root key", "putTopology")


async def test_a_key_that_is_not_known_yet_is_looked_for_once_by_all_who_ask() -> None:
    known = Known()
    known.newer[ID] = RECORD
    known.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(known.admitted(KEY)) for _ in range(5)]
        await settle()
        known.gate.set()
    assert {task.result().key for task in asking} == {ID}
    assert known.looks <= 2


async def test_what_was_looked_for_in_vain_is_not_looked_for_again_at_once() -> None:
    known = Known()
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await known.admitted(KEY)
    assert known.looks == 1
    with pytest.raises(Unauthorized):
        await known.admitted("hookline_of_another_form")
    assert known.looks == 1, "that cannot be a key"
    known.newer[ID] = RECORD
    known.clock.advance(2_001)
    assert (await known.admitted(KEY)).key == ID


async def test_who_fails_too_often_waits_and_a_valid_key_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad_keys, "BURST", 3)
    known = Known()
    known.keys[ID] = RECORD
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await known.admitted("wrong")
    with pytest.raises(TooManyBadKeys) as refusal:
        await known.admitted("wrong")
    assert refusal.value.retry_after_s == 1
    assert (await known.admitted(KEY)).key == ID
    with pytest.raises(Unauthorized):
        await known.admitted("wrong", address="192.0.2.2")
    known.clock.advance(1_000)
    with pytest.raises(Unauthorized):
        await known.admitted("wrong")


def test_a_bucket_holds_a_burst_and_leaks() -> None:
    bad, now_ms = BadKeys(), 0.0
    while not bad.wait_s("a", now_ms):
        bad.note("a", now_ms)
    assert bad.wait_s("b", now_ms) == 0
    assert bad.wait_s("a", now_ms + 1_000 / PER_S) == 0
    bad.note("a", now_ms + 1_000 * BURST)
    assert bad.wait_s("a", now_ms + 1_000 * BURST) == 0


def test_so_many_sources_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad_keys, "SOURCES_MAX", 3)
    bad = BadKeys()
    for number in (1, 2, 3, 1, 4, 5):
        bad.note(str(number), 0)
    assert len(bad) == 3


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002"),
        ("2001:db8:1:2::1", "20010db800010002"),
        ("fe80::1%eth0", "fe80000000000000"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_a_source_is_an_address_or_a_network_of_ipv6(address: str, source: str) -> None:
    assert source_of(address) == source


@pytest.mark.parametrize(
    ("host", "root_key", "no_auth", "field"),
    [
        ("127.0.0.1", None, False, None),
        ("::1", None, False, None),
        ("localhost", None, False, None),
        ("0.0.0.0", ROOT, False, None),
        ("0.0.0.0", None, True, None),
        ("0.0.0.0", None, False, "root_key_file"),
        ("::", None, False, "root_key_file"),
        ("10.0.0.1", None, False, "root_key_file"),
        ("node.internal", None, False, "root_key_file"),
        ("127.0.0.1", ROOT, True, "no_auth"),
        ("127.0.0.1", "short", False, "root_key_file"),
        ("127.0.0.1", "with a space in it", False, "root_key_file"),
        ("127.0.0.1", "", False, "root_key_file"),
    ],
)
def test_a_server_starts_only_if_it_is_clear_who_may_call(
    host: str, root_key: str | None, no_auth: bool, field: str | None
) -> None:
    if field is None:
        check_access(host, root_key, no_auth=no_auth)
        return
    with pytest.raises(InvalidConfig) as refusal:
        check_access(host, root_key, no_auth=no_auth)
    assert refusal.value.field == field
    assert not root_key or root_key not in refusal.value.detail


async def test_the_callers_tenant_is_that_of_its_key() -> None:
    known = Known()
    known.keys[ID] = structs.replace(RECORD, tenant="acme", scopes=("admin",))
    caller = await known.admitted(KEY, "putDestination")
    assert (caller.tenant, caller.key_tenant, caller.is_operator) == ("acme", "acme", False)
    for call in ("putTopology", "getMetrics", "putTenant", "getCluster"):
        with pytest.raises(Forbidden):
            await known.admitted(KEY, call)
    known.keys[ID] = structs.replace(RECORD, scopes=("admin",))
    assert (await known.admitted(KEY, "putTopology")).is_operator
