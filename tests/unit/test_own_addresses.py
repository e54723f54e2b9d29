"""A node knows itself, wherever it listens and however its address is written."""

import pytest

from hookline.node.executor.own_addresses import OwnAddresses, urls_listening

ELSEWHERE = "192.0.2.1"  # for documentation; no machine has it


@pytest.mark.parametrize("listening", ["0.0.0.0", "::"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"])
def test_a_node_that_listens_anywhere_is_at_all_addresses_of_its_machine(listening: str, address: str) -> None:
    own = OwnAddresses([(listening, 7070)])
    assert (address, 7070) in own
    assert (address, 7071) not in own
    assert (ELSEWHERE, 7070) not in own


def test_a_node_that_listens_at_one_address_is_there_only() -> None:
    own = OwnAddresses([("127.0.0.1", 7070), ("name.example", 7070)])
    assert ("127.0.0.1", 7070) in own
    assert ("::ffff:127.0.0.1", 7070) in own
    assert ("127.0.0.2", 7070) not in own


def test_urls_name_a_host_and_a_port() -> None:
    assert urls_listening(["http://10.0.0.1:2379", "http://e.example", "https://[::1]:1"]) == [
        ("10.0.0.1", 2379),
        ("::1", 1),
    ]
