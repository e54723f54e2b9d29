"""Getting in: TLS, user and password, and what an operator reads when it does not work."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import trustme
from structlog.testing import capture_logs

from hookline.cli import app
from hookline.clock import SystemClock
from hookline.errors import InvalidConfig
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.blocking import BlockingTxn
from hookline.node.etcd.client import EtcdAddress, EtcdDenied, EtcdUnclear
from hookline.node.etcd.keys import Keys
from hookline.node.etcd.outage import Outage
from hookline.node.etcd.statuses import NodeStatus, Statuses
from hookline.node.membership.joining import agree_on_secret_key, find_peers
from tests.etcd_members import EtcdMembers, EtcdTls
from tests.etcd_parts import enable_users, etcd_node, until
from tests.integration.node_under_test import node_config


@pytest.fixture
def certificates(tmp_path: Path) -> EtcdTls:
    tls = EtcdTls(tmp_path / "ca.pem", tmp_path / "server.pem", tmp_path / "server.key")
    write_certificates(tls, trustme.CA())
    return tls


async def test_over_tls_the_lead_is_won_kept_and_used(tmp_path: Path, keys: Keys, certificates: EtcdTls) -> None:
    with EtcdMembers(tmp_path / "etcd", 1, tls=certificates) as members:
        async with etcd_node("n1", keys, members.endpoints, ca_file=certificates.ca_file) as node, node.renewing():
            assert await node.leadership.acquire() == 1
            await node.append(1)
            asked_ms = node.fence.confirmed_ms
            await until(lambda: node.fence.confirmed_ms > asked_ms)  # the thread's connection works too


async def test_an_authority_that_is_not_trusted_is_not_talked_to(
    tmp_path: Path, keys: Keys, certificates: EtcdTls
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with EtcdMembers(tmp_path / "etcd", 1, tls=certificates) as members:
        async with etcd_node("n1", keys, members.endpoints, ca_file=other, is_chartered=False) as node:
            with pytest.raises(EtcdUnclear):
                await node.client.range(rpc.RangeRequest(key=b"x"), 2)


def write_certificates(tls: EtcdTls, authority: trustme.CA) -> None:
    """A new pair of that authority, in the same files."""
    pair = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tls.ca_file)
    pair.cert_chain_pems[0].write_to_path(tls.cert_file)
    pair.private_key_pem.write_to_path(tls.key_file)


async def test_connections_are_made_by_the_certificates_that_are_in_the_files_then(tmp_path: Path, keys: Keys) -> None:
    of_etcd = EtcdTls(tmp_path / "ca.pem", tmp_path / "etcd.pem", tmp_path / "etcd.key", is_mutual=True)
    own = EtcdTls(tmp_path / "own-ca.pem", tmp_path / "own.pem", tmp_path / "own.key")
    old, new = trustme.CA(), trustme.CA()
    write_certificates(of_etcd, old)
    write_certificates(own, old)
    with EtcdMembers(tmp_path / "etcd", 1, tls=of_etcd) as members:
        files: dict[str, Any] = {"ca_file": own.ca_file, "cert_file": own.cert_file, "key_file": own.key_file}
        async with etcd_node("n1", keys, members.endpoints, **files) as node:
            assert await node.leadership.acquire() == 1
            await node.append(1)
            ask = BlockingTxn(node.address)
            assert node.fence.revision
            beat = transactions.renew(keys, node.fence.revision, node.fence.term, 1)
            assert (await asyncio.to_thread(ask, beat, 5)).succeeded
            members.members[0].kill()
            write_certificates(of_etcd, new)
            write_certificates(own, new)
            await asyncio.to_thread(members.members[0].start)
            await asyncio.to_thread(members.wait_until_healthy)
            with pytest.raises(EtcdUnclear):
                await node.client.range(rpc.RangeRequest(key=b"x"), 2)
            with pytest.raises(EtcdUnclear):
                await asyncio.to_thread(ask, beat, 2)
            node.client.renew()
            ask.renew()
            await node.client.range(rpc.RangeRequest(key=b"x"), 60)
            assert (await asyncio.to_thread(ask, beat, 60)).succeeded
            ask.close()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[EtcdMembers]:
    """One member; root's password is "secret"."""
    with EtcdMembers(tmp_path, 1) as members:
        enable_users(members)
        yield members


