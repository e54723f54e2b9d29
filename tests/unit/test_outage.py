"""An etcd that is away: one sentence, seldom."""

from typing import Any

import grpc
import pytest
import structlog
from structlog.testing import capture_logs

from hookline.node.etcd import outage
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd.client import EtcdAddress, EtcdClient, EtcdUnclear, mapped
from hookline.node.etcd.outage import REPEAT_MS, Outage

TWO = ("http://127.0.0.1:1", "http://user:word@127.0.0.1:2")


@pytest.fixture(autouse=True)
def fresh_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    structlog.reset_defaults()
    monkeypatch.setattr(outage, "_log", structlog.get_logger())


class Hand:
    """A clock that is moved by hand."""

    now_ms = 0.0

    def __call__(self) -> float:
        return self.now_ms


def test_it_is_said_at_once_then_seldom_and_once_when_it_is_over() -> None:
    hand = Hand()
    away = Outage(TWO, hand)
    with capture_logs() as lines:
        for _ in range(2 * REPEAT_MS // 500 + 1):  # twice a second, for a minute
            away.failed(0, "Connection refused")
            away.failed(1, "Connection refused")
            hand.now_ms += 500
        away.answered()
        away.answered()
    assert [(line["event"], line["log_level"]) for line in lines] == [
        *[("etcd_away", "warning")] * 3,
        ("etcd_back", "info"),
    ]
    assert lines[0]["detail"] == (
        "cannot reach etcd at http://127.0.0.1:1,http://***@127.0.0.1:2: Connection refused; "
        "check --etcd, and that most of its members run"
    )
    assert [line.get("for_s") for line in lines[:3]] == [0, 30, 60]


def test_one_member_of_several_is_no_outage() -> None:
    away = Outage(TWO, Hand())
    with capture_logs() as lines:
        for _ in range(3):
            away.failed(0, "Connection refused")
            away.answered()
    assert lines == []


def test_an_etcd_that_comes_and_goes_does_not_fill_the_log() -> None:
    hand = Hand()
    away = Outage(TWO[:1], hand)
    with capture_logs() as lines:
        for _ in range(100):
            away.failed(0, "no answer in time")
            away.answered()
            hand.now_ms += 100
    assert [line["event"] for line in lines] == ["etcd_away", "etcd_back"]


async def test_the_client_says_it_in_a_sentence() -> None:
    client = EtcdClient(EtcdAddress(("http://127.0.0.1:1",)))
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(EtcdUnclear, match=r"^etcd: Connection refused$"):
                await client.txn(rpc.TxnRequest(), 5)
    await client.close()
    assert [line["detail"] for line in lines] == [
        "cannot reach etcd at http://127.0.0.1:1: Connection refused; check --etcd, and that most of its members run"
    ]


class Failed(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._said = (code, details)

    def code(self) -> Any:
        return self._said[0]

    def details(self) -> Any:
        return self._said[1]


@pytest.mark.parametrize(
    ("code", "details", "said"),
    [
        (
            "UNAVAILABLE",
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Refused",
            "Refused",
        ),
        ("UNAVAILABLE", "etcdserver: leader changed", "etcdserver: leader changed"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", "no answer in time"),
        ("UNAVAILABLE", "etcdserver: no leader", "etcdserver: no leader"),
        ("INTERNAL", "odd", "INTERNAL: odd"),
    ],
)
def test_of_what_grpc_says_the_last_cause_is_told(code: str, details: str, said: str) -> None:
    error = mapped(Failed(grpc.StatusCode[code], details))
    assert error.detail == f"etcd: {said}"
    assert error.is_outage
