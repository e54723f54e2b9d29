"""A node knows its own service, wherever it listens and however its address is written."""

import pytest

from hookline.errors import ForbiddenDestination
from hookline.node.attempts.own_addresses import OwnAddresses, places_of
from hookline.node.attempts.resolver import Resolver
from hookline.node.attempts.vetting import Vetter
from hookline.protocol.destination_rules import Rules
from hookline.protocol.urls import parse_url
from tests.node_parts import ManualClock

ELSEWHERE = "192.0.2.1"  # for documentation; no machine has it


@pytest.mark.parametrize("listening", ["0.0.0.0", "::"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"])
def test_a_node_that_listens_anywhere_is_at_all_addresses_of_its_machine(listening: str, address: str) -> None:
    own = OwnAddresses([(listening, 7070)])
    assert (address, 7070) in own
    assert (address, 7071) not in own
    assert (ELSEWHERE, 7070) not in own


def test_a_node_that_listens_at_one_address_is_there_only() -> None:
    own = OwnAddresses([("127.0.0.1", 7070)])
    assert ("127.0.0.1", 7070) in own
    assert ("::ffff:127.0.0.1", 7070) in own
    assert ("127.0.0.2", 7070) not in own


def test_a_name_is_own_however_it_is_written() -> None:
    own = OwnAddresses([("Node-2.example", 7070)])
    assert ("node-2.EXAMPLE.", 7070) in own
    assert ("node-3.example", 7070) not in own
    assert ("node-2.example", 7071) not in own


def test_what_a_source_tells_takes_the_place_of_what_it_told_before() -> None:
    own = OwnAddresses([("127.0.0.1", 7070)])
    own.tell("nodes", [("198.51.100.1", 7070)])
    own.tell("others", [("2001:db8::1", 7070)])
    own.tell("nodes", [("198.51.100.2", 8080)])
    assert ("198.51.100.1", 7070) not in own
    assert ("198.51.100.2", 8080) in own
    assert ("2001:DB8:0::1", 7070) in own
    assert ("127.0.0.1", 7070) in own


def test_a_place_that_two_sources_tell_stays_until_none_does() -> None:
    own = OwnAddresses([])
    own.tell("nodes", [("0.0.0.0", 7070), ("::", 7070)])
    own.tell("others", [("0.0.0.0", 7070)])
    own.tell("nodes", [])
    assert ("127.0.0.1", 7070) in own
    own.tell("others", [])
    assert ("127.0.0.1", 7070) not in own


def test_urls_lead_to_places() -> None:
    urls = ["http://10.0.0.1:2379", "https://e.example", "http://[::1]:1", "http://e:99999", "http://[x", "unix:x", ""]
    assert places_of(urls) == [("10.0.0.1", 2379), ("e.example", 443), ("::1", 1)]


async def test_a_job_to_the_name_of_a_node_is_refused_wherever_the_name_leads() -> None:
    async def lookup(_host: str, _port: int) -> list[str]:
        return ["8.8.8.8"]

    async with Resolver(lookup, ManualClock()) as resolver:
        own = OwnAddresses([("node-2.example", 8080)])
        vetter = Vetter(resolver, Rules(ports=None), own_addresses=own)
        with pytest.raises(ForbiddenDestination, match="leads back to this service"):
            await vetter.vet(parse_url("http://node-2.example:8080/jobs"))
        assert await vetter.vet(parse_url("http://node-2.example:8081/jobs")) == "8.8.8.8"
