"""A call ends when its caller has stopped waiting, not before, and not by a time-out of its own making."""

import asyncio

import pytest

from hookline.errors import DeadlineExceeded, InvalidRequest
from hookline.http_api.callers import CLIENT
from hookline.http_api.endpoint import Handler
from hookline.http_api.messages import ApiRequest, Reply
from hookline.node.api.deadline import within_deadline
from hookline.protocol.calls import CALLS
from hookline.testing import virtual_time


def request(timeout_ms: str | None) -> ApiRequest:
    headers = [] if timeout_ms is None else [(b"hookline-timeout-ms", timeout_ms.encode())]
    return ApiRequest({}, lambda: None, CALLS["createJob"], CLIENT, headers)


def answer_after(seconds: float) -> Handler:
    async def answer(_request: ApiRequest) -> Reply:
        await asyncio.sleep(seconds)
        return Reply(200)

    return answer


def test_work_that_is_in_time_is_answered_and_what_is_late_is_given_up() -> None:
    async def main() -> None:
        assert (await within_deadline(answer_after(3_600), request(None))).status == 200
        assert (await within_deadline(answer_after(1.9), request("2000"))).status == 200
        before = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceeded):
            await within_deadline(answer_after(2.1), request("2000"))
        assert asyncio.get_running_loop().time() - before == pytest.approx(2)

    virtual_time.run(main())


def test_a_time_out_inside_the_work_is_not_the_callers() -> None:
    async def fail(_request: ApiRequest) -> Reply:
        raise TimeoutError

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await within_deadline(fail, request("2000"))

    virtual_time.run(main())


def test_work_does_not_begin_when_the_time_cannot_be_read() -> None:
    begun: list[float] = []

    async def begin(_request: ApiRequest) -> Reply:
        begun.append(0)
        return Reply(200)

    async def main() -> None:
        with pytest.raises(InvalidRequest):
            await within_deadline(begin, request("soon"))

    virtual_time.run(main())
    assert not begun
