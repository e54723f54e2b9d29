"""The watch over the clock: it hands the lead over, holds back in elections, and says who is how far off."""

import asyncio
from collections.abc import Sequence

import pytest

from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.majority import KnownClock
from hookline.node.clocks.watch import ALONE_MS, PATIENCE_MS, ClockWatch
from tests.node_parts import T0, ManualClock, settle

HOUR_MS = 3_600_000


class Lead:
    """A node that writes down what it is asked."""

    is_leading = True

    def __init__(self) -> None:
        self.handed_over = 0
        self.changes = 0

    def hand_over(self) -> bool:
        self.handed_over += 1
        return True

    def clock_changed(self) -> None:
        self.changes += 1


class Scene:
    """A machine's clock, and others that are right unless the test says otherwise."""

    def __init__(self, *, members: int = 0, nodes: int = 2, kernel: bool = False) -> None:
        self.machine = ManualClock()
        self.clock = GuardedClock(self.machine)
        self.nodes, self.members = nodes, members
        self.lead = Lead()
        self.kernel = kernel
        self.watch = ClockWatch(self.clock, ask=self.ask, kernel_agrees=lambda _wall_ms: self.kernel)
        self.watch.serve(self.lead)

    async def ask(self) -> Sequence[KnownClock]:
        right_ms = T0 - 5_000
        nodes = [KnownClock(f"n{number}", right_ms, 5) for number in range(2, 2 + self.nodes)]
        return nodes + [KnownClock(f"e{number}", right_ms, 500, is_node=False) for number in range(self.members)]

    async def first_look(self) -> None:
        """As ``run`` begins."""
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.watch.run(self.lead))
            await settle()
            running.cancel()


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, -HOUR_MS, 2_000, -30_000])
async def test_a_leader_that_is_off_hands_over_and_goes_by_the_majority(ahead_ms: int) -> None:
    scene = Scene()
    await scene.watch.look()
    assert (scene.lead.handed_over, scene.lead.changes) == (0, 0)
    scene.machine.step_ms(ahead_ms)
    assert scene.clock.wall_ms() == T0
    await scene.watch.look()
    assert (scene.lead.handed_over, scene.lead.changes) == (1, 1)
    assert scene.watch.own_offset_ms() == pytest.approx(ahead_ms, abs=1)
    assert scene.watch.offsets_ms()["n2"] == 0


async def test_it_keeps_the_lead_when_there_is_nobody_better() -> None:
    scene = Scene(nodes=0, members=3)
    scene.machine.step_ms(HOUR_MS)
    await scene.watch.look()
    assert scene.lead.handed_over == 0
    assert abs(scene.clock.wall_ms() - T0) <= 500


async def test_a_node_does_not_stand_before_it_has_asked_once() -> None:
    scene = Scene()
    assert not scene.watch.may_stand(HOUR_MS)
    await scene.first_look()
    assert scene.watch.may_stand(0)


async def test_a_node_that_is_off_stands_when_those_that_are_right_do_not_and_then_keeps_the_lead() -> None:
    scene = Scene()
    scene.machine.step_ms(HOUR_MS)
    await scene.first_look()
    scene.lead.handed_over = 0
    assert not scene.watch.may_stand(PATIENCE_MS - 1)
    assert scene.watch.may_stand(PATIENCE_MS)
    await scene.watch.look()
    assert scene.lead.handed_over == 0, "it would go to and fro for ever"


async def test_the_last_node_stands_soon_though_it_is_off_and_gives_the_lead_to_one_that_comes_back() -> None:
    scene = Scene(nodes=0, members=3)
    scene.machine.step_ms(HOUR_MS)
    await scene.first_look()
    assert not scene.watch.may_stand(ALONE_MS - 1)
    assert scene.watch.may_stand(ALONE_MS)
    scene.nodes = 2
    await scene.watch.look()
    assert scene.lead.handed_over == 1


async def test_who_reaches_nobody_stands_by_its_own_clock() -> None:
    scene = Scene(nodes=0)
    scene.machine.step_ms(HOUR_MS)
    await scene.first_look()
    assert scene.watch.may_stand(0)


async def test_the_kernel_is_believed_when_there_is_nobody_else() -> None:
    scene = Scene(nodes=0, kernel=True)
    scene.clock.wall_ms()
    scene.machine.step_ms(HOUR_MS)
    assert scene.clock.wall_ms() == T0
    await scene.watch.look()
    assert scene.clock.wall_ms() == T0 + HOUR_MS
    assert scene.lead.changes == 1


async def test_the_kernel_does_not_outvote_the_others() -> None:
    scene = Scene(kernel=True)
    scene.machine.step_ms(HOUR_MS)
    await scene.watch.look()
    assert scene.clock.wall_ms() == T0
    assert not scene.watch.trust(), "nor does an operator"


async def test_an_operator_is_believed_at_once() -> None:
    scene = Scene(nodes=0)
    scene.clock.wall_ms()
    scene.machine.step_ms(-HOUR_MS)
    await scene.watch.look()
    assert scene.clock.why_not() is not None
    assert scene.watch.trust()
    assert scene.clock.why_not() is None
    assert scene.clock.wall_ms() == T0 - HOUR_MS
