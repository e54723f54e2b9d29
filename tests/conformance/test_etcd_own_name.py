"""A node takes its name, and notices a twin: another process that runs under it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from hookline.clock import SystemClock
from hookline.errors import NodeNameInUse
from hookline.node.etcd.client import EtcdAddress, EtcdClient
from hookline.node.etcd.keys import Keys
from hookline.node.etcd.own_name import OwnName
from hookline.node.etcd.statuses import NodeStatus, Statuses, read_statuses
from hookline.node.membership.home import home_of
from tests.etcd_members import EtcdMembers


def status(home: str, run: str = "r1", name: str = "n1") -> NodeStatus:
    return NodeStatus(name, f"http://{home}", "follower", 0, 0, "1", 0, home=home, run=run)


@pytest.fixture
async def client(etcd: EtcdMembers) -> AsyncIterator[EtcdClient]:
    client = EtcdClient(EtcdAddress(etcd.endpoints))
    yield client
    await client.close()


async def told(client: EtcdClient, keys: Keys) -> list[str]:
    return [it.home for it in await read_statuses(client, keys)]


async def test_a_name_that_nobody_has_is_taken_at_once(client: EtcdClient, keys: Keys) -> None:
    name = OwnName(client, keys)
    await name.take(status("a"))
    assert name.looks == 0
    assert await told(client, keys) == ["a"]


async def test_a_node_that_starts_again_takes_its_name_at_once(client: EtcdClient, keys: Keys) -> None:
    await OwnName(client, keys).take(status("a"))
    again = OwnName(client, keys)
    await again.take(status("a", run="r2"))
    assert again.looks == 0


async def test_a_name_whose_node_is_gone_is_taken_after_a_while(client: EtcdClient, keys: Keys) -> None:
    await OwnName(client, keys).take(status("a"))
    late = OwnName(client, keys)
    await late.take(status("b"))
    assert late.looks > 1
    assert await told(client, keys) == ["b"]


async def test_a_name_whose_node_runs_is_not_taken(client: EtcdClient, keys: Keys) -> None:
    await OwnName(client, keys).take(status("a"))
    first = Statuses(client, keys, lambda: status("a"), node="n1")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(first.run())
        with pytest.raises(NodeNameInUse, match=r"called n1 .* http://a; .*another --node name, or stop"):
            await OwnName(client, keys).take(status("b"))
        running.cancel()
    assert await told(client, keys) == ["a"]
    assert first.twin is None


async def test_of_two_nodes_that_start_at_once_one_takes_the_name(client: EtcdClient, keys: Keys) -> None:
    async def start(home: str) -> None:
        await OwnName(client, keys).take(status(home))
        await Statuses(client, keys, lambda: status(home), node="n1").run()

    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(_outcome(start(home))) for home in "ab"]
        done, pending = await asyncio.wait(started, return_when=asyncio.FIRST_COMPLETED)
        assert [type(task.result()) for task in done] == [NodeNameInUse]
        assert len(pending) == 1
        pending.pop().cancel()


async def _outcome(start: object) -> BaseException | None:
    try:
        await start  # type: ignore[misc]
    except NodeNameInUse as error:
        return error
    return None


async def test_a_node_whose_status_a_twin_replaces_says_so_once(client: EtcdClient, keys: Keys) -> None:
    own = Statuses(client, keys, lambda: status("a"), node="n1")
    twin = Statuses(client, keys, lambda: status("a", run="r2"), node="n1")
    structlog.reset_defaults()
    with capture_logs() as logs:
        for _ in range(4):
            await own.exchange()
            await twin.exchange()
    assert own.twin is not None
    assert own.twin.run == "r2"
    assert [(line["event"], line["other_url"]) for line in logs] == [("node_name_taken", "http://a")] * 2, "each once"


async def test_one_late_word_of_an_earlier_run_is_no_twin(client: EtcdClient, keys: Keys) -> None:
    await Statuses(client, keys, lambda: status("a", run="r0"), node="n1").exchange()
    own = Statuses(client, keys, lambda: status("a"), node="n1")
    for _ in range(3):
        await own.exchange()
    assert own.twin is None


def test_a_directory_keeps_its_name_and_a_copy_has_another(tmp_path: Path) -> None:
    one, copy = tmp_path / "one", tmp_path / "copy"
    one.mkdir()
    home = home_of(one, SystemClock())
    assert home_of(one, SystemClock()) == home
    copy.mkdir()
    (copy / "home.id").write_bytes((one / "home.id").read_bytes())
    assert home_of(copy, SystemClock()) != home
    (one / "home.id").write_text("torn")
    assert home_of(one, SystemClock()) != home
