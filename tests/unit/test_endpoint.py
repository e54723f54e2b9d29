"""A caller is told of a fault of ours: whether the request may have been accepted, and that surely it was not."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import apsw
import pytest
from msgspec import json

from hookline.errors import EntryTooLarge, LogFault, NotLeader, SecretKeyMissing, StateDamaged
from hookline.http_api.callers import admit_as_client
from hookline.http_api.endpoint import Endpoint, Served
from hookline.http_api.fate import is_open_now
from hookline.http_api.messages import ApiRequest, Reply
from hookline.protocol.calls import CALLS

FAULTS = [
    LogFault("gone"),
    StateDamaged("gone"),
    apsw.FullError("full"),
    apsw.IOError("broken"),
    OSError(28, "full"),
    KeyError("bug"),
]


async def answered(raises: Exception, *, proposed: bool, in_a_task: bool = False) -> tuple[int, str]:
    """(status, code) of a POST whose handler fails."""

    async def propose() -> None:
        is_open_now()

    async def handler(_request: ApiRequest) -> Reply:
        if proposed and in_a_task:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(propose())
        elif proposed:
            await propose()
        raise raises

    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "POST", "path": "/jobs", "headers": [], "query_string": b""}
    served = {"POST": Served(CALLS["createJob"], handler)}
    await Endpoint(served, admit_as_client, None, [], lambda _code: None)(scope, receive, send)
    return sent[0]["status"], json.decode(sent[1]["body"])["code"]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_after_a_proposal_every_fault_leaves_it_open(fault: Exception) -> None:
    assert await answered(fault, proposed=True) == (504, "deadline_exceeded")
    assert await answered(fault, proposed=True, in_a_task=True) == (504, "deadline_exceeded")


@pytest.mark.parametrize("fault", [LogFault("gone"), apsw.FullError("full"), OSError(5, "broken")], ids=repr)
async def test_before_one_a_failing_node_surely_did_not_accept_it(fault: Exception) -> None:
    assert await answered(fault, proposed=False) == (503, "unavailable")


@pytest.mark.parametrize("fault", [KeyError("bug"), SecretKeyMissing(), EntryTooLarge()], ids=repr)
async def test_what_would_be_the_same_again_is_500(fault: Exception) -> None:
    assert await answered(fault, proposed=False) == (500, "internal")


async def test_what_is_known_is_said_as_it_is() -> None:
    assert await answered(NotLeader("not accepted"), proposed=True) == (503, "no_leader")


async def test_one_request_says_nothing_about_the_next() -> None:
    assert (await answered(KeyError("bug"), proposed=True))[0] == 504
    assert (await answered(KeyError("bug"), proposed=False))[0] == 500
