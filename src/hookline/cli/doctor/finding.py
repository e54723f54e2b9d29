"""The result of one check of ``hookline doctor``. Pure."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from msgspec import Struct

FindingState = Literal["ok", "advice", "wrong", "not_checked"]


class Finding(Struct, frozen=True):
    """One check and its result.

    Attributes:
        ok: nothing is wrong, as far as it was checked.
        state: ``advice``: it works, and could be better; ``not_checked``: ``detail`` says why.
        fix: what to do; None: nothing.
    """

    name: str
    ok: bool
    state: FindingState
    detail: str
    fix: str | None = None


class Ailment(NamedTuple):
    """Something to tell. ``is_wrong``: else it is advice."""

    text: str
    fix: str
    is_wrong: bool = True


def judged(name: str, fine: str, troubles: Iterable[Ailment]) -> Finding:
    """One finding out of all that is to tell, the worst first; ``fine``: what is said when there is nothing."""
    found = sorted(troubles, key=lambda one: not one.is_wrong)
    if not found:
        return Finding(name, True, "ok", fine)
    detail, fix = ("; ".join(dict.fromkeys(texts)) for texts in zip(*(one[:2] for one in found), strict=True))
    is_wrong = found[0].is_wrong
    return Finding(name, not is_wrong, "wrong" if is_wrong else "advice", detail, fix)


def unchecked(name: str, why: str) -> Finding:
    """It could not be checked, or there is nothing to check."""
    return Finding(name, True, "not_checked", why)
