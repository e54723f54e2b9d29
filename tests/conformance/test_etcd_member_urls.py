"""A node that knows one member of etcd learns where all of them listen."""

from hookline.node.etcd.client import EtcdAddress, EtcdClient
from hookline.node.etcd.member_urls import MemberUrls
from tests.etcd_members import EtcdMembers


async def test_one_endpoint_tells_the_client_and_peer_urls_of_all_members(etcd: EtcdMembers) -> None:
    client = EtcdClient(EtcdAddress((etcd.endpoints[0],)))
    try:
        found = MemberUrls(client)
        await found.look()
    finally:
        await client.close()
    assert set(etcd.endpoints) < set(found.urls)
    assert len(set(found.urls)) == 6, "three for clients, three for each other"
