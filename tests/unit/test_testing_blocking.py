"""`BlockingNode`, the fixtures of the pytest plugin, and the signer."""

import asyncio
import subprocess
import sys
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

import hookline
from hookline import AsyncClient, Client, testing
from hookline.errors import DeadlineExceeded, HooklineError, InvalidSecret, JobNotFound
from hookline.protocol.signatures import generate_ed25519, generate_secret
from hookline.testing import BlockingNode, BlockingReceiver, Deadlocked, answer, hang, sign
from hookline.testing.clock import START_MS

URL = "https://shop.example/hook"
SECRET = generate_secret(b"k" * 32)


def test_time_stands_still_between_calls(hookline_node: BlockingNode) -> None:
    node = hookline_node
    job = node.client.create_job(URL, delay="1h")
    assert node.clock.wall_ms() == START_MS
    node.advance("59m")
    assert node.client.get_job(job.id).state == "pending"
    node.advance("1m")
    assert node.client.get_job(job.id).state == "succeeded"
    assert [job.id for job in node.client.list_jobs()] == [job.id]


def test_the_clients_own_waits_pass_virtual_time(hookline_client: Client, hookline_receiver: BlockingReceiver) -> None:
    hookline_receiver.next(answer(500), hang())
    job = hookline_client.create_job(URL, retry={"initial": "1h"}, timeout=5)
    assert hookline_client.wait_for_job(job.id, timeout=86_400).attempts_made == 3
    with pytest.raises(DeadlineExceeded):
        hookline_client.wait_for_job(hookline_client.create_job(URL, delay="2d").id, timeout=60)


async def test_it_works_on_the_loop_of_another_plugin(
    hookline_node: BlockingNode, hookline_async_client: AsyncClient
) -> None:
    job = await hookline_async_client.create_job(URL, delay="1d")
    assert (await hookline_async_client.wait_for_job(job.id, timeout=2 * 86_400)).state == "succeeded"
    hookline_node.client.create_job(URL)
    assert len(hookline_node.receiver.wait_for(2)) == 2
    both = await asyncio.gather(*(hookline_async_client.create_job(URL) for _ in range(2)))
    assert len({one.id for one in both}) == 2


def test_many_threads_may_use_one_client(hookline_node: BlockingNode) -> None:
    threads = [threading.Thread(target=hookline_node.client.create_job, args=(URL,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hookline_node.advance("1s")
    assert len(hookline_node.receiver.requests) == 8


def test_errors_are_those_of_the_sdk_and_the_node_goes_on(hookline_node: BlockingNode) -> None:
    with pytest.raises(JobNotFound):
        hookline_node.client.get_job("nobody")
    with pytest.raises(Deadlocked, match=r"1 requests did not arrive within 1d of virtual time; none arrived"):
        hookline_node.receiver.wait_for(1, within="1d")
    hookline_node.client.create_job(URL)
    assert len(hookline_node.receiver.wait_for(1)) == 1


@pytest.mark.hookline(seed=3, start_ms=1_000_000_000_000)
def test_a_marker_says_how_the_node_is_made(hookline_node: BlockingNode) -> None:
    assert hookline_node.clock.wall_ms() == 1_000_000_000_000
    same = BlockingNode(seed=3, start_ms=1_000_000_000_000)
    with same:
        assert same.client.create_job(URL).id == hookline_node.client.create_job(URL).id


def test_a_setting_that_is_wrong_is_said_at_the_start() -> None:
    with pytest.raises(TypeError, match="no_such_setting"), BlockingNode(no_such_setting=1):
        pass
    with pytest.raises(HooklineError), BlockingNode(cluster="not a name"):
        pass


def test_a_node_takes_again_what_it_gave(hookline_node: BlockingNode) -> None:
    client, huge = hookline_node.client, Decimal("1e400")
    job = client.create_job("https://e.example/x", payload={"n": huge}, delay="1h", labels={"a": "b"})
    assert job.run_at - job.created_at == timedelta(hours=1)
    assert client.get_job(job.id).payload == {"n": huge}
    changed = client.update_job(
        job.id, run_at=job.run_at + timedelta(hours=1), payload=job.payload, retry=job.retry, timeout=job.timeout
    )
    assert changed.run_at == job.run_at + timedelta(hours=1)
    assert (changed.retry, changed.payload) == (job.retry, job.payload)
    end = job.run_at + timedelta(days=9)
    sent: list[Any] = [{"payload": {"n": [huge]}}, {"body": b"\x00\xff"}]
    for fields in sent:
        one = client.create_schedule("0 9 * * *", {"url": "https://e.example/y"} | fields, end_at=end)
        two = client.create_schedule(one.cron, one.job, end_at=one.end_at, catch_up=one.catch_up, jitter=one.jitter)
        assert (two.job, two.end_at) == (one.job, end)
    settings = client.put_destination("https://e.example", rate={"limit": 5}, retry={"max_attempts": 3})
    again = client.put_destination("https://f.example", rate=settings.rate, retry=settings.retry)
    assert (again.rate, again.retry) == (settings.rate, settings.retry)


async def test_both_clients_give_the_types_of_the_sdk(hookline_node: BlockingNode) -> None:
    job = hookline_node.client.create_job("https://e.example/x")
    found = await hookline_node.async_client.get_job(job.id)
    done = hookline_node.finished(job.id)
    assert isinstance(job, hookline.Job)
    assert isinstance(found, hookline.Job)
    assert isinstance(done, hookline.Job)
    assert done.finished_at is not None
    assert [one.id async for one in hookline_node.async_client.list_jobs()] == [job.id]


# --- signer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b'{"a":1}', '{"a":"ä"}', b"", b"\x00\xff"])
def test_what_is_signed_verifies(body: bytes | str) -> None:
    raw = body.encode() if isinstance(body, str) else body
    headers = sign(body, SECRET, webhook_id="j1", attempt=3, scheduled_at="2026-01-01T00:00:00Z")
    info = hookline.verify(raw, headers, SECRET)
    assert (info.id, info.attempt, info.term, info.scheduled_at) == ("j1", 3, 1, "2026-01-01T00:00:00.000Z")
    with pytest.raises(hookline.InvalidSignature):
        hookline.verify(raw + b" ", headers, SECRET)


def test_during_a_rotation_each_secret_verifies() -> None:
    private, public = generate_ed25519(b"s" * 32)
    headers = sign(b"x", [SECRET, private])
    assert hookline.verify(b"x", headers, SECRET) == hookline.verify(b"x", headers, public)


def test_old_ones_can_be_made_and_wrong_secrets_are_refused() -> None:
    with pytest.raises(hookline.InvalidSignature, match="in the past"):
        hookline.verify(b"x", sign(b"x", SECRET, now=1_700_000_000), SECRET)
    with pytest.raises(InvalidSecret):
        sign(b"x", "secret")
    with pytest.raises(HooklineError, match="at least one"):
        sign(b"x", [])


def test_the_names_are_the_same_for_type_checkers_and_at_run_time() -> None:
    for name in testing.__all__:
        assert getattr(testing, name)
    assert dir(testing) == testing.__all__ == sorted(set(testing.__all__))
    with pytest.raises(AttributeError):
        testing.nothing  # noqa: B018


def test_signing_and_the_plugin_load_no_server() -> None:
    code = (
        "import sys, hookline.testing.plugin\nfrom hookline.testing import sign\n"
        f"sign(b'', {SECRET!r})\nprint([m for m in sys.modules if m.split('.')[0] in ('apsw', 'grpc', 'starlette')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