async def test_with_user_and_password_the_lead_is_won_kept_and_used(guarded: EtcdMembers, keys: Keys) -> None:
    async with etcd_node("n1", keys, guarded.endpoints, user="root", password="secret") as node, node.renewing():
        assert await node.leadership.acquire() == 1
        async with node.watching():
            await node.append(1)
        asked_ms = node.fence.confirmed_ms
        await until(lambda: node.fence.confirmed_ms > asked_ms)


async def test_a_token_that_etcd_does_not_know_is_replaced(guarded: EtcdMembers, keys: Keys) -> None:
    async with etcd_node("n1", keys, guarded.endpoints, user="root", password="secret") as node:
        await node.leadership.acquire()
        await node.append(1)
        node.client.token = "expired.1"
        async with asyncio.timeout(60):
            await node.append(2)
        assert [found.index for found in await node.log.read_from(1)] == [1, 2]


async def test_a_member_that_restarts_lets_the_node_in_again(guarded: EtcdMembers, keys: Keys) -> None:
    async with etcd_node("n1", keys, guarded.endpoints, user="root", password="secret") as node:
        await node.leadership.acquire()
        guarded.members[0].kill()
        guarded.members[0].start()
        async with asyncio.timeout(60):
            await node.append(1)


@pytest.mark.parametrize(
    ("user", "password", "advice"),
    [
        ("root", "wrong", "correct --etcd-user and HOOKLINE_ETCD_PASSWORD"),
        ("nobody", "secret", "correct --etcd-user and HOOKLINE_ETCD_PASSWORD"),
        ("guest", "secret", "grant its role readwrite"),
        (None, None, "give --etcd-user and HOOKLINE_ETCD_PASSWORD"),
    ],
)
async def test_who_may_not_in_is_refused_and_told_what_to_do(
    guarded: EtcdMembers, keys: Keys, user: str | None, password: str | None, advice: str
) -> None:
    async with etcd_node("n1", keys, guarded.endpoints, user=user, password=password, is_chartered=False) as node:
        with pytest.raises(EtcdDenied, match=advice):
            await node.client.range(rpc.RangeRequest(key=keys.leader), 2)


async def test_a_user_for_an_etcd_that_knows_none_is_told_what_to_do(etcd: EtcdMembers, keys: Keys) -> None:
    async with etcd_node("n1", keys, etcd.endpoints, user="root", password="x", is_chartered=False) as node:
        with pytest.raises(EtcdDenied, match="leave out --etcd-user"):
            await node.client.range(rpc.RangeRequest(key=keys.leader), 2)


async def test_a_running_node_that_etcd_no_longer_lets_in_says_so_once(tmp_path: Path, keys: Keys) -> None:
    with EtcdMembers(tmp_path, 1) as members:
        async with etcd_node("n1", keys, members.endpoints) as node:
            own = NodeStatus("n1", "http://n1", "follower", 0, 0, "1", 0)
            statuses = Statuses(node.client, keys, lambda: own, node="n1")
            await statuses.look()
            assert statuses.denied is None
            enable_users(members)
            structlog.reset_defaults()
            with capture_logs() as logs:
                for _ in range(3):
                    await statuses.look()
    assert [line["event"] for line in logs] == ["etcd_denied"]
    assert "give --etcd-user" in str(statuses.denied)


def test_the_command_line_says_what_etcd_wants(guarded: EtcdMembers, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["cluster", "survey", "--etcd", guarded.endpoints[0]]) == 1
    said = capsys.readouterr().err
    assert "give --etcd-user and HOOKLINE_ETCD_PASSWORD" in " ".join(said.split())
    assert "urls right" not in said


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(EtcdAddress(("http://a:1",), user="root", password="secret"))


@pytest.mark.parametrize(
    ("endpoints", "complaint"),
    [((), "no endpoint"), (("10.0.0.1:2379",), "use http://"), (("http://a:1", "https://b:1"), "mixes")],
)
def test_endpoints_that_cannot_work_are_refused_with_the_reason(endpoints: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(InvalidConfig, match=complaint):
        EtcdAddress(endpoints)


def test_without_etcd_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(InvalidConfig, match="apt-get install etcd-server"):
        EtcdMembers(tmp_path)


async def test_what_a_start_asks_is_asked_at_the_next_member_when_the_first_is_away(tmp_path: Path) -> None:
    with EtcdMembers(tmp_path / "etcd", 1) as members:
        config = node_config(tmp_path / "n1", etcd=("http://127.0.0.1:1", *members.endpoints))
        key = await agree_on_secret_key(config, SystemClock(), Outage(config.etcd))
        assert key == await agree_on_secret_key(config, SystemClock(), Outage(config.etcd))
        assert (await find_peers(config)).urls == []
