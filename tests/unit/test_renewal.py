"""A leader beats as long as its event loop goes on, and no longer."""

from hookline.node.etcd.fence import RENEWAL_MS, Fence
from hookline.node.etcd.keys import Keys
from hookline.node.leadership.renewal import STUCK_MS, Renewal
from tests.node_parts import ManualClock


def renewal_of(clock: ManualClock) -> Renewal:
    fence = Fence(clock)
    fence.hold(7, 1, clock.boot_ms())
    return Renewal(Keys("c0"), fence, clock)


def test_a_loop_that_is_busy_but_goes_on_keeps_the_lead() -> None:
    clock = ManualClock()
    renewal = renewal_of(clock)
    for _ in range(5):
        renewal.alive()
        clock.advance(STUCK_MS)
        assert renewal.due() is not None


def test_a_loop_that_stands_still_gives_the_lead_up_and_has_it_again_if_nobody_took_it() -> None:
    clock = ManualClock()
    renewal = renewal_of(clock)
    renewal.alive()
    clock.advance(STUCK_MS + 1)
    assert renewal.due() is None
    renewal.alive()
    assert renewal.due() is not None


def test_a_node_that_has_shown_it_a_moment_ago_does_not_beat() -> None:
    clock = ManualClock()
    renewal = renewal_of(clock)
    renewal.alive()
    clock.advance(RENEWAL_MS - 1)
    assert renewal.due() is None
