"""The receivers of a simulated world: each destination has a character, and all get well at the end."""

import random
from urllib.parse import urlsplit

from hookline.node.attempts.transport import Outgoing, ReceiverAnswer, SendFailed
from hookline.testing.receiver import Reaction, answer, break_off, carry_out, hang, refuse
from tests.simulation.cluster.loop import PROCESS
from tests.simulation.faults import Faults
from tests.simulation.history import Arrival, History

CALM = "http://10.0.0.1:8080"  # always answers at once, has no limits and is never paused
TROUBLED = tuple(f"http://10.0.0.{number}:8080" for number in range(2, 6))
CHARACTERS = ("good", "flaky", "flaky", "slow", "hanging", "broken", "busy", "down")


class Receivers:
    """As node ``number`` sees them. Writes the journal before it answers, and chooses its answers by a seed.

    What they are like is the same for all nodes.
    """

    def __init__(self, history: History, faults: Faults, seed: int, number: int) -> None:
        self._history = history
        self._faults = faults
        self.is_healed = False
        pick = random.Random(f"receivers {seed}")
        self.characters = {CALM: "good"} | {name: pick.choice(CHARACTERS) for name in TROUBLED}
        self._random = random.Random(f"receivers {number} {seed}")

    async def send(self, outgoing: Outgoing) -> ReceiverAnswer:
        history, faults, target = self._history, self._faults, outgoing.target
        process = PROCESS.get()
        assert process is not None, "requests are sent by processes"
        await faults.point("before_send")
        named = dict(outgoing.headers)
        reaction = self._reaction(target.url)
        plan = reaction.failure or f"{reaction.status} after {reaction.after_ms} ms"
        job, attempt = named["webhook-id"], int(named["hookline-attempt"])
        stamp = history.note(f"{target.destination} gets {job} attempt {attempt} -> {plan}")
        arrival = Arrival(
            at=stamp,
            time_ms=faults.clock.wall_ms(),
            job=job,
            attempt=attempt,
            term=int(named["hookline-term"]),
            url=target.url,
            body=outgoing.body,
            true_s=history.now_s(),
            process=process.name,
        )
        if reaction.failure != "connect":
            history.arrivals.append(arrival)
        await faults.point("after_send")
        try:
            answered = await carry_out(reaction, outgoing.timeout_ms)
        except SendFailed as failure:
            arrival.result = failure.kind
            raise
        await faults.point("answered")
        arrival.result = str(answered.status)
        arrival.retry_after_s = int(dict(reaction.headers).get("retry-after", 0))
        arrival.answered_ms = faults.clock.wall_ms()
        return answered

    async def close(self) -> None:
        """Nothing to close."""

    def _reaction(self, url: str) -> Reaction:
        parts = urlsplit(url)
        chance = self._random.random()
        if self.is_healed:
            return answer(after=0.02)
        match self.characters[f"{parts.scheme}://{parts.netloc}"]:
            case "good":
                return answer(204, after=round(0.2 * chance, 3))
            case "slow":
                return answer(after=round(1 + 4 * chance, 3))
            case "hanging":
                return hang() if chance < 0.8 else answer()
            case "broken":
                return break_off(after=0.1) if chance < 0.6 else answer(500)
            case "busy":
                return answer(429, headers={"retry-after": str(int(chance * 40))}) if chance < 0.5 else answer()
            case "down":
                return refuse() if chance < 0.9 else answer()
        return self._flaky(chance)

    def _flaky(self, dice: float) -> Reaction:
        if dice < 0.5:
            return answer(after=round(dice, 3))
        if dice < 0.8:
            return answer(self._random.choice((500, 502, 503, 408, 425)), after=0.05)
        if dice < 0.85:
            return answer(self._random.choice((400, 404, 410, 301)))
        return self._random.choice((refuse(), break_off(), break_off(after=0.5), hang()))
