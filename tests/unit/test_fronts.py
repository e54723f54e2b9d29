"""How many API processes a node has, and what becomes of one that cannot be started."""

import asyncio
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cyclopts.exceptions import CycloptsError

from hookline.cli import inputs
from hookline.cli.node_options import NodeOptions
from hookline.cli.stack.supervisor import node_environment
from hookline.errors import InvalidConfig, NodeFault
from hookline.http_api.messages import AsgiReceive, AsgiScope, AsgiSend
from hookline.node.config import NodeConfig
from hookline.node.front import fronts
from hookline.processes.link import Link, linked
from tests.node_parts import ManualClock


@pytest.mark.parametrize(("cores", "chosen"), [(1, 0), (2, 0), (3, 0), (4, 1), (7, 1), (8, 2), (16, 4), (96, 4)])
def test_auto_goes_by_the_cores_that_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch, cores: int, chosen: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    assert inputs.api_processes("auto") == chosen


@pytest.mark.parametrize(
    ("cores", "slots", "chosen"), [(1, None, 0), (3, None, 0), (4, None, 2), (8, 100, 4), (96, 100, 4), (8, 1, 1)]
)
def test_auto_leaves_attempts_in_the_node_on_a_small_machine(
    monkeypatch: pytest.MonkeyPatch, cores: int, slots: int | None, chosen: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    assert inputs.attempt_processes("auto", slots) == chosen


@pytest.mark.parametrize("text", ["many", "-1", "1.5", ""])
def test_anything_but_a_number_is_refused(text: str) -> None:
    with pytest.raises(CycloptsError):
        inputs.api_processes(text)


def test_a_number_is_taken_up_to_a_limit(tmp_path: Path) -> None:
    assert inputs.api_processes("3") == 3
    assert NodeConfig(data_dir=tmp_path, api_processes=64).api_processes == 64
    with pytest.raises(InvalidConfig, match="--api-processes is 65"):
        NodeConfig(data_dir=tmp_path, api_processes=65)


@pytest.mark.parametrize(("given", "passed_on"), [(None, "0"), ("auto", "0"), ("2", "2")])
def test_nodes_that_share_a_machine_get_those_that_were_asked_for(
    tmp_path: Path, given: str | None, passed_on: str
) -> None:
    options = NodeOptions(api_processes=given, attempt_processes=given)
    environment = node_environment(tmp_path, options, ManualClock())
    assert environment["HOOKLINE_API_PROCESSES"] == environment["HOOKLINE_ATTEMPT_PROCESSES"] == passed_on


async def _no_app(_scope: AsgiScope, _receive: AsgiReceive, _send: AsgiSend) -> None:
    raise AssertionError


def _api(data_dir: Path) -> Any:
    role = SimpleNamespace(is_leading=lambda: True)
    services = SimpleNamespace(
        role=role,
        replica=SimpleNamespace(term=1),
        clock=ManualClock(),
        sender=None,
        inner_door=SimpleNamespace(keys=()),
    )
    return SimpleNamespace(config=NodeConfig(data_dir=data_dir), services=services)


async def test_a_front_that_never_serves_ends_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fronts, "MODULE", "hookline.nothing")
    with socket.create_server(("127.0.0.1", 0)) as listener, (tmp_path / "lock").open("w") as lock:
        doors = fronts.Fronts(_api(tmp_path), _no_app, listener, count=1, hosts=(), held=lock.fileno())
        with pytest.raises(ExceptionGroup) as failure:
            await doors.run()
    assert failure.group_contains(NodeFault, match="an API process ended with code 1 before it took connections")
    assert not doors.ready.is_set()


class SilentChild:
    """In the place of a front's process: it takes what it is told and says nothing."""

    def __init__(self, link: Link, other: Link) -> None:
        self.pid, self.link, self._other = 1, link, other
        self._is_gone = asyncio.Event()

    def kill(self) -> None:
        self._is_gone.set()

    async def ended(self) -> int:
        await self._is_gone.wait()
        return -9

    async def end(self) -> int:
        self.kill()
        self.link.close()
        await self._other.ended.wait()
        return -9


async def test_a_front_that_says_nothing_is_killed_and_another_one_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: asyncio.Queue[SilentChild] = asyncio.Queue()

    async def start(*_: object, **__: object) -> SilentChild:
        ours, its = socket.socketpair()
        child = SilentChild(await linked(ours, lambda _: None), await linked(its, lambda _: None))
        started.put_nowait(child)
        return child

    monkeypatch.setattr(fronts, "start_child", start)
    monkeypatch.setattr(fronts, "TELL_S", 0.001)
    monkeypatch.setattr(fronts, "HANGS_S", 0.004)
    with socket.create_server(("127.0.0.1", 0)) as listener, (tmp_path / "lock").open("w") as lock:
        doors = fronts.Fronts(_api(tmp_path), _no_app, listener, count=1, hosts=(), held=lock.fileno())
        doors.ready.set()  # as if they had served before
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(doors.run())
            first, second = await started.get(), await started.get()
            assert await first.ended() == -9
            doors.stop()
            second.kill()
            await running
