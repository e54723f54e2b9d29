"""Names the reason why a destination's due jobs wait: the plan parks the destination by it, users read it. Pure."""

from typing import Literal, NamedTuple

Reason = Literal["paused", "breaker", "rate", "share", "slots"]


class Blocked(NamedTuple):
    """``until_ms`` None: until something at the destination changes. ``slots`` is about all destinations together."""

    reason: Reason
    detail: str
    until_ms: int | None = None
