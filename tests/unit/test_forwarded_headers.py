from typing import Any

import pytest

from hookline.errors import InvalidRequest
from hookline.http_api.callers import CLIENT
from hookline.http_api.forwarded_headers import target_of
from hookline.http_api.messages import ApiRequest
from hookline.protocol.calls import CALLS


def request(path: bytes, query: bytes = b"") -> ApiRequest:
    async def receive() -> Any:
        raise AssertionError("nothing is read")

    return ApiRequest({"raw_path": path, "query_string": query}, receive, CALLS["getJob"], CLIENT, [])


@pytest.mark.parametrize(
    "path", [b"/a/..", b"/a/.", b"/a/%2E%2e/b", b"/a/.%2e", b"/./a", b"/a\\..\\b", b"/a#b", b"/..\\x"]
)
def test_what_could_be_read_as_another_path_is_refused(path: bytes) -> None:
    with pytest.raises(InvalidRequest):
        target_of(request(path))


def test_a_fragment_in_the_query_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        target_of(request(b"/jobs", b"a=b#c"))


@pytest.mark.parametrize("path", [b"/jobs/a.b", b"/..b", b"/a..", b"/a/.../b", b"/destinations/https%3A%2F%2Fa.b%3A1"])
def test_all_else_stays_as_it_came(path: bytes) -> None:
    assert target_of(request(path)) == path.decode()
    assert target_of(request(path, b"x=/../y")) == path.decode() + "?x=/../y"
