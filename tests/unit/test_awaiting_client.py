"""The asyncio client against a real server that answers from a script; sleeping is only noted."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from hookline import AsyncClient, errors
from tests import scripted_server as served
from tests.scripted_server import DROP, Answer, ScriptedServer, problem, scripted_server
from tests.unit.test_blocking_client import CALLS, DELETED, ONCE_ONLY
from tests.unit.test_client_requests import SeededClock


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
async def client(server: ScriptedServer, slept: list[float]) -> AsyncIterator[AsyncClient]:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with AsyncClient(server.url, clock=SeededClock(), sleep=sleep) as client:
        yield client


async def test_refused_and_ambiguous_failures_are_sent_again_with_the_same_key(
    server: ScriptedServer, client: AsyncClient, slept: list[float]
) -> None:
    server.answers = [DROP, problem(429, "queue_full", retry_after=2), Answer(201, served.job())]
    assert (await client.create_job("http://127.0.0.1:9000/hook")).id == "j1"
    assert len({(asked.headers["idempotency-key"], asked.body) for asked in server.asked}) == 1
    assert len(server.asked) == 3
    assert 2 <= slept[1] <= 3


async def test_a_job_without_id_and_key_leaves_a_home_that_is_down(server: ScriptedServer, client: AsyncClient) -> None:
    server.answers = [problem(503, "cluster_unavailable"), problem(503, "no_leader"), Answer(201, served.job())]
    await client.create_job("http://127.0.0.1:9000/hook")
    assert [asked.headers.get("hookline-fallback") for asked in server.asked] == [None, "allow", "allow"]


@pytest.mark.parametrize("method", ONCE_ONLY)
async def test_what_would_add_up_is_not_sent_again_after_an_ambiguous_failure(
    server: ScriptedServer, client: AsyncClient, method: str
) -> None:
    server.answers = [DROP]
    with pytest.raises(errors.DeadlineExceeded):
        await getattr(client, method)(*ONCE_ONLY[method])
    assert len(server.asked) == 1


@pytest.mark.parametrize("method", DELETED)
async def test_what_a_lost_try_has_deleted_is_deleted(server: ScriptedServer, client: AsyncClient, method: str) -> None:
    not_there = problem(404, f"{DELETED[method]}_not_found")
    server.answers = [DROP, not_there]
    await getattr(client, method)("x")
    with pytest.raises(errors.NotFound):
        await getattr(client, method)("x")


async def test_retries_end(server: ScriptedServer, client: AsyncClient, slept: list[float]) -> None:
    server.answers = [problem(503, "overloaded")]
    with pytest.raises(errors.Overloaded):
        await client.get_job("j1")
    assert (len(server.asked), len(slept)) == (4, 3)


async def test_the_callers_mistakes_are_raised_at_once(server: ScriptedServer, client: AsyncClient) -> None:
    server.answers = [problem(404, "job_not_found")]
    with pytest.raises(errors.JobNotFound):
        await client.get_job("j1")
    assert len(server.asked) == 1


async def test_all_pages_are_walked(server: ScriptedServer, client: AsyncClient) -> None:
    server.answers = [
        Answer(200, {"data": [served.job("a")], "next_cursor": "c1"}),
        Answer(200, {"data": [served.job("b")], "next_cursor": None}),
    ]
    assert [job.id async for job in client.list_jobs()] == ["a", "b"]


async def test_waiting_polls_until_the_job_is_finished(
    server: ScriptedServer, client: AsyncClient, slept: list[float]
) -> None:
    server.answers = [Answer(200, served.job()), Answer(200, served.job(state="succeeded"))]
    assert (await client.wait_for_job("j1")).state == "succeeded"
    assert len(slept) == 1


@pytest.mark.parametrize(("name", "args", "options", "line", "answer"), CALLS, ids=[call[3] for call in CALLS])
async def test_each_method_makes_its_call(
    server: ScriptedServer,
    client: AsyncClient,
    name: str,
    args: tuple[Any, ...],
    options: dict[str, Any],
    line: str,
    answer: Any,
) -> None:
    server.answers = [Answer(200, answer)]
    await getattr(client, name)(*args, **options)
    assert f"{server.asked[0].method} {server.asked[0].path}" == line
