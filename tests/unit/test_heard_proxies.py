"""Proxies say where they listen; whoever pretends to be one keeps jobs from its own address only."""

import pytest

from hookline.node.attempts.heard_proxies import PER_ADDRESS_MAX, PROXIES_MAX, REMEMBERED_MS, HeardProxies
from hookline.node.attempts.own_addresses import OwnAddresses
from tests.node_parts import ManualClock

AWAY, VICTIM = "198.51.100.7", "203.0.113.9"  # for documentation; no machine has them


class Heard:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.own = OwnAddresses([])
        self.proxies = HeardProxies(self.own, self.clock)


@pytest.fixture
def it() -> Heard:
    return Heard()


@pytest.mark.parametrize("listens", ["0.0.0.0:7000", "[::]:7000", f"{AWAY}:7000", f"[::ffff:{AWAY}]:7000"])
def test_a_proxy_elsewhere_is_at_the_address_of_its_connection(it: Heard, listens: str) -> None:
    it.proxies.heard(AWAY, listens)
    assert (AWAY, 7000) in it.own
    assert (AWAY, 7001) not in it.own
    assert ("127.0.0.1", 7000) not in it.own


@pytest.mark.parametrize("address", [AWAY, "127.0.0.1"])
def test_an_address_from_the_request_counts_for_nothing_elsewhere(it: Heard, address: str) -> None:
    it.proxies.heard(address, f"{VICTIM}:443")
    assert (VICTIM, 443) not in it.own
    assert (address, 443) in it.own


def test_a_proxy_on_this_machine_is_where_it_says(it: Heard) -> None:
    it.proxies.heard("127.0.0.1", "127.0.0.5:7000")
    assert ("127.0.0.5", 7000) in it.own
    assert ("127.0.0.1", 7000) not in it.own
    it.proxies.heard("::ffff:127.0.0.1", "0.0.0.0:7001")
    assert ("127.0.0.9", 7001) in it.own


@pytest.mark.parametrize(
    "listens", ["", "7000", "e.example:7000", "1.2.3.4:0", "1.2.3.4:99999", "999.1.1.1:80", "[:::]:1", "\u00e9:1"]
)
def test_nonsense_is_passed_over(it: Heard, listens: str) -> None:
    it.proxies.heard(AWAY, listens)
    it.proxies.heard("", "0.0.0.0:7000")
    assert (AWAY, 7000) not in it.own
    assert (AWAY, 80) not in it.own


def test_a_proxy_that_is_not_heard_any_more_is_forgotten(it: Heard) -> None:
    it.proxies.heard(AWAY, "0.0.0.0:7000")
    it.proxies.heard(VICTIM, "0.0.0.0:7000")
    it.clock.advance(REMEMBERED_MS - 1)
    it.proxies.heard(AWAY, "0.0.0.0:7000")
    it.clock.advance(1)
    it.proxies.forget_silent()
    assert (AWAY, 7000) in it.own
    assert (VICTIM, 7000) not in it.own
    it.clock.advance(REMEMBERED_MS)
    it.proxies.heard(VICTIM, "0.0.0.0:7001")
    assert (AWAY, 7000) not in it.own


def test_one_address_has_few_proxies_and_can_have_others_later(it: Heard) -> None:
    for port in range(1, 100):
        it.proxies.heard(f"2001:db8::{port:x}", f"[::]:{port}")  # one /64, so one owner
    assert sum((f"2001:db8::{port:x}", port) in it.own for port in range(1, 100)) == PER_ADDRESS_MAX
    it.clock.advance(REMEMBERED_MS)
    it.proxies.heard("2001:db8::77", "[::]:7000")
    assert ("2001:db8::77", 7000) in it.own


def test_many_strangers_do_not_push_out_a_proxy(it: Heard) -> None:
    it.proxies.heard(AWAY, "0.0.0.0:7000")
    strangers = [f"10.{number >> 8}.{number & 255}.1" for number in range(2 * PROXIES_MAX)]
    for address in strangers:
        it.proxies.heard(address, "0.0.0.0:7000")
    assert (AWAY, 7000) in it.own
    assert sum((address, 7000) in it.own for address in strangers) == PROXIES_MAX - 1
