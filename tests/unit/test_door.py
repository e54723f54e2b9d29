"""The door checks a call before a node's handler runs, and chooses who answers, for every row of the table."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from hookline.errors import HooklineError, InvalidRequest, JobNotFound, Misdirected, NotLeader, Overloaded, WrongCluster
from hookline.http_api.callers import HeaderPairs, admit_ours
from hookline.http_api.messages import ApiRequest, Reply
from hookline.node.api.context import Api
from hookline.node.api.door import Door
from hookline.node.state_machine.api_keys import ApiKeys
from hookline.protocol.calls import CALLS, Call, calls_of
from hookline.protocol.commands import AnyCommand, NoteAudit
from hookline.testing import virtual_time
from tests.node_parts import ManualClock

OURS = [(b"hookline-for-cluster", b"c0"), (b"hookline-epoch", b"7")]
ROWS = pytest.mark.parametrize("call", calls_of("node"), ids=lambda call: call.name)


class _Ownership:
    def check_cluster(self, request: ApiRequest) -> None:
        if request.caller.cluster not in (None, "c0"):
            raise WrongCluster

    def check_epoch(self, request: ApiRequest) -> None:
        if request.caller.epoch not in (None, 7):
            raise Misdirected


class _Replica:
    """Keeps what is proposed."""

    applied = 1
    api_keys = ApiKeys()
    machine = SimpleNamespace(committed=1)

    def __init__(self, proposed: list[AnyCommand]) -> None:
        self._proposed = proposed

    async def propose(self, commands: Sequence[AnyCommand]) -> None:
        self._proposed.extend(commands)


def asked(
    call: Call,
    headers: HeaderPairs = OURS,
    *,
    leads: bool = True,
    is_overloaded: bool = False,
    query: bytes = b"",
    proposed: list[AnyCommand] | None = None,
) -> str:
    """The code of the refusal, or "answered"; takes what is ``proposed``."""
    role = SimpleNamespace(is_leading=lambda: leads, leader_url=lambda: None)
    services = SimpleNamespace(
        role=role,
        sender=None,
        is_overloaded=lambda: is_overloaded,
        replica=_Replica([] if proposed is None else proposed),
        clock=ManualClock(),
        config=SimpleNamespace(root_key=None),
    )
    api: Any = SimpleNamespace(services=services, ownership=_Ownership())

    async def handler(_api: Api, _request: ApiRequest) -> Reply:
        return Reply(200)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"body"}

    async def main() -> str:
        request = ApiRequest({"query_string": query}, receive, call, *admit_ours(headers))
        try:
            return "answered" if (await Door(api).to(handler, call)(request)).status == 200 else "?"
        except HooklineError as error:
            return error.code

    return virtual_time.run(main())


@ROWS
def test_whom_the_call_is_meant_for_and_by_which_topology_is_checked_as_the_row_says(call: Call) -> None:
    assert asked(call) == "answered"
    assert asked(call, [(b"hookline-for-cluster", b"c1")]) == WrongCluster.code
    is_checked = call.checks_epoch != "no"
    assert (asked(call, [(b"hookline-epoch", b"6")]) == Misdirected.code) == is_checked
    if call.checks_epoch == "required":
        assert asked(call, []) == InvalidRequest.code
    else:
        assert asked(call, []) == "answered"


@ROWS
def test_a_node_with_too_much_to_do_still_answers_for_itself(call: Call) -> None:
    expected = "answered" if call.answered_by == "self" else Overloaded.code
    assert asked(call, is_overloaded=True) == expected


@ROWS
def test_who_answers_while_nobody_leads(call: Call) -> None:
    led = "answered" if call.answered_by == "self" else NotLeader.code
    assert asked(call, leads=False) == led
    assert asked(call, [*OURS, (b"hookline-forwarded", b"1")], leads=False) == led
    local = "answered" if call.answered_by != "leader" else NotLeader.code
    assert asked(call, leads=False, query=b"consistency=local") == local


@ROWS
def test_what_the_row_calls_audited_leaves_a_note_though_its_handler_says_nothing(call: Call) -> None:
    proposed: list[AnyCommand] = []
    assert asked(call, proposed=proposed) == "answered"
    found = [(one.note.action, one.outcome) for one in proposed if isinstance(one, NoteAudit)]
    assert found == ([(call.name, "unchanged")] if call.audited == "always" else [])


def test_the_time_that_the_caller_waits_is_kept() -> None:
    soon: HeaderPairs = [(b"hookline-timeout-ms", b"500")]
    assert asked(CALLS["createJob"], soon, leads=False) == "deadline_exceeded"
    assert asked(CALLS["getHealth"], soon, leads=False) == "answered"


@pytest.mark.parametrize(
    ("committed", "is_arriving", "came_at", "told"),
    [
        (5, False, 0, "job_not_found"),
        (5, True, 0, "arriving"),
        (5, False, 6, "arriving"),  # it counts by an entry that readers did not see when it was looked for
        (6, False, 6, "job_not_found"),  # it was deleted since
    ],
)
def test_what_readers_do_not_see_yet_is_on_its_way(committed: int, is_arriving: bool, came_at: int, told: str) -> None:
    """A job that moved is found at each moment: inert, counting and not committed, or there."""
    machine = SimpleNamespace(
        tables=SimpleNamespace(is_arriving=lambda *_: is_arriving),
        committed=committed,
        came_after=lambda index, *_: came_at > index,
    )
    replica = SimpleNamespace(machine=machine, api_keys=ApiKeys())
    services = SimpleNamespace(
        role=SimpleNamespace(is_leading=lambda: True, leader_url=lambda: None),
        sender=None,
        is_overloaded=lambda: False,
        replica=replica,
        clock=ManualClock(),
        config=SimpleNamespace(root_key=None),
    )
    reads = SimpleNamespace(elsewhere=lambda *_: None)
    api: Any = SimpleNamespace(services=services, ownership=_Ownership(), reads=reads)

    async def handler(_api: Api, _request: ApiRequest) -> Reply:
        machine.committed += 1  # meanwhile
        raise JobNotFound

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def main() -> str:
        call = CALLS["getJob"]
        scope = {"query_string": b"", "path_params": {"id": "j"}}
        with pytest.raises(HooklineError) as raised:
            await Door(api).to(handler, call)(ApiRequest(scope, receive, call, *admit_ours(OURS)))
        return raised.value.code

    assert virtual_time.run(main()) == told
